"""A small language of nested runs, and the hypothesis strategies that write programs in it.

A program is a tuple of items, executed one after the other by `interpreter`. Every item has a
result, and the results are the program's result, so that what a traced program returns can be
compared with what the same program returns without tracing.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from hypothesis import strategies as st

from .block_programs import blocks

Items = tuple[Any, ...]

KINDS = ("chain", "agent", "tool", "retriever", "llm")
TRACERS = ("G", "A", "A2", "B")
"""OTelCallbackHandlers: of the global provider, two of one other, and one of a third."""
RECORDERS = ("inline", "aside", "async", "awaited", "raising")
"""Handlers that record what they hear; an async run waits for `aside`, `async` and `awaited`."""


@dataclass(frozen=True)
class Say:
    """Return a value."""

    value: int


@dataclass(frozen=True)
class Remember:
    """Set a context variable, or return what it was set to (None)."""

    value: int | None


@dataclass(frozen=True)
class Raise:
    """Raise an error: error, base, cancelled, interrupt or exit."""

    error: str


@dataclass(frozen=True)
class Yield:
    """Yield a chunk, and return what is sent; in the bodies of streams alone."""

    value: int


@dataclass(frozen=True)
class Block:
    """Wait until nothing else can go on; what a task waits for that is cancelled."""


@dataclass(frozen=True)
class Try:
    """Execute `body`; catch what it raises if `catches`; execute `cleanup` in the end."""

    body: Items
    catches: bool
    cleanup: Items


@dataclass(frozen=True)
class Within:
    """Execute `body` within a block: span (and whose), remote, config, suppress, baggage, group."""

    what: str
    body: Items
    handlers: tuple[str, ...] = ()
    inherit: bool = True
    parent: int | None = None
    """Of a group: as of a `Call` by hand."""


@dataclass(frozen=True)
class Call:
    """Run `body` as a function: with `@traced`, or by hand with the managers."""

    kind: str
    how: str
    is_async: bool
    body: Items
    handlers: tuple[str, ...] = ()
    """By hand: handlers passed at run time."""
    local: tuple[str, ...] = ()
    """By hand: handlers of the object that runs."""
    parent: int | None = None
    """By hand: how many runs out is the one whose `get_child` is used; None for the ambient."""
    direct: bool = False
    """By hand: whether the run is started by the child manager itself, without `configure`."""
    late: str | None = None
    """By hand: what is around the body but not around the start: span, baggage or thread."""
    twice: bool = False
    """By hand: whether a second end is sent."""


@dataclass(frozen=True)
class Pull:
    """Take one chunk: next, send or throw; perhaps in a span of the consumer's own."""

    what: str
    in_span: bool
    after: Items
    """What the consumer does before it takes the next one."""


@dataclass(frozen=True)
class Stream:
    """Run `body` as a generator and consume it: the pulls, and then the `last` thing done.

    last: exhaust, close, close in a thread, close in a task, drop (the reference counter
    collects it), cycle (the garbage collector does), hold (the loop's shutdown closes it).
    """

    kind: str
    how: str
    is_async: bool
    body: Items
    pulls: tuple[Pull, ...]
    last: str
    local: tuple[str, ...] = ()


@dataclass(frozen=True)
class Zip:
    """Consume two streams in turns."""

    streams: tuple[Stream, Stream]


@dataclass(frozen=True)
class Relay:
    """Yield what another stream yields; in the bodies of streams alone."""

    stream: Stream


@dataclass(frozen=True)
class Threads:
    """Execute branches in threads: an executor's submit or map, to_thread, or a plain thread."""

    how: str
    branches: tuple[Items, ...]


@dataclass(frozen=True)
class Gather:
    """Execute branches in tasks, and wait for all."""

    branches: tuple[Items, ...]


@dataclass(frozen=True)
class Detach:
    """Execute `body` in a task that nobody waits for before the program's end."""

    body: Items


@dataclass(frozen=True)
class Cancel:
    """Execute `body` in a task, and cancel it.

    When it blocks and nothing else can go on; with `ticks`, after so many turns of the event
    loop, wherever it is by then.
    """

    body: Items
    ticks: int | None = None


