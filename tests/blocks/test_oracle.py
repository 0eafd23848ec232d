"""callspan's blocks beside langchain_core's: the same program, the same events and arguments."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

# Each of these adds its programs.
import oracle_chains  # noqa: F401
import oracle_models  # noqa: F401
import oracle_structures  # noqa: F401
import oracle_texts  # noqa: F401
import oracle_tools  # noqa: F401
import oracle_tries  # noqa: F401
import pytest
from oracle import PROGRAMS, Program, as_tree, heard
from oracle_differences import DIFFERENCES, Difference

CALLERS = {"sync": False, "async": True}


def both(
    one: Program, is_async: bool, differences: Sequence[Difference] = DIFFERENCES
) -> tuple[Any, Any]:
    """What is heard of a program in either library, without the differences."""

    def told(library: str) -> Any:
        lines, outcome = heard(library, one, is_async=is_async)
        for difference in differences:
            if difference.of in (library, "both"):
                lines = difference.without(lines)
        return as_tree(lines) if one.at_once else lines, outcome

    return told("callspan"), told("langchain")


@pytest.mark.parametrize("is_async", CALLERS.values(), ids=CALLERS)
@pytest.mark.parametrize("one", PROGRAMS, ids=str)
def test_programs(one: Program, is_async: bool) -> None:
    """Handlers written for langchain_core count on its events, in its order, with its arguments."""
    (ours, result), (theirs, expected) = both(one, is_async)
    assert result == expected
    assert ours == theirs


@pytest.mark.parametrize("place", range(len(DIFFERENCES)), ids=lambda i: DIFFERENCES[i].subject)
def test_differences(place: int) -> None:
    """A row that nothing needs would hide the next difference of its kind."""
    others = [*DIFFERENCES[:place], *DIFFERENCES[place + 1 :]]

    def needs_it(one: Program, is_async: bool) -> bool:
        try:
            (ours, _), (theirs, _) = both(one, is_async, others)
        except (LookupError, TypeError, ValueError):  # a later row counts on it
            return True
        return bool(ours != theirs)

    assert any(needs_it(*case) for case in itertools.product(PROGRAMS, CALLERS.values()))


def test_programs_do_something() -> None:
    """A program that no handler hears of compares nothing."""
    silent = [
        str(one)
        for one in PROGRAMS
        if not any(heard("callspan", one, is_async=is_async)[0] for is_async in CALLERS.values())
    ]
    assert silent == ["model_given_what_is_no_message"]
