"""The handlers that print progress and tokens, to standard output and to a file."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import langchain_core.callbacks as langchain
import pytest
from hypothesis import given
from hypothesis import strategies as st

import callspan.callbacks as callspan
from callspan.errors import ConfigurationError
from callspan.messages import HumanMessage

COLORS = [None, "blue", "yellow", "pink", "green", "red"]
texts = st.text(st.characters(exclude_categories=["Cs"]))
colors = st.sampled_from(COLORS)
prefixes = st.none() | texts


def printed(play: Callable[..., None], library: Any, *args: Any, **kwargs: Any) -> str:
    """What a library's standard output handler prints while `play` drives it."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        play(library, library.StdOutCallbackHandler(*args, **kwargs))
    return out.getvalue()


def filed(play: Callable[..., None], library: Any, path: Path, *args: Any, **kwargs: Any) -> bytes:
    """What a library's file handler leaves in the file, likewise."""
    with library.FileCallbackHandler(str(path), *args, **kwargs) as handler:
        play(library, handler)
    return path.read_bytes()


def whole_run(library: Any, handler: Any) -> None:
    """One of every event that prints, with the names a chain can have."""
    manager = library.CallbackManager.configure([handler])
    manager.on_chain_start({"name": "given"}, {}, name="run name").on_chain_end({})
    manager.on_chain_start({"id": ["package", "Chain"]}, {}).on_chain_end({})
    manager.on_chain_start({}, {}).on_chain_error(ValueError("boom"))
    chain = manager.on_chain_start({"name": "given"}, {"a": 1})
    chain.on_text("some text")
    chain.on_text("coloured", color="red", end="\n--\n")
    chain.on_agent_action(SimpleNamespace(log="I shall search"))
    chain.on_agent_action(SimpleNamespace(log="I shall search"), color="pink")
    chain.get_child().on_tool_start({"name": "tool"}, "x").on_tool_end({"an": "output"})
    tool = manager.on_tool_start({"name": "tool"}, "x")
    tool.on_tool_end("found", color="yellow", observation_prefix="Saw: ", llm_prefix="Thought:")
    chain.on_agent_finish(SimpleNamespace(log="done"))
    chain.on_agent_finish(SimpleNamespace(log="done"), color="blue")
    chain.on_chain_end({})


class TestLikeLangchain:
    """Output is compared with langchain_core's own handlers, byte for byte."""

    @pytest.mark.parametrize("color", COLORS)
    def test_stdout(self, color: str | None) -> None:
        """Tools that read this output, and users' eyes, know langchain's exact bytes."""
        expected = printed(whole_run, langchain, color)
        assert "given" in expected
        assert printed(whole_run, callspan, color) == expected

    @pytest.mark.parametrize("color", COLORS)
    def test_file(self, color: str | None, tmp_path: Path) -> None:
        """A log file must go on in the same format when the import changes."""
        expected = filed(whole_run, langchain, tmp_path / "theirs", "a", color)
        assert b"given" in expected
        assert filed(whole_run, callspan, tmp_path / "ours", "a", color) == expected

    @given(text=texts, own=colors, color=colors, end=texts, before=prefixes, after=prefixes)
    def test_any_text(
        self, text: str, own: Any, color: Any, end: str, before: Any, after: Any
    ) -> None:
        """Neither colours nor prefixes may depend on what the text is, such as an empty one."""

        def play(library: Any, handler: Any) -> None:
            manager = library.CallbackManager.configure([handler])
            chain = manager.on_chain_start({"name": f"my {text}"}, {})
            chain.on_text(text, color=color, end=end)
            chain.get_child().on_tool_start({"name": "tool"}, "").on_tool_end(
                text, color=color, observation_prefix=before, llm_prefix=after
            )
            chain.on_agent_finish(SimpleNamespace(log=text), color=color)

        assert printed(play, callspan, own) == printed(play, langchain, own)

    @given(tokens=st.lists(texts | st.lists(st.dictionaries(texts, texts, max_size=2), max_size=2)))
    def test_streamed_tokens(self, tokens: list[Any]) -> None:
        """A streamed answer must read as one text, with nothing between its tokens."""

        def stream(library: Any) -> str:
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                handler = library.StreamingStdOutCallbackHandler()
                manager = library.CallbackManager.configure([handler])
                (run,) = manager.on_llm_start({"name": "model"}, ["prompt"])
                for token in tokens:
                    run.on_llm_new_token(token)
                run.on_llm_error(ValueError("boom"))
            return out.getvalue()

        assert stream(callspan) == stream(langchain)


