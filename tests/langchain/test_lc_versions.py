"""Which versions of LangChain and LangGraph are taken, and what is said of others and of none."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from callspan.langchain import LangChainInstrumentor, versions

ROOT = Path(__file__).parents[2]


def printed(program: str) -> str:
    run = [sys.executable, "-c", textwrap.dedent(program)]
    return subprocess.run(run, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("core", "graph"),
    [("0.3.67", "0.6.0"), ("0.3.86", "0.6.11"), ("1.0.0", "1.0.0"), ("1.99.1rc1", None)],
)
def test_a_version_that_was_tried_is_taken_silently(
    core: str, graph: str | None, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning that is wrong hides the ones that are right; LangGraph need not be there."""
    install(monkeypatch, core, graph)
    versions.check_versions()
    assert caplog.messages == []


@pytest.mark.parametrize(
    ("core", "graph", "named"),
    [
        ("0.3.66", "0.6.0", "langchain-core from 0.3.67 to below 2, not with 0.3.66"),
        ("2.0.0", "1.0.0", "langchain-core from 0.3.67 to below 2, not with 2.0.0"),
        ("1.0.0", "0.5.4", "langgraph from 0.6 to below 2, not with 0.5.4"),
        ("1.0.0", "2.0a1", "langgraph from 0.6 to below 2, not with 2.0a1"),
    ],
)
def test_of_another_version_one_warning_says_what_was_tried(
    core: str,
    graph: str,
    named: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It may work: the program goes on, and its owner knows where to look."""
    install(monkeypatch, core, graph)
    versions.check_versions()
    (message,) = caplog.messages
    assert named in message


def install(monkeypatch: pytest.MonkeyPatch, core: str, graph: str | None) -> None:
    found = {"langchain-core": core, "langgraph": graph}

    def version(package: str) -> str:
        if found[package] is None:
            raise PackageNotFoundError(package)
        return str(found[package])

    monkeypatch.setattr(versions, "version", version)


def test_the_extra_asks_for_the_same_versions() -> None:
    """What pip installs, what is warned of and what tools are told must agree."""
    first, beyond = versions.SUPPORTED["langchain-core"]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'langchain = ["langchain-core>={first},<{beyond}"]' in project
    asked = LangChainInstrumentor().instrumentation_dependencies()
    assert asked == (f"langchain-core >= {first}, < {beyond}",)


def test_no_langchain() -> None:
    """The error has to say what to install, and be an ImportError for who tries this import."""
    shown = printed("""
        import sys
        sys.modules["langchain_core"] = None
        try:
            from callspan.langchain import OTelCallbackHandler
        except ImportError as error:
            print(type(error).__name__, error)
    """)
    assert shown.startswith("MissingDependencyError ")
    assert "pip install 'callspan[langchain]'" in shown


def test_no_langgraph() -> None:
    """Many programs have LangChain alone."""
    shown = printed("""
        import sys
        sys.modules["langgraph"] = None
        from langchain_core.runnables import RunnableLambda
        from callspan.langchain import OTelCallbackHandler
        print(RunnableLambda(len).invoke("four", {"callbacks": [OTelCallbackHandler()]}))
    """)
    assert shown == "4\n"
