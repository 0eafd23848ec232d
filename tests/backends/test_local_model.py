"""ChatOpenAI and the demo with a real language model."""

from __future__ import annotations

import os
import subprocess
import sys
from functools import reduce
from operator import add
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callspan import ConfigurationError
from callspan.demo import local
from callspan.openai import ChatOpenAI
from callspan.tools import tool
from support import SpanLog

QUESTION = "What is 1 + 2?"


@pytest.fixture
def model(local_model: local.Server) -> ChatOpenAI:
    return ChatOpenAI(
        model=local_model.name, base_url=local_model.url, api_key="none", temperature=0
    )


async def test_it_answers(model: ChatOpenAI, spans: SpanLog) -> None:
    """A model's own words and its own count of tokens reach the caller and the span."""
    answers = [model.invoke(QUESTION), await model.ainvoke(QUESTION)]
    for answer, span in zip(answers, spans.ended, strict=True):
        assert "3" in answer.text
        assert answer.usage_metadata is not None
        counts = answer.usage_metadata
        assert counts["input_tokens"] > len(QUESTION.split())
        assert counts["output_tokens"] >= len(answer.text.split())
        wanted = {
            "gen_ai.request.model": "smollm2",
            "gen_ai.response.model": "smollm2",
            "gen_ai.response.id": answer.response_metadata["id"],
            "gen_ai.response.finish_reasons": ("stop",),
            "gen_ai.usage.input_tokens": counts["input_tokens"],
            "gen_ai.usage.output_tokens": counts["output_tokens"],
            "server.address": "127.0.0.1",
            "callspan.run.outcome": "ok",
        }
        attributes = span.attributes or {}
        assert {key: attributes.get(key) for key in wanted} == wanted


async def test_it_streams(model: ChatOpenAI, spans: SpanLog) -> None:
    """Token by token the answer is the same as at once."""
    whole = model.invoke(QUESTION)
    for chunks in (
        list(model.stream(QUESTION)),
        [chunk async for chunk in model.astream(QUESTION)],
    ):
        assert len(chunks) > 5
        streamed = reduce(add, chunks)
        assert streamed.text == whole.text
        assert streamed.response_metadata["finish_reason"] == "stop"
    told = [(span.attributes or {}).get("callspan.run.outcome") for span in spans.ended]
    assert told == ["ok"] * 3
    assert [event.name for event in spans.ended[-1].events] == ["first_token"]


def test_it_stops(model: ChatOpenAI) -> None:
    """Limits reach the model, and why it has ended comes back."""
    answer = model.invoke(QUESTION, max_tokens=3)
    assert answer.response_metadata["finish_reason"] == "length"
    assert answer.usage_metadata is not None
    assert answer.usage_metadata["output_tokens"] == 3
    assert "=" not in model.invoke(QUESTION, stop=["="]).text


@tool
def add_up(a: int, b: int) -> int:
    """Add two integers."""
    return a + b


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_it_calls_a_tool(model: ChatOpenAI, way: str) -> None:
    """Its arguments fit the tool's schema, so that the tool can be run with them."""
    able = model.bind_tools([add_up], tool_choice="add_up")
    given = getattr(able, way)(QUESTION)
    answer: Any = given if way == "invoke" else reduce(add, given)
    (call,) = answer.tool_calls
    assert call["name"] == "add_up"
    result = add_up.invoke(call)
    assert result.content == str(call["args"]["a"] + call["args"]["b"])
    assert result.tool_call_id == call["id"]


class Sum(BaseModel):
    """The sum of two integers."""

    a: int
    b: int


def test_it_fills_a_structure(model: ChatOpenAI) -> None:
    """A program can go on with the answer of even a small model."""
    answer = model.with_structured_output(Sum).invoke(QUESTION)
    assert isinstance(answer, Sum)


def test_the_demo_with_it(local_model: local.Server) -> None:
    """`make demo MODEL=local` ends with the question that callspan began with."""
    run = subprocess.run(
        [sys.executable, "-m", "callspan.demo"],
        env={**os.environ, "MODEL": "local", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    assert "Answers come from smollm2" in run.stdout
    *_, tree = run.stdout.partition("A handler that is passed at run time")
    assert "Chat model ended, response: generations=[[ChatGeneration(text='1 + 2 = 3" in tree
    assert "chat smollm2" in tree


@pytest.fixture
def nothing_built(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path


def test_without_a_compiler(nothing_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is fetched it is clear that it would be in vain, and what to install."""
    monkeypatch.setenv("PATH", "")
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(ConfigurationError, match=r"no C\+\+ compiler: install one"):
        local.ensure()


def test_without_a_network(
    nothing_built: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever is offline must be told so, and half a build must not be taken for a whole one."""
    monkeypatch.setenv("CXX", "c++")
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_RETRIES"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(ConfigurationError, match="check the network") as caught:
        local.ensure()
    assert "No matching distribution found" in str(caught.value)
    assert capsys.readouterr().err.startswith("Preparing ...")
    assert not list(nothing_built.rglob("complete"))


def test_a_server_that_does_not_start(nothing_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the server printed is what tells why."""
    python = Path(sys.executable)
    monkeypatch.setattr(local, "ensure", lambda: (python, Path("no.gguf")))
    with pytest.raises(ConfigurationError, match="No module named"), local.serving():
        pytest.fail("it was handed out")
