"""Executes a program, with tracing or without, and works out the ground truth as it goes.

There is one interpreter for sync and async programs: its methods are coroutine functions, and the
sync parts of a program are those whose coroutines never wait, so that `drive` can run them in any
function.
"""

from __future__ import annotations

import asyncio
import contextvars
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

from opentelemetry.context import attach, detach, get_current, get_value, set_value
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    TraceFlags,
    get_current_span,
    set_span_in_context,
)

from callspan import (
    ContextThreadPoolExecutor,
    atrace_as_chain_group,
    suppress_tracing,
    trace_as_chain_group,
    traced,
    use_config,
)
from callspan.callbacks import CallbackManager

from . import programs as p
from .agents import agent
from .block_programs import Agent, Composite, ProgramError, Texts
from .blocks import composite
from .by_hand import Handle, begin
from .conductor import Conductor
from .steps import Chunk, Closed, Steps, captured, drive, finish, in_thread, real, signature
from .streams import DONE, Consumer
from .texts import texts
from .truth import ANYBODYS, Place, RunTruth, SpanTruth, Truth
from .world import World

_REMEMBERED: contextvars.ContextVar[int | None] = contextvars.ContextVar("remembered", default=None)
"""A context variable of the program's own."""


class ProgramExit(BaseException):
    """What a program raises that is no Exception."""


_ERRORS: dict[str, type[BaseException]] = {
    "error": ProgramError,
    "base": ProgramExit,
    "cancelled": asyncio.CancelledError,
    "interrupt": KeyboardInterrupt,
    "exit": SystemExit,
}
_CAUGHT = (Exception, ProgramExit, asyncio.CancelledError, KeyboardInterrupt, SystemExit)