@dataclass(frozen=True)
class Grammar:
    """What may stand in a program at some place."""

    is_async: bool
    """Whether coroutines may; an async program's sync functions have sync bodies."""
    in_loop: bool
    """Whether an event loop is around, which KeyboardInterrupt would break."""
    ticks: bool = False
    """Whether tasks are cancelled after a number of turns."""
    detaches: bool = True
    """Whether tasks may outlive their place: not where it may be cancelled at any turn."""
    yields: str = "no"
    """Where a body may yield: no; anywhere; bare (not within a block, for it may be closed from
    another context); wild (not in a Try either, for it may be closed in any order, and nobody
    hears what its cleanup raises)."""

    @property
    def handlers(self) -> st.SearchStrategy[tuple[str, ...]]:
        some = st.sampled_from(TRACERS) | st.sampled_from(RECORDERS)
        return st.lists(some, max_size=3).map(tuple)

    @property
    def plain(self) -> Grammar:
        return replace(self, yields="no")

    @property
    def sync(self) -> Grammar:
        return replace(self, is_async=False, yields="no")


def programs(grammar: Grammar, depth: int = 4) -> st.SearchStrategy[Items]:
    """Programs whose items are nested up to `depth` deep, with some handlers around them."""
    return st.builds(
        lambda body, handlers: (Within("config", body, handlers),),
        _items(grammar, depth),
        grammar.handlers,
    )


@cache
def _items(g: Grammar, depth: int) -> st.SearchStrategy[Items]:
    return st.lists(_item(g, depth), min_size=1, max_size=3).map(tuple)


