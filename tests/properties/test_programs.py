"""Random programs of nested runs, and what holds for every one of them.

`checks` says what that is. CALLSPAN_EXAMPLES sets how many programs each test executes; without it
they are the same ones every time.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .checks import check
from .programs import Grammar, Items, programs

_EXAMPLES = os.environ.get("CALLSPAN_EXAMPLES")
_some = settings(
    max_examples=int(_EXAMPLES or 200),
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
)
_SYNC = Grammar(is_async=False, in_loop=False)
_ASYNC = Grammar(is_async=True, in_loop=True)
_TICKS = Grammar(is_async=True, in_loop=True, recorders=("inline", "async", "raising"), ticks=True)


@pytest.fixture(autouse=True, scope="module")
def _short_collections() -> Iterator[None]:
    """Programs call the garbage collector: keep what was there before out of its way."""
    gc.freeze()
    yield
    gc.unfreeze()


@_some
@given(programs(_SYNC), st.booleans())
def test_a_sync_program(program: Items, has_global: bool) -> None:
    """Whatever functions and generators do, what is traced is what happened."""
    check(program, is_async=False, has_global=has_global)


@_some
@given(programs(_ASYNC), st.booleans())
def test_an_async_program(program: Items, has_global: bool) -> None:
    """Tasks, cancellation and async generators must not tear a run's context or its end apart."""
    check(program, is_async=True, has_global=has_global)


@_some
@given(programs(_TICKS), st.booleans())
def test_a_program_cancelled_anywhere(program: Items, has_global: bool) -> None:
    """A cancellation may come while handlers are being told: no run may stay open for it."""
    check(program, is_async=True, has_global=has_global, same_result=False)
