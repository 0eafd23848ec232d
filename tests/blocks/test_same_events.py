"""callspan's blocks beside langchain_core's: the same program, the same events."""

from __future__ import annotations

from typing import Any

import pytest
from both import CALLSPAN, LANGCHAIN, as_tree, heard
from common_programs import AT_THE_SAME_TIME, IN_ORDER


def _name(program: Any) -> str:
    return str(program.__name__)


@pytest.mark.parametrize("program", IN_ORDER, ids=_name)
async def test_events_come_in_the_same_order(program: Any) -> None:
    """Handlers written for langchain_core count on its events, names, tags and parents."""
    assert await heard(CALLSPAN, program) == await heard(LANGCHAIN, program)


@pytest.mark.parametrize("program", AT_THE_SAME_TIME, ids=_name)
async def test_runs_have_the_same_tree(program: Any) -> None:
    """The same where parts run at the same time, and only the order is nobody's to say."""
    ours, theirs = await heard(CALLSPAN, program), await heard(LANGCHAIN, program)
    assert as_tree(ours) == as_tree(theirs)
