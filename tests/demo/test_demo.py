"""`make demo`, as a newcomer sees it, and the parts that it is made of."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import Any

import pytest

from callspan.demo.corpus import Index, Passage, standard_library
from callspan.demo.extractive import ExtractiveChatModel
from callspan.demo.librarian import librarian

ENVIRONMENT = {
    key: value
    for key, value in os.environ.items()
    if not key.startswith(("OTEL_", "ANTHROPIC_", "OPENAI_", "CALLSPAN_", "MODEL"))
    and key != "MODEL"
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

    assert "It is no language" in printed
    assert "A: heapq.nlargest(n, iterable, key=None): Find the n largest elements" in printed
    assert "A: collections.deque: A list-like sequence optimized for data accesses" in printed
    assert "invoke_agent librarian" in printed
    assert "├─ chat extractive-demo" in printed
    assert "tokens" in printed
    assert re.search(r"├─ retrieval \w+ +<?\d+ms  error \S+IndexNotReadyError\n", printed)
    assert re.search(r"└─ retrieval \w+ +<?\d+m?s  attempt 2\n", printed)
    assert re.search(r"├─ execute_tool signature +<?\d+ms  error ValueError\n", printed)
    assert "Chain RunnableSequence started" in printed
    assert "Chat model ended, response: generations=[[ChatGeneration(text='1 + 2 = 3'" in printed
    assert printed.index("  Chain ended, outputs: content='1") < printed.index(
        "invoke_workflow add"
    )
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
    found = [passage.name for passage, _ in standard_library().search(query)]
    assert name in found


def test_a_query_without_a_known_word_finds_nothing() -> None:
    """No passage is better than a passage that has nothing to do with the question."""
    index = Index([Passage("json.dumps", "Serialize obj to a JSON formatted str.")])
    assert index.search("zebra crossing") == []
    assert [passage.name for passage, _ in index.search("serialize to JSON")] == ["json.dumps"]


def asked(question: str) -> dict[str, Any]:
    return librarian(ExtractiveChatModel()).invoke({"messages": [question]})


def test_the_model_says_when_it_does_not_know() -> None:
    """An extractive model has to admit that the passages have no answer, not make one up."""
    assert asked("zebras?")["messages"][-1].text == "The documentation at hand does not say."


def test_the_streamed_answer_is_the_invoked_one() -> None:
    """The demo streams; what it shows has to be what invoke would have returned."""
    *_, streamed = librarian(ExtractiveChatModel()).stream({"messages": ["What has median data?"]})
    invoked = asked("What has median data?")
    assert [one.text for one in streamed["messages"]] == [one.text for one in invoked["messages"]]
    assert streamed["messages"][-1].text.startswith("statistics.median")


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"OTEL_SDK_DISABLED": "true"}, "OTEL_SDK_DISABLED is true: there are no traces."),
        ({"OTEL_TRACES_EXPORTER": "none"}, "went where OTEL_TRACES_EXPORTER=none says"),
        (
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
                "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:8/v1/traces",
            },
            "Nothing listens on OTLP at http://127.0.0.1:8/v1/traces",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:port"},
            "Nothing listens on OTLP at http://localhost:port",
        ),
        (
            {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://ann:hunter2@127.0.0.1:9"},
            "Nothing listens on OTLP at http://ann:[secret]@127.0.0.1:9",
        ),
    ],
)
def test_where_the_traces_went(environment: dict[str, str], said: str) -> None:
    """The environment decides over the demo too, which says what became of its traces."""
    assert said in run_demo(**environment)


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"MODEL": "lokal"}, "MODEL is local, anthropic, openai or own, not 'lokal'"),
        ({"MODEL": "openai"}, "there is no API key for OpenAI: set OPENAI_API_KEY"),
        ({"OPENAI_BASE_URL": "http://127.0.0.1:9/v1"}, "It gives none: Connection error"),
    ],
)
def test_a_model_that_cannot_be_asked(environment: dict[str, str], said: str) -> None:
    """It must not quietly be replaced by another one, and a newcomer reads a line, no traceback."""
    done = subprocess.run(
        [sys.executable, "-m", "callspan.demo"],
        env={**ENVIRONMENT, "OTEL_TRACES_EXPORTER": "none", **environment},
        capture_output=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