class Interpreter:
    """One execution of one program.

    Args:
        world: What it runs in.
        traced: Whether its runs are runs, or plain functions.
    """

    def __init__(self, world: World, *, traced: bool) -> None:
        self.world = world
        self.traced = traced
        self.truth = Truth(has_global=world.has_global, timeline=world.timeline)
        self.held: list[Any] = []
        self.outcomes: dict[tuple[int, ...], Any] = {}
        """What the items have returned or raised, by their paths."""
        self.wrong: list[str] = []
        """What was not as it ought to be while the program ran."""
        self._conductor: Conductor | None = None
        self._detached: dict[tuple[int, ...], asyncio.Task[Any]] = {}

    def execute(self, program: p.Items, *, is_async: bool) -> Any:
        """Execute a program, in a context of its own; return what it returned or raised."""

        def execute() -> Any:
            _REMEMBERED.set(None)
            if is_async:
                return asyncio.run(self._main(program))
            return self._outcome(captured(lambda: drive(finish(self.steps(program, Place())))))

        return contextvars.copy_context().run(execute)

    async def _main(self, program: p.Items) -> Any:
        self._conductor = Conductor()
        conducting = asyncio.create_task(self._conductor.conduct())
        results = [await self._settled(finish(self.steps(program, Place(is_async=True))))]
        while self._detached:
            path = min(self._detached)
            results.append((path, await self._settled(self._detached.pop(path))))
        await self._conductor.quiet(())
        conducting.cancel()
        return results

    async def _settled(self, awaitable: Any) -> Any:
        try:
            return await awaitable
        except _CAUGHT as error:
            return signature(error)

    def _outcome(self, outcome: Callable[[], Any]) -> Any:
        try:
            return outcome()
        except _CAUGHT as error:
            return signature(error)

    # What the parts of the interpreter share

    def note_progress(self) -> None:
        if self._conductor is not None:
            self._conductor.note_progress()

    def error(self, kind: str, place: Place) -> BaseException:
        return _ERRORS[kind](place.name)

    def start(self, item: p.Call | p.Stream, here: Place) -> RunTruth:
        """Note that the run of an item is about to start."""
        name = here.name
        if item.how == "traced":
            return self.truth.start(
                here, item.kind, tags=(f"traced {name}",), metadata={"traced": name}
            )
        source = self._pick(getattr(item, "parent", None), here)
        direct = self._is_direct(item, source, here)
        given = source is not None
        return self.truth.start(
            here,
            item.kind,
            handlers=() if given else getattr(item, "handlers", ()),
            local=() if direct else item.local,
            metadata={} if direct else {"by hand": name},
            tags=() if direct else (f"{name} inherited",),
            local_tags=() if direct else (name,),
            parent=source[1] if source is not None else None,
            direct=direct,
        )

    async def begin(self, item: p.Call | p.Stream, run: RunTruth | None, here: Place) -> Handle:
        """Start the run of an item by hand."""
        assert run is not None
        if not self.traced:
            return Handle(run)
        source = self._pick(getattr(item, "parent", None), here)
        return await begin(
            run,
            self.handlers(getattr(item, "handlers", ())) if source is None else source[0](),
            is_async=here.is_async,
            direct=self._is_direct(item, source, here),
            local=self.handlers(item.local),
            tag=here.name,
            metadata={"by hand": here.name},
        )

    def decorated(self, function: Any, kind: str, place: Place) -> Any:
        if not self.traced:
            return function
        name = place.name
        return traced(
            kind=kind,  # type: ignore[arg-type]
            name=f"{kind} {name}",
            tags=[f"traced {name}"],
            metadata={"traced": name},
        )(function)

    def look(self, run: RunTruth, inner: Place) -> None:
        """Check what is around a run's body when it begins."""
        run.entered = True
        if not self.traced:
            return
        run.run_id = CallbackManager.configure().parent_run_id
        current = self.world.name_of(get_current_span().get_span_context())
        ought = inner.span.name if inner.span else None
        if current != ought:
            self.wrong.append(f"in {run.name} the current span is {current}, not {ought}")
        if get_value("baggage") != inner.baggage:
            self.wrong.append(f"in {run.name} the baggage is {get_value('baggage')}")

    def handlers(self, names: tuple[str, ...]) -> list[Any]:
        return [self.world.handlers[name] for name in names]

    def _pick(self, parent: int | None, here: Place) -> tuple[Any, RunTruth] | None:
        if parent is None or not here.managers:
            return None
        return here.managers[-1 - parent % len(here.managers)]

    def _is_direct(self, item: Any, source: tuple[Any, RunTruth] | None, here: Place) -> bool:
        if source is None or not getattr(item, "direct", False):
            return False
        return source[1].before.is_async == here.is_async

    def same_context(self, before: Any, where: str) -> None:
        """Check that the Context is the one before."""
        if self.traced and get_current() is not before:
            self.wrong.append(f"{where} has left another Context: {get_current()}")

    # Items

    def steps(self, items: p.Items, place: Place, *, wild: bool = False) -> Steps:
        """Execute items one after the other; return their results.

        Args:
            items: What to execute.
            place: What is around them.
            wild: Whether this is the body of a generator that may be closed in a Context that is
                not its own.
        """
        results = []
        for index, item in enumerate(items):
            before = get_current()
            try:
                results.append((yield from self._step(item, place.at(index))))
            finally:
                if not (wild and isinstance(sys.exc_info()[1], (Closed, GeneratorExit))):
                    self.same_context(before, f"{type(item).__name__} {place.at(index).name}")
        return results

    def _step(self, item: Any, place: Place) -> Steps:
        self.note_progress()
        match item:
            case p.Say(value):
                return value
            case p.Remember(None):
                return _REMEMBERED.get()
            case p.Remember(value):
                _REMEMBERED.set(value)
                return None
            case p.Raise(error):
                raise self.error(error, place)
            case p.Yield(value):
                return (yield Chunk(value))
            case p.Try():
                return (yield from self._try(item, place))
            case p.Within("group"):
                return (yield from self._group(item, place))
            case p.Within():
                with self.block(item, place) as inner:
                    return (yield from self.steps(item.body, inner))
            case p.Relay():
                return (yield from self._relay(item, place))
        return (yield self._noted(item, place))

    async def _noted(self, item: Any, place: Place) -> Any:
        """Execute an item and keep what it gives, which an error further out would lose."""
        try:
            result = await self._act(item, place)
        except ProgramError as error:
            self.outcomes[place.path] = type(error), error.args
            raise
        self.outcomes[place.path] = result
        return result

    async def _act(self, item: Any, place: Place) -> Any:
        match item:
            case p.Call(how="traced"):
                return await self._call(item, replace(place, is_async=item.is_async))
            case p.Call():
                return await self._call_by_hand(item, replace(place, is_async=item.is_async))
            case p.Stream():
                return await Consumer(self, item, place).consume()
            case p.Zip():
                return await self._zip(item, place)
            case Composite():
                return await composite(self, item, replace(place, is_async=item.is_async))
            case Texts():
                return await texts(self, item, replace(place, is_async=item.is_async))
            case Agent():
                return await agent(self, item, replace(place, is_async=item.is_async))
            case p.Threads():
                return await self._threads(item, place)
        assert self._conductor is not None
        match item:
            case p.Block():
                return await self._conductor.block(place.path)
            case p.Gather():
                return await self._gather(item, place)
            case p.Detach():
                self._detached[place.path] = self._task(item.body, place)
                return None
            case p.Cancel():
                return await self._cancel(item, place)
        raise AssertionError(item)

    def _try(self, item: p.Try, place: Place) -> Steps:
        try:
            return (yield from self.steps(item.body, place.at(0)))
        except _CAUGHT as error:
            if not item.catches:
                raise
            return signature(error)
        finally:
            yield from self.steps(item.cleanup, place.at(1))

    @contextmanager
    def block(self, item: p.Within, place: Place) -> Iterator[Place]:
        """Enter a `with` block; gives the place within."""
        name, what = place.name, item.what
        manager: AbstractContextManager[Any] = nullcontext()
        if what.startswith("span"):
            provider = what[-1]
            inner = self.truth.user_span(place, provider)
            if self.traced:
                assert inner.span is not None
                tracer = self.world.tracers[provider]
                manager = tracer.start_as_current_span(inner.span.name)
        elif what == "remote":
            inner = replace(place, span=SpanTruth("remote", ANYBODYS, None))
            context = SpanContext(1, 1, is_remote=True, trace_flags=TraceFlags(1))
            if self.traced:
                manager = _attached(set_span_in_context(NonRecordingSpan(context)))
        elif what == "baggage":
            inner = replace(place, baggage=name)
            if self.traced:
                manager = _attached(set_value("baggage", name))
        elif what == "suppress":
            inner = replace(place, suppressed=True)
            if self.traced:
                manager = suppress_tracing()
        else:
            inner = place.configured(item.handlers, name, inherit=item.inherit)
            if self.traced:
                manager = use_config(
                    callbacks=self.handlers(item.handlers),
                    tags=[name],
                    metadata={"config": name},
                    inherit=item.inherit,
                )
        with manager:
            yield inner

    def _group(self, item: p.Within, place: Place) -> Steps:
        """Enter a chain group, the async one where that can be awaited."""
        source = self._pick(item.parent, place)
        name = place.name
        run = self.truth.start(
            place,
            "chain",
            tags=(f"group {name}",),
            parent=None if source is None else source[1],
        )
        if not self.traced:
            entered: Any = nullcontext()
        else:
            enter = atrace_as_chain_group if place.is_async else trace_as_chain_group
            given = None if source is None else source[0]()
            entered = enter(run.name, given, tags=[f"group {name}"])  # type: ignore[operator]
        group = yield _aenter(entered)
        run_place = run.inside(place)
        inner = replace(run_place, managers=(*place.managers, (lambda: group, run)))
        self.look(run, inner)
        try:
            result = yield from self.steps(item.body, inner)
        except BaseException as error:
            self.truth.end(run, real(error))
            yield _aexit(entered, real(error))
            raise
        self.truth.end(run, None, {})
        yield _aexit(entered, None)
        return result

    def _relay(self, item: p.Relay, place: Place) -> Steps:
        """Yield what another stream yields, and close that one whatever happens."""
        consumer = Consumer(self, item.stream, place)
        pull = p.Pull("next", in_span=False, after=())
        try:
            while (chunk := (yield consumer.take(pull))) is not DONE:
                yield Chunk(chunk)
        finally:
            yield consumer.close()
        return consumer.results

    async def _zip(self, item: p.Zip, place: Place) -> Any:
        consumers = [Consumer(self, one, place.at(i)) for i, one in enumerate(item.streams)]
        going = list(consumers)
        try:
            while going:
                for consumer in list(going):
                    if not await consumer.turn():
                        going.remove(consumer)
        finally:
            for consumer in going:
                await consumer.close()
        return [consumer.results for consumer in consumers]

    # Calls

    async def _call(self, item: p.Call, here: Place) -> Any:
        run = self.start(item, here)

        async def coroutine(path: str) -> Any:
            return await self.body(item.body, run, run.inside(here))

        def function(path: str) -> Any:
            return drive(coroutine(path))

        call = self.decorated(coroutine if item.is_async else function, item.kind, here)
        return await call(here.name) if item.is_async else call(here.name)

    async def body(self, items: p.Items, run: RunTruth, inner: Place) -> Any:
        """Execute the body of a run, which ends with it."""
        self.look(run, inner)
        try:
            result = await finish(self.steps(items, inner))
        except BaseException as error:
            self.truth.end(run, error)
            raise
        self.truth.end(run, None, result)
        return result

    async def _call_by_hand(self, item: p.Call, here: Place) -> Any:
        run = self.start(item, here)
        handle = await self.begin(item, run, here)
        managers = here.managers
        if handle.can_have_children:
            managers = (*managers, (handle.manager.get_child, run))

        async def body(there: Place) -> Any:
            with handle.activate():
                return await self.body(
                    item.body, run, replace(run.inside(there), managers=managers)
                )

        try:
            if item.late == "thread":
                elsewhere = Place(path=here.path)
                result = in_thread(lambda: drive(body(elsewhere)))
            elif item.late is not None:
                what = {"span": "span A", "baggage": "baggage"}[item.late]
                with self.block(p.Within(what, ()), here) as there:
                    result = await body(there)
            else:
                result = await body(here)
        except BaseException as error:
            await handle.fail(error)
            if item.twice:
                await handle.end("a second end")
            raise
        await handle.end(result)
        if item.twice:
            await handle.fail(ProgramError("a second end"))
        return result

    # Threads and tasks

    async def _threads(self, item: p.Threads, place: Place) -> Any:
        there = place if item.how != "plain" else Place(managers=place.managers)
        there = replace(there, is_async=False)
        context = get_current() if item.how != "plain" else None

        def branch(index: int) -> Callable[[], Any]:
            inner = replace(there, path=(*place.path, index))
            if context is not None:
                self.same_context(context, f"the start of a thread at {inner.name}")
            return captured(lambda: drive(finish(self.steps(item.branches[index], inner))))

        indexes = range(len(item.branches))
        if item.how == "plain":
            outcomes = [in_thread(partial(branch, index)) for index in indexes]
        elif item.how == "to_thread":
            calls = [asyncio.to_thread(branch, index) for index in indexes]
            outcomes = await asyncio.gather(*calls)
        else:
            with ContextThreadPoolExecutor(max_workers=2) as pool:
                if item.how == "map":
                    outcomes = list(pool.map(branch, indexes))
                else:
                    futures = [pool.submit(branch, index) for index in indexes]
                    outcomes = [future.result() for future in futures]
        return [outcome() for outcome in outcomes]

    def _task(self, items: p.Items, place: Place) -> asyncio.Task[Any]:
        context = get_current()

        async def execute() -> Any:
            self.same_context(context, f"the start of a task at {place.name}")
            return await finish(self.steps(items, replace(place, is_async=True)))

        return asyncio.create_task(execute())

    async def _gather(self, item: p.Gather, place: Place) -> Any:
        tasks = [self._task(branch, place.at(i)) for i, branch in enumerate(item.branches)]
        results = await asyncio.gather(*tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, BaseException):
                raise result
        return results

    async def _cancel(self, item: p.Cancel, place: Place) -> Any:
        assert self._conductor is not None
        task = self._task(item.body, place.at(0))
        try:
            if item.ticks is None:
                await self._conductor.quiet(place.path)
            for _ in range(item.ticks or 0):
                await asyncio.sleep(0)
        finally:
            await _cancelled(task)
        return await self._settled(task)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, however often this task is cancelled meanwhile."""
    task.cancel()
    interrupted = None
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError as error:
            interrupted = error
    await asyncio.gather(task, return_exceptions=True)  # so that somebody has looked at it
    if interrupted is not None:
        raise interrupted


async def _aenter(manager: Any) -> Any:
    return await manager.__aenter__() if _is_async(manager) else manager.__enter__()


async def _aexit(manager: Any, error: BaseException | None) -> None:
    given = (None, None, None) if error is None else (type(error), error, error.__traceback__)
    if _is_async(manager):
        await manager.__aexit__(*given)
    else:
        manager.__exit__(*given)


def _is_async(manager: Any) -> bool:
    return hasattr(manager, "__aexit__") and not hasattr(manager, "__exit__")


@contextmanager
def _attached(context: Any) -> Iterator[None]:
    token = attach(context)
    try:
        yield
    finally:
        detach(token)
