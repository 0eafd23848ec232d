"""`opentelemetry-instrument` traces a LangChain program that knows nothing of tracing."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from export.receiver import http_receiver

pytest.importorskip("opentelemetry.distro", reason="needs opentelemetry-distro")

ROOT = Path(__file__).parents[2]
COMMAND = Path(sys.executable).with_name("opentelemetry-instrument")
PAGE = (ROOT / "docs" / "examples.md").read_text(encoding="utf-8")


def instrumented(endpoint: str, *program: str, **environment: str) -> str:
    """Run a program under `opentelemetry-instrument`, and return what it prints."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    done = subprocess.run(
        [COMMAND, sys.executable, *program],
        env={
            **inherited,
            "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_METRICS_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            **environment,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def tree(spans: list[Any]) -> str:
    """The names of the spans of one trace, as the docs show them."""
    assert len({span.trace_id for span in spans}) == 1

    def lines(parent: bytes, before: str) -> Iterator[str]:
        below = [span for span in spans if span.parent_span_id == parent]
        for span in sorted(below, key=lambda span: span.start_time_unix_nano):
            is_last = span.span_id == below[-1].span_id
            branch = "" if not parent else "└─ " if is_last else "├─ "
            yield f"{before}{branch}{span.name}\n"
            yield from lines(span.span_id, before + ("   " if is_last else "│  ") * bool(parent))

    return "".join(lines(b"", ""))


def attribute(span: Any, key: str) -> str | None:
    values = [one.value.string_value for one in span.attributes if one.key == key]
    return values[0] if values else None


def test_an_unchanged_program_is_traced() -> None:
    """Operators trace programs whose authors never heard of it."""
    program = "examples/langchain_plain.py"
    assert "callspan" not in (ROOT / program).read_text(encoding="utf-8")
    printed, shown = re.findall(rf"python {program}\n(.*?)```.*?```\n(.*?)```", PAGE, re.DOTALL)[0]
    with http_receiver() as receiver:
        assert (
            instrumented(receiver.endpoint, str(ROOT / program), OTEL_SERVICE_NAME="greeter")
            == printed
        )
    assert receiver.resource["service.name"] == "greeter"
    assert tree(receiver.spans) == shown
    (model,) = [span for span in receiver.spans if span.name.startswith("chat ")]
    assert attribute(model, "gen_ai.operation.name") == "chat"
    assert attribute(model, "gen_ai.input.messages") is None


def test_content_is_switched_on_by_the_usual_variable() -> None:
    """There is no code in which to pass an argument."""
    with http_receiver() as receiver:
        instrumented(
            receiver.endpoint,
            str(ROOT / "examples" / "langchain_plain.py"),
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT="true",
        )
    (model,) = [span for span in receiver.spans if span.name.startswith("chat ")]
    assert "Lima" in str(attribute(model, "gen_ai.input.messages"))


def test_it_can_be_disabled_by_its_name() -> None:
    """As any instrumentation of OpenTelemetry's."""
    with http_receiver() as receiver:
        instrumented(
            receiver.endpoint,
            str(ROOT / "examples" / "langchain_plain.py"),
            OTEL_PYTHON_DISABLED_INSTRUMENTATIONS="callspan_langchain",
        )
    assert receiver.spans == []


def test_a_program_without_langchain_is_left_alone(tmp_path: Path) -> None:
    """To have callspan without its extra is no reason to complain."""
    absent = tmp_path / "langchain_core" / "__init__.py"
    absent.parent.mkdir()
    absent.write_text("raise ModuleNotFoundError(__name__)")
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    with http_receiver() as receiver:
        assert instrumented(receiver.endpoint, "-c", "print(1)", PYTHONPATH=path) == "1\n"
