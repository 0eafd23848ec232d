"""`make demo`, as a newcomer sees it, and the parts that it is made of."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from callspan.demo.corpus import Index, Passage, standard_library
from callspan.demo.extractive import ExtractiveChatModel

ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("OTEL_", "ANTHROPIC_", "CALLSPAN_")) and key != "MODEL"
}


def run_demo(**environment: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "callspan.demo"],
        env={**ENVIRONMENT, "PYTHONIOENCODING": "utf-8", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_the_demo_answers_and_shows_the_tree() -> None:
    """The first thing a newcomer runs has to work with no key, no backend and no network."""
    printed = run_demo(OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:9")

    assert "It is no language model." in printed
    assert "A: heapq.nlargest: Find the n largest elements in a dataset." in printed
    assert "A: statistics.median: Return the median (middle value) of numeric data." in printed
    assert "├─ chat extractive-demo" in printed
    assert "execute_tool search_docs" in printed
    assert "tokens" in printed
    assert "Chain RunnableSequence started" in printed
    assert "Chat model ended, response: generations=[[ChatGeneration(text='1 + 2 = 3'" in printed
    assert "Nothing listens on OTLP at http://127.0.0.1:9" in printed
    assert "docker compose up -d" in printed


def test_a_reader_that_has_seen_enough_is_no_error() -> None:
    """`make demo | head` is how one looks at a program that prints much."""
    with subprocess.Popen(
        [sys.executable, "-m", "callspan.demo"],
        env={**ENVIRONMENT, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        demo.stdout.close()
        assert demo.stderr.read() == b""


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("n largest elements of a dataset", "heapq.nlargest"),
        ("median of data", "statistics.median"),
        ("url safe base64 encoding", "base64.urlsafe_b64encode"),
    ],
)
def test_the_search_finds_what_is_documented(query: str, name: str) -> None:
    """A demo whose search finds nonsense would show a trace nobody believes."""
    found = [passage.name for passage in standard_library().search(query)]
    assert name in found


def test_a_query_without_a_known_word_finds_nothing() -> None:
    """No passage is better than a passage that has nothing to do with the question."""
    index = Index([Passage("json.dumps", "Serialize obj to a JSON formatted str.")])
    assert index.search("zebra crossing") == []
    assert [passage.name for passage in index.search("serialize to JSON")] == ["json.dumps"]


def test_the_model_says_when_it_does_not_know() -> None:
    """An extractive model has to admit that the passages have no answer, not make one up."""
    answer = ExtractiveChatModel().invoke("[json.dumps] Serialize obj.\n\nQuestion: zebras?")
    assert answer.content == "The documentation at hand does not say."


def test_the_streamed_answer_is_the_invoked_one() -> None:
    """The demo streams; what it shows has to be what invoke would have returned."""
    model = ExtractiveChatModel()
    prompt = "[heapq.nlargest] Find the n largest elements in a dataset.\n\nQuestion: n largest?"
    chunks = list(model.stream(prompt))
    assert len(chunks) > 3
    assert "".join(chunk.text for chunk in chunks) == model.invoke(prompt).text
