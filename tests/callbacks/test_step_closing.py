"""Generators that are given up, and iterators that are no generators, step by step in a run."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from opentelemetry.context import get_current

from callspan.callbacks import CallbackManager, CallbackManagerForChainRun
from support import SpanLog, current


@pytest.fixture
def run(spans: SpanLog) -> Iterator[CallbackManagerForChainRun]:
    run = CallbackManager.configure().on_chain_start({}, {}, name="run")
    yield run
    run.on_chain_end({})
    assert spans.open == []


def closing(how: Callable[[Any], None], chunks: int, run: Any) -> list[str]:
    """What a body notes as it is closed after some chunks."""
    notes: list[str] = []

    def body() -> Iterator[int]:
        try:
            yield from range(5)
        finally:
            notes.append(current())

    steps = run.step(body())
    for _ in range(chunks):
        next(steps)
    how(steps)
    return notes


def in_thread(call: Callable[[], None]) -> None:
    thread = threading.Thread(target=call)
    thread.start()
    thread.join()


WAYS: dict[str, Callable[[Any], None]] = {
    "closed": lambda steps: steps.close(),
    "closed from another thread": lambda steps: in_thread(steps.close),
    "dropped": lambda steps: None,
}


@pytest.mark.parametrize("chunks", [0, 1, 3])
@pytest.mark.parametrize("way", WAYS)
def test_given_up(way: str, chunks: int, run: CallbackManagerForChainRun) -> None:
    """The body's clean-up runs in the run, unless the body never began."""
    before = get_current()
    notes = closing(WAYS[way], chunks, run)
    assert notes == (["run"] if chunks else [])
    assert get_current() is before


def test_collected(run: CallbackManagerForChainRun) -> None:
    """The collector closes the body when it likes, before or after the steps around it."""

    def leave(steps: Any) -> None:
        circle: list[Any] = [steps]
        circle.append(circle)

    before = get_current()
    notes = closing(leave, 1, run)
    gc.collect()
    assert len(notes) == 1
    assert get_current() is before


def test_a_body_that_will_not_be_closed(run: CallbackManagerForChainRun) -> None:
    """A body that yields when it is closed is the error that it is without the run."""

    def body() -> Iterator[int]:
        try:
            yield 1
        finally:
            yield 2

    steps = run.step(body())
    next(steps)
    with pytest.raises(RuntimeError, match="ignored GeneratorExit"):
        steps.close()  # type: ignore[attr-defined]


class Plain:
    """An iterator that is no generator."""

    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Plain:
        return self

    def __next__(self) -> str:
        return current()

    def close(self) -> None:
        self.closed = True


def test_plain_iterators(run: CallbackManagerForChainRun) -> None:
    """What a vendor's SDK streams is often no generator; it is closed where it can be."""
    assert list(run.step(iter([1, 2]))) == [1, 2]
    source = Plain()
    steps: Any = run.step(source)
    assert next(steps) == "run"
    steps.close()
    assert source.closed
    steps = run.step(iter([1, 2]))
    next(steps)
    with pytest.raises(KeyError):
        steps.throw(KeyError())
    kept: list[Any] = []
    assert list(run.step(iter([1, 2]), keep=kept.append)) == kept == [1, 2]