def _any_of(*weighted: tuple[int, st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """One of several strategies, by their weights; `st.one_of` would weigh each leaf the same."""
    options = [strategy for weight, strategy in weighted for _ in range(weight)]
    return st.sampled_from(options).flatmap(lambda strategy: strategy)


@cache
def _item(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    options = [(4, _leaf(g))]
    if depth > 0:
        options += [
            (5, _call(g.plain, depth - 1)),
            (4, _stream(g.plain, depth - 1)),
            (2, _within(g, depth - 1)),
            (2, _try(g, depth - 1)),
            (3, _block(g.plain, depth - 1)),
            (1, _zip(g.plain, depth - 1)),
            (1, _threads(g, depth - 1)),
        ]
        if g.is_async:
            options += [
                (1, _gather(g.plain, depth - 1)),
                (1 * g.detaches, _detach(g.plain, depth - 1)),
                (3, _cancel(g.plain, depth - 1)),
            ]
        if g.yields in ("anywhere", "bare"):
            options += [(2, _stream(g.plain, depth - 1, relayed=g.yields).map(Relay))]
    if g.yields != "no":
        options += [(12, st.builds(Yield, st.integers(0, 9)))]
    return _any_of(*options)


@cache
def _leaf(g: Grammar) -> st.SearchStrategy[Any]:
    errors = ["error", "error", "base", "cancelled"]
    if not g.in_loop:
        errors += ["interrupt", "exit"]
    leaves = [
        (4, st.builds(Say, st.integers(0, 9))),
        (2, st.builds(Remember, st.none() | st.integers(0, 9))),
        (1, st.builds(Raise, st.sampled_from(errors))),
    ]
    return _any_of(*leaves, (4 * g.is_async, st.just(Block())))


@cache
def _try(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    body = g.plain if g.yields == "wild" else g
    return st.builds(Try, _items(body, depth), st.booleans(), _items(g.plain, depth))


@cache
def _within(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    body = _items(g if g.yields == "anywhere" else g.plain, depth)
    simple = ["span G", "span A", "span B", "remote", "baggage", "suppress"]
    return _any_of(
        (3, st.builds(Within, st.sampled_from(simple), body)),
        (1, st.builds(Within, st.just("config"), body, g.handlers, st.booleans())),
        (1, st.builds(Within, st.just("group"), body, parent=st.none() | st.integers(0, 3))),
    )


@cache
def _call(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    def build(is_async: bool) -> st.SearchStrategy[Any]:
        body = _items(g if is_async else g.sync, depth)
        coroutine = st.just(is_async)
        by_hand = st.builds(
            Call,
            st.sampled_from((*KINDS, "chat_model")),
            st.just("by hand"),
            coroutine,
            body,
            handlers=g.handlers,
            local=g.handlers,
            parent=st.none() | st.integers(0, 3),
            direct=st.booleans(),
            late=st.sampled_from([None, "span", "baggage"] + ["thread"] * (not is_async)),
            twice=st.booleans(),
        )
        traced = st.builds(Call, st.sampled_from(KINDS), st.just("traced"), coroutine, body)
        return _any_of((1, traced), (1, by_hand))

    return _any_of((1, build(False)), (2 * g.is_async, build(True)))


@cache
def _block(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    def build(is_async: bool) -> st.SearchStrategy[Any]:
        inner = g if is_async else g.sync
        together = _items(replace(inner, detaches=False), depth)
        body = _items(inner, depth)
        return _any_of(*blocks(body, together, _tries(inner, depth), g.handlers, is_async=is_async))

    return _any_of((1, build(False)), (2 * g.is_async, build(True)))


@cache
def _tries(g: Grammar, depth: int) -> st.SearchStrategy[Items]:
    """Bodies of which most fail, and most of these so that there is another attempt."""
    body = _items(replace(g, detaches=False), depth)
    errors = st.sampled_from([*["error"] * 4, "base", "cancelled"])
    failing = st.builds(lambda items, error: (*items[:1], Raise(error)), body, errors)
    return _any_of((1, body), (2, failing))


@cache
def _stream(g: Grammar, depth: int, relayed: str | None = None) -> st.SearchStrategy[Any]:
    def build(choice: tuple[bool, str]) -> st.SearchStrategy[Any]:
        is_async, last = choice
        foreign = last.startswith("close in")
        wild = last in ("drop", "cycle", "hold")
        inside = g if is_async else g.sync
        yields = "wild" if wild else "bare" if foreign else relayed or "anywhere"
        return st.builds(
            Stream,
            st.sampled_from(KINDS),
            # A run that is ended by hand would be ended by hand inside the collector.
            st.just("traced") if wild else st.sampled_from(["traced", "by hand"]),
            st.just(is_async),
            _items(replace(inside, yields=yields), depth),
            st.lists(_pull(g, depth), max_size=3).map(tuple),
            st.just(last),
            local=g.handlers,
        )

    lasts = [(False, last) for last in ("exhaust", "close")]
    if relayed is None:
        lasts += [(False, last) for last in ("drop", "close in a thread", "cycle")]
    if g.is_async:
        lasts += [(True, last) for last in ("exhaust", "close")]
        if relayed is None:
            lasts += [(True, last) for last in ("drop", "close in a task", "hold")]
    return _any_of(*((1, build(choice)) for choice in lasts))


@cache
def _pull(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    after = _any_of((2, st.just(())), (1, _items(g, min(depth, 1))))
    what = st.sampled_from(["next"] * 4 + ["send"] * 2 + ["throw"])
    return st.builds(Pull, what, st.booleans(), after)


@cache
def _zip(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    return st.builds(Zip, st.tuples(_stream(g, depth), _stream(g, depth)))


@cache
def _threads(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    hows = ["submit", "map", "plain"] + ["to_thread"] * (g.is_async and not g.ticks)
    branches = st.lists(_items(g.sync, depth), min_size=1, max_size=2).map(tuple)
    return st.builds(Threads, st.sampled_from(hows), branches)


@cache
def _gather(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    return st.builds(Gather, st.lists(_items(g, depth), min_size=1, max_size=3).map(tuple))


@cache
def _detach(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    return st.builds(Detach, _items(g, depth))


@cache
def _cancel(g: Grammar, depth: int) -> st.SearchStrategy[Any]:
    blocked = _items(g, depth).map(lambda items: (*items, Block()))
    ticks = st.none() | st.integers(0, 12) if g.ticks else st.none()
    return st.builds(Cancel, blocked | _items(g, depth), ticks)
