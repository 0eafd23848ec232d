"""Random programs of nested runs, and what holds for every one of them.

`checks` says what that is. CALLSPAN_EXAMPLES sets how many programs each test executes; without it
they are the same ones every time. CALLSPAN_SHRINK=no takes a program that fails as it is.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from .checks import check
from .programs import Grammar, Items, programs

_EXAMPLES = os.environ.get("CALLSPAN_EXAMPLES")
_SHRINKS = os.environ.get("CALLSPAN_SHRINK") != "no"
_some = settings(
    max_examples=int(_EXAMPLES or 200),
    derandomize=_EXAMPLES is None,
    database=None,
    deadline=None,
    print_blob=True,
    phases=tuple(Phase) if _SHRINKS else (Phase.generate,),
    suppress_health_check=list(HealthCheck),
)
_SYNC = Grammar(is_async=False, in_loop=False)
_ASYNC = Grammar(is_async=True, in_loop=True)
_TICKS = Grammar(is_async=True, in_loop=True, ticks=True)


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
