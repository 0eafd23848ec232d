"""`@traced`: a function of the user's own as a run."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, Literal, TypeVar, overload

from callspan._options import check
from callspan._text import as_text
from callspan.callbacks.drive import acall, astream, call, stream
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.owned import Owned
from callspan.errors import ConfigurationError
from callspan.outputs import Generation, LLMResult

F = TypeVar("F", bound=Callable[..., Any])
Kind = Literal["chain", "agent", "tool", "retriever", "llm"]

_STARTS = {
    "chain": "on_chain_start",
    "agent": "on_chain_start",
    "tool": "on_tool_start",
    "retriever": "on_retriever_start",
    "llm": "on_llm_start",
}
_KEPT_CHUNKS = 1_000
"""How many chunks of a generator its end event reports, so that an endless one takes no memory."""


@overload
def traced(
    fn: F,
    *,
    kind: Kind = "chain",
    name: str | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> F: ...
@overload
def traced(
    fn: None = None,
    *,
    kind: Kind = "chain",
    name: str | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Callable[[F], F]: ...
def traced(
    fn: Any = None,
    *,
    kind: Kind = "chain",
    name: str | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> Any:
    """Make each call of a function a run: a span, and events for the handlers around it.

    Functions, coroutine functions, generators and async generators stay what they are. The run's
    input is the arguments by name; its output is what is returned, or the list of what is
    yielded (the first 1,000). The run of a function that returns a coroutine ends with that.

    Of an llm, the span tells the model and the provider that the metadata name as `ls_model_name`
    and `ls_provider`, and the token counts where it returns an `LLMResult`.

    Args:
        fn: The function, where the decorator has no arguments of its own.
        kind: What the run is: chain, agent, tool, retriever or llm. A retriever's query and an
            llm's prompt are the first argument, as text.
        name: The run's name; the function's when left out.
        tags: Tags of the run and its descendants.
        metadata: Metadata of the run and its descendants.

    Raises:
        ConfigurationError: if `kind` is none of these, `name` no string, `tags` no list of
            strings, `metadata` no dict, or what is decorated no function.
    """
    if kind not in list(_STARTS):  # a list of kinds could not be looked up
        raise ConfigurationError(f"kind takes one of {', '.join(_STARTS)}, not {kind!r}")
    check({"run_name": name, "tags": tags, "metadata": metadata})
    if fn is None:

        def decorate(function: F) -> F:
            return traced(function, kind=kind, name=name, tags=tags, metadata=metadata)

        return decorate
    if isinstance(fn, staticmethod | classmethod):
        function: Any = fn.__func__
        return type(fn)(traced(function, kind=kind, name=name, tags=tags, metadata=metadata))
    if not callable(fn) or isinstance(fn, type):
        raise ConfigurationError(f"@traced goes on functions and methods, not on {fn!r}")
    return _wrapped(fn, _Start(fn, kind, name, tags, metadata))


class _Start:
    """How the calls of one function start their runs, and what their ends report."""

    def __init__(
        self,
        fn: Callable[..., Any],
        kind: Kind,
        name: str | None,
        tags: list[str] | None,
        metadata: dict[str, Any] | None,
    ) -> None:
        self._method = _STARTS[kind]
        self._kind = kind
        self._tags = tags
        self._metadata = metadata
        self._name = name or getattr(fn, "__name__", type(fn).__name__)
        self._serialized = {
            "name": self._name,
            "id": [str(getattr(fn, "__module__", "")), self._name],
        }
        self._signature = _signature(fn)
        parameters = list(self._signature.parameters.values())
        self._bound_to = next((p.name for p in parameters[:1] if p.name in ("self", "cls")), None)
        self.report = _as_result if kind == "llm" else None

    def begin(self, manager: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Start a run; return what the manager's method does, which `_one` makes the handle."""
        given, extra = self._input(args, kwargs)
        configured = manager.for_run(tags=self._tags, metadata=self._metadata)
        return getattr(configured, self._method)(self._serialized, given, **extra)

    def _input(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        try:
            arguments = dict(self._signature.bind(*args, **kwargs).arguments)
        except TypeError:  # the call itself is about to raise it
            arguments = {"args": args, **kwargs}
        arguments.pop(self._bound_to, None)  # type: ignore[arg-type]
        extra: dict[str, Any] = {"name": self._name}
        if self._kind == "tool":
            return as_text(arguments), {**extra, "inputs": arguments}
        if self._kind in ("retriever", "llm"):
            first = as_text(next(iter(arguments.values()), ""))
            return (first if self._kind == "retriever" else [first]), extra
        return arguments, ({**extra, "run_type": "agent"} if self._kind == "agent" else extra)


def _signature(fn: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(fn)
    except ValueError:  # some builtins have none
        return inspect.signature(lambda *args, **kwargs: None)


def _wrapped(fn: Any, start: _Start) -> Any:
    # Of an object that can be called, its method tells what a call gives.
    code = fn if inspect.isroutine(fn) or isinstance(fn, functools.partial) else fn.__call__

    def collector() -> tuple[Callable[[Any], None], Callable[[], Any]]:
        chunks: list[Any] = []

        def keep(chunk: Any) -> None:
            if len(chunks) < _KEPT_CHUNKS:
                chunks.append(chunk)

        return keep, lambda: chunks if start.report is None else start.report(chunks)

    if inspect.isasyncgenfunction(code):

        @functools.wraps(fn)
        async def agenerate(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
            source = fn(*args, **kwargs)
            run = _one(await start.begin(AsyncCallbackManager, args, kwargs))
            chunks = Owned(astream(run, source, *collector()))
            resume: Callable[..., Any] = chunks.asend
            argument: Any = None
            while True:
                try:
                    chunk = await resume(argument)
                except StopAsyncIteration:
                    return
                try:
                    argument = yield chunk
                    resume = chunks.asend
                except GeneratorExit:
                    await chunks.aclose()
                    raise
                except BaseException as error:  # it is the function's to answer
                    resume, argument = chunks.athrow, error

        return agenerate
    if inspect.isgeneratorfunction(code):

        @functools.wraps(fn)
        def generate(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            source = fn(*args, **kwargs)
            run = _one(start.begin(CallbackManager, args, kwargs))
            return (yield from stream(run, source, *collector()))

        return generate
    if inspect.iscoroutinefunction(code):

        @functools.wraps(fn)
        async def acalled(*args: Any, **kwargs: Any) -> Any:
            run = _one(await start.begin(AsyncCallbackManager, args, kwargs))
            return await acall(run, functools.partial(fn, *args, **kwargs), report=start.report)

        return acalled

    @functools.wraps(fn)
    def called(*args: Any, **kwargs: Any) -> Any:
        run = _one(start.begin(CallbackManager, args, kwargs))
        return call(run, functools.partial(fn, *args, **kwargs), report=start.report)

    return called


def _one(started: Any) -> Any:
    """The handle on the run, which a text model's start gives in a list."""
    return started[0] if isinstance(started, list) else started


def _as_result(output: Any) -> LLMResult:
    # By its type: what a function returns may not want to be asked, nor iterated over.
    if issubclass(type(output), LLMResult):
        return output  # type: ignore[no-any-return]
    text = "".join(map(as_text, output)) if type(output) is list else as_text(output)
    return LLMResult(generations=[[Generation(text=text)]])