def test_a_token_is_visible_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Streaming to a pipe is worth nothing if the tokens wait in a buffer."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(raw, 65536)))
    manager = callspan.CallbackManager.configure([callspan.StreamingStdOutCallbackHandler()])
    (run,) = manager.on_chat_model_start({"name": "model"}, [[HumanMessage("Hi")]])
    run.on_llm_new_token("tok")
    assert raw.getvalue() == b"tok"


def test_text_that_the_terminal_cannot_encode_is_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    """An emoji in an answer must not lose the whole line on a terminal that is not UTF-8."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="latin-1"))
    callspan.StdOutCallbackHandler().on_text("é \N{SNOWMAN}\ud800")
    assert raw.getvalue() == b"\xe9 \\u2603\\ud800"


def test_no_standard_output_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows programs without a console have no sys.stdout at all."""
    monkeypatch.setattr(sys, "stdout", None)
    callspan.StdOutCallbackHandler(color="green").on_text("text")
    manager = callspan.CallbackManager.configure([callspan.ConsoleCallbackHandler()])
    manager.on_chain_start({"name": "chain"}, {}).on_chain_end({})


@pytest.mark.parametrize("make", [callspan.StdOutCallbackHandler, callspan.FileCallbackHandler])
def test_an_unknown_color_is_refused_when_the_handler_is_made(make: Any, tmp_path: Path) -> None:
    """Told at the first event it would be one warning in a log, and no output ever."""
    arguments = [tmp_path / "out"] if make is callspan.FileCallbackHandler else []
    with pytest.raises(ConfigurationError, match=r"'mauve'.*blue, yellow, pink, green, red"):
        make(*arguments, color="mauve")


class TestFile:
    """The file of a FileCallbackHandler: how it is opened and closed."""

    def test_modes(self, tmp_path: Path) -> None:
        """Whether a second run keeps the log of the first is the user's choice."""
        path = tmp_path / "log"
        for mode, expected in [("x", "1"), ("a", "11"), ("w", "1")]:
            with callspan.FileCallbackHandler(path, mode) as handler:
                handler.on_text("1")
            assert path.read_text() == expected
        with pytest.raises(FileExistsError):
            callspan.FileCallbackHandler(path, "x")

    @pytest.mark.parametrize("mode", ["r", "ab", ""])
    def test_a_mode_that_writes_no_text_is_refused(self, mode: str, tmp_path: Path) -> None:
        """It would fail at every single event."""
        (tmp_path / "log").touch()
        with pytest.raises(ConfigurationError, match=f"mode '{mode}' writes no text"):
            callspan.FileCallbackHandler(tmp_path / "log", mode)

    def test_direct_use(self, tmp_path: Path) -> None:
        """A handler that is held for a program's life has no with block around it."""
        handler = callspan.FileCallbackHandler(tmp_path / "log")
        handler.on_text("é")
        assert (tmp_path / "log").read_bytes() == "é".encode()
        handler.close()
        handler.close()
        assert handler.file.closed

    def test_an_event_after_close_says_what_is_wrong(self, tmp_path: Path) -> None:
        """Silence would look like a program that did nothing."""
        with callspan.FileCallbackHandler(tmp_path / "log") as handler:
            pass
        with pytest.raises(RuntimeError, match=r"File is not open.*with block"):
            handler.on_text("late")

    def test_a_forgotten_handler_closes_its_file(self, tmp_path: Path) -> None:
        """A program that makes a handler a request must not run out of file descriptors."""
        handler = callspan.FileCallbackHandler(tmp_path / "log")
        file = handler.file
        del handler
        assert file.closed
