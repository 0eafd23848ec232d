"""docs/langchain.md: its programs run, and the tests that it names are there."""

from __future__ import annotations

import re
from inspect import isfunction
from pathlib import Path
from typing import Any

import pytest

from callspan.langchain import LangChainInstrumentor, internals
from callspan.langchain.versions import SUPPORTED
from support import SpanLog

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs" / "langchain.md").read_text()
HERE = Path(__file__).parent


def section(title: str) -> str:
    (found,) = re.findall(rf"^## {title}$(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    return str(found)


def names_of_tests(*files: Path) -> set[str]:
    texts = (file.read_text() for file in files)
    return {name for text in texts for name in re.findall(r"(?m)^(?:async )?def (test_\w+)", text)}


def test_the_tests_that_it_names_are_there() -> None:
    """A table of what is tested is worth what its tests are worth."""
    there = names_of_tests(*HERE.glob("test_*.py"), ROOT / "tests/backends/test_langchain.py")
    table = section("How it is tested")
    rows = re.findall(r"^\| (?!scenario|---)(.+?) \| (.+?) \|$", table, re.MULTILINE)
    assert len(rows) > 35
    for scenario, tests in rows:
        named = set(re.findall(r"`(test_\w+)`", tests))
        assert named or scenario == "metrics"
        assert named <= there


def test_each_impossible_thing_is_asserted_and_each_assertion_is_told() -> None:
    """The table and its tests are the same list."""
    told = re.findall(r"`(test_[a-z_]+)` \|$", section("What is impossible"), re.MULTILINE)
    assert set(told) == names_of_tests(HERE / "test_lc_impossible.py")


def test_it_names_the_supported_versions() -> None:
    """As the code has them, which warns of others."""
    for package, (first, beyond) in SUPPORTED.items():
        assert f"{package} from {first}" in section("Versions")
        assert f"below {beyond}" in section("Versions")


def test_it_lists_what_is_read_of_langchain() -> None:
    """Whoever maintains LangChain can see there what callspan relies on."""
    listed = section("What is read of LangChain")
    own = {name for name, value in vars(internals).items() if isfunction(value)}
    ours = {name for name in own if vars(internals)[name].__module__ == internals.__name__}
    assert {name for name in ours if f"`{name}`" not in listed} == {"suspends", "awaits"}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_programs_run(spans: SpanLog) -> None:
    """In their order, as somebody tries them who reads it."""
    programs = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(programs) == 5
    namespace: dict[str, Any] = {"__name__": "docs"}
    try:
        for program in programs:
            spans.clear()
            exec(program, namespace)  # noqa: S102
            assert spans.ended
            assert spans.open == []
            if "interrupt" in program:
                interrupted, resumed = [one for one in spans.ended if one.parent is None]
                assert (interrupted.attributes or {})["callspan.run.outcome"] == "interrupted"
                assert [link.context for link in resumed.links] == [interrupted.context]
    finally:
        LangChainInstrumentor().uninstrument()
    assert spans.tree()[:2] == ["answer", "  RunnableSequence"]
