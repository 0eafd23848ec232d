"""The blocks in the language of `programs`: what they are made of, and their strategies."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from hypothesis import strategies as st

Items: TypeAlias = tuple[Any, ...]
Strategy: TypeAlias = st.SearchStrategy[Any]


class ProgramError(Exception):
    """What a program raises: blocks try again after it."""


@dataclass(frozen=True)
class Part:
    """A block of one kind that executes a body; of a model the cache may have the answer."""

    kind: str
    body: Items
    kept: bool = False


@dataclass(frozen=True)
class Composite:
    """A block that is made of parts, for one input or a batch of them.

    After a part of a retry or of fallbacks that raises a ProgramError comes the next one; what
    else it raises ends the block.
    """

    how: str
    """alone (a part itself), sequence, parallel, retry or fallbacks."""
    via: str
    """invoke, batch, as completed, or stream: parts yield a chunk after their bodies."""
    is_async: bool
    inputs: tuple[tuple[Part, ...], ...]
    """The parts, as they are for each input."""
    handlers: tuple[str, ...] = ()
    limit: int | None = None
    """How many calls are made at a time."""
    returns: bool = False
    """Of a batch: whether exceptions are returned."""
    tail: Items = ()
    """What parts that stream do after their chunks."""
    closes: bool = False
    """Whether a stream is closed after its first chunk."""


@dataclass(frozen=True)
class Texts:
    """A batch, or `generate`, of prompts for a text model, whose cache has some of the answers.

    Its body is how the model answers all the others at once.
    """

    is_async: bool
    kept: tuple[bool, ...]
    body: Items
    local: tuple[str, ...] = ()
    limit: int | None = None
    """How many prompts the model is asked at a time."""
    returns: bool = False
    """Whether exceptions are returned."""
    generates: bool = False


@dataclass(frozen=True)
class Turn:
    """One turn of an agent: what its model does, and then the tools that it asks for."""

    model: Items
    tools: tuple[Items, ...]


@dataclass(frozen=True)
class Agent:
    """An agent whose tools' errors go to the model, which answers after these turns."""

    is_async: bool
    turns: tuple[Turn, ...]
    handlers: tuple[str, ...] = ()
    limit: int | None = None
    """How many tools are called at a time."""
    answers: bool = True
    """Whether its `max_steps` are enough."""
    takes: int | None = None
    """After how many states its stream is closed; 0 for one that is not; None to invoke it."""


_PARTS = {
    "alone": (1, 1),
    "sequence": (2, 3),
    "parallel": (1, 3),
    "retry": (1, 3),
    "fallbacks": (1, 3),
}
"""How a block is made, and of how many parts."""


def blocks(
    items: Strategy, together: Strategy, tried: Strategy, handlers: Strategy, *, is_async: bool
) -> list[tuple[int, Strategy]]:
    """Blocks for callers of one kind, with their weights.

    Args:
        items: Bodies.
        together: Bodies of what is called at the same time, and may be cancelled by its siblings.
        tried: Bodies that are likely to fail.
        handlers: Handlers that are passed to a block.
        is_async: Whether their callers are.
    """
    coroutine, limits = st.just(is_async), st.sampled_from([None, None, 1, 2])
    kinds = st.sampled_from(["chain", "chain", "chat_model", "llm", "tool", "retriever"])

    def inputs(how: str, body: Strategy, kind: Strategy, most: int) -> Strategy:
        least, count = _PARTS[how]
        body = tried if how in ("retry", "fallbacks") else body
        parts = _some(st.builds(Part, kind, body, st.booleans()), least, count)
        return _same_length(parts, most)

    def composite(how: str) -> Strategy:
        body = together if how == "parallel" else items
        invoked = st.builds(
            Composite,
            st.just(how),
            st.just("invoke"),
            coroutine,
            inputs(how, body, kinds, 1),
            handlers,
            limits,
        )
        batch = partial(
            st.builds,
            Composite,
            st.just(how),
            is_async=coroutine,
            handlers=handlers,
            inputs=inputs(how, together, kinds, 3),
            returns=st.booleans(),
        )
        # Of several calls at a time, any may complete first.
        return st.one_of(
            invoked,
            batch(via=st.just("batch"), limit=limits),
            batch(via=st.just("as completed"), limit=st.just(1)),
        )

    def streamed(how: str) -> Strategy:
        return st.builds(
            Composite,
            st.just(how),
            st.just("stream"),
            coroutine,
            inputs(how, items, st.just("chain"), 1),
            handlers,
            tail=items,
            closes=st.booleans(),
        )

    seldom = st.sampled_from([False, False, True])
    asked = _some(seldom, 1, 4)
    texts = st.builds(
        Texts, coroutine, asked, tried, handlers, limits, returns=st.booleans(), generates=seldom
    )
    turns = st.lists(st.builds(Turn, items, _some(together, 1, 3)), max_size=2).map(tuple)
    taken = st.none() | st.integers(0, 4)
    return [
        *((1, composite(how)) for how in _PARTS),
        *((1, streamed(how)) for how in ("sequence", "retry", "fallbacks")),
        (2, texts),
        (3, st.builds(Agent, coroutine, turns, handlers, limits, st.booleans(), taken)),
    ]


def _some(one: Strategy, least: int, most: int) -> Strategy:
    return st.lists(one, min_size=least, max_size=most).map(tuple)


def _same_length(one: Strategy, most: int) -> Strategy:
    """Up to so many tuples, cut to the length of the shortest."""

    def cut(several: tuple[Items, ...]) -> tuple[Items, ...]:
        length = min(map(len, several))
        return tuple(each[:length] for each in several)

    return _some(one, 1, most).map(cut)
