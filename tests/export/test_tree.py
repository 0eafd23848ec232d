"""console=True: what is printed of a trace, and when."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.context import Context
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    Status,
    StatusCode,
    TraceFlags,
    Tracer,
    set_span_in_context,
)

from callspan.export.console import ConsoleSpanProcessor

from .receiver import program

MS = 1_000_000
NOWHERE = Context()


@pytest.fixture
def provider() -> Iterator[TracerProvider]:
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ConsoleSpanProcessor())
    yield provider
    provider.shutdown()


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    return provider.get_tracer("test")


def start(
    tracer: Tracer, name: str, parent: Span | None = None, at: int = 0, **attributes: Any
) -> Span:
    context = NOWHERE if parent is None else set_span_in_context(parent, NOWHERE)
    return tracer.start_span(
        name,
        context,
        start_time=at * MS,
        attributes={k.replace("__", "."): v for k, v in attributes.items()},
    )


def test_a_trace_is_printed_as_a_tree(tracer: Tracer, capsys: pytest.CaptureFixture[str]) -> None:
    """It is the first thing that a user sees of callspan: the shape, and where the time went."""
    root = start(tracer, "invoke_workflow RunnableSequence")
    prompt = start(tracer, "ChatPromptTemplate", root)
    prompt.end(1 * MS)
    branch = start(tracer, "RunnableParallel", root, at=1)
    usage = {"gen_ai__usage__input_tokens": 16, "gen_ai__usage__output_tokens": 13}
    chat = start(tracer, "chat claude-x", branch, at=1, **usage)
    tool = start(tracer, "execute_tool search", branch, at=2, error__type="KeyError")
    tool.set_status(Status(StatusCode.ERROR))
    tool.end(3 * MS)
    chat.end(1_201 * MS)
    branch.end(1_202 * MS)
    last = start(tracer, "last", root, at=1_202, callspan__run__outcome="cancelled")
    last.end(1_202 * MS + 5)
    assert capsys.readouterr().out == ""
    root.end(83_000 * MS)
    assert capsys.readouterr().out == (
        "invoke_workflow RunnableSequence  1m23s\n"
        "├─ ChatPromptTemplate               1ms\n"
        "├─ RunnableParallel                1.2s\n"
        "│  ├─ chat claude-x                1.2s  16→13 tokens\n"
        "│  └─ execute_tool search           1ms  error KeyError\n"
        "└─ last                            <1ms  cancelled\n"
    )


@pytest.mark.parametrize(
    ("nanoseconds", "shown"),
    [
        (0, "<1ms"),
        (999_999, "<1ms"),
        (MS, "1ms"),
        (999 * MS, "999ms"),
        (999 * MS + 600_000, "1.0s"),
        (59_900 * MS, "59.9s"),
        (59_960 * MS, "1m00s"),
        (3_600_000 * MS, "60m00s"),
        (-5 * MS, "<1ms"),
    ],
)
def test_durations_are_short(
    tracer: Tracer, capsys: pytest.CaptureFixture[str], nanoseconds: int, shown: str
) -> None:
    """A column of nanoseconds cannot be read; clocks can be set back."""
    tracer.start_span("a", NOWHERE, start_time=10**18).end(10**18 + nanoseconds)
    assert capsys.readouterr().out == f"a  {shown}\n"


def test_a_request_to_oneself_is_part_of_the_tree(
    tracer: Tracer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A test's client and the service that it asks are one process, and one thing to look at."""
    client = start(tracer, "client")
    own = client.get_span_context()
    asked = SpanContext(own.trace_id, own.span_id, is_remote=True, trace_flags=own.trace_flags)
    start(tracer, "server", NonRecordingSpan(asked)).end(end_time=2 * MS)
    client.end(end_time=3 * MS)
    assert capsys.readouterr().out == "client     3ms\n└─ server  2ms\n"


def test_a_remote_parent_makes_a_local_root(
    tracer: Tracer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a server every root has a parent elsewhere, which never ends here."""
    context = SpanContext(1, 2, is_remote=True, trace_flags=TraceFlags(1))
    start(tracer, "handler", NonRecordingSpan(context)).end()
    context = SpanContext(1, 3, is_remote=False, trace_flags=TraceFlags(1))
    start(tracer, "lost", NonRecordingSpan(context)).end()
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == ["handler", "lost"]


def test_a_span_that_outlives_its_root_is_printed_when_it_ends(
    tracer: Tracer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Background work goes on after the answer was given."""
    root = start(tracer, "root")
    late = start(tracer, "late", root)
    below = start(tracer, "below", late)
    root.end(2 * MS)
    assert capsys.readouterr().out == ("root          2ms\n└─ late      open\n   └─ below  open\n")
    start(tracer, "new", late).end(2 * MS)
    below.end(2 * MS)
    late.end(3 * MS)
    assert capsys.readouterr().out == "new  2ms\nbelow  2ms\nlate  3ms\n"


def test_what_is_open_at_shutdown_is_printed(
    provider: TracerProvider, tracer: Tracer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last trace of a program that was stopped is the one to look at."""
    root = start(tracer, "root")
    start(tracer, "child", root).end(MS)
    provider.shutdown()
    assert capsys.readouterr().out == "root      open\n└─ child   1ms\n"


def test_roots_that_never_end_do_not_fill_the_memory(
    tracer: Tracer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server may keep one span open for its whole life."""
    old = start(tracer, "old")
    for _ in range(20_000):
        start(tracer, "child", old).end(MS)
    early = capsys.readouterr().out.splitlines()
    old.end(MS)
    late = capsys.readouterr().out.splitlines()
    assert len(early) > 10_000
    finished = [line for line in early + late if not line.endswith("open")]
    assert len(finished) == 20_001


def test_names_cannot_move_the_cursor(tracer: Tracer, capsys: pytest.CaptureFixture[str]) -> None:
    """Names come from models too: of tools, for one."""
    start(tracer, "a\nb\x1b[2J\u202e" + "x" * 500, error__type="\r").end(MS)
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("a\\nb\\x1b[2J\\u202ex")
    assert len(line) < 150


values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(),
    st.binary(),
    st.lists(st.text()),
    st.dictionaries(st.text(min_size=1), st.text()),
)
keys = st.sampled_from(
    [
        "gen_ai.usage.input_tokens",
        "gen_ai.usage.output_tokens",
        "callspan.run.outcome",
        "error.type",
    ]
)


@given(
    st.lists(st.tuples(st.integers(0, 20), st.text(), st.dictionaries(keys, values))), st.randoms()
)
def test_every_span_is_printed_once_whatever_it_holds(
    spans: list[tuple[int, str, dict[str, Any]]], random: Any
) -> None:
    """A span processor that raises does so inside the application's own code."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(ConsoleSpanProcessor())
    tracer = provider.get_tracer("test")
    out, sys.stdout = sys.stdout, io.StringIO()
    try:
        made: list[Span] = []
        for number, (parent, name, attributes) in enumerate(spans):
            above = made[parent] if parent < len(made) else None
            span = start(tracer, f"<{number}>{name}", above)
            span.set_attributes(attributes)
            made.append(span)
        random.shuffle(made)
        for span in made:
            span.end()
        printed = sys.stdout.getvalue()
    finally:
        sys.stdout = out
    finished = [line for line in printed.splitlines() if " open" not in line]
    for number in range(len(spans)):
        assert sum(f"<{number}>" in line for line in finished) >= 1


@pytest.mark.parametrize("stream", [None, io.StringIO(), "closed"])
def test_a_program_without_a_console_goes_on(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch, stream: Any
) -> None:
    """Services run with standard output closed, or with none."""
    if stream == "closed":
        stream = io.StringIO()
        stream.close()
    monkeypatch.setattr(sys, "stdout", stream)
    start(tracer, "a").end()


def test_a_console_that_knows_no_lines_gets_ascii(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Windows consoles and LANG=C have no box drawing characters."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    root = start(tracer, "root")
    start(tracer, "a", root).end(MS)
    start(tracer, "é", root).end(MS)
    root.end(MS)
    assert raw.getvalue().decode() == "root  1ms\n|- a  1ms\n`- \\xe9  1ms\n"


@pytest.mark.parametrize(("no_color", "colored"), [("", True), ("1", False)])
def test_a_terminal_gets_colours(
    tracer: Tracer, monkeypatch: pytest.MonkeyPatch, no_color: str, colored: bool
) -> None:
    """Errors have to stand out; escape codes in a log file only disturb."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setattr(sys, "stdout", Terminal())
    span = start(tracer, "a")
    span.set_status(Status(StatusCode.ERROR))
    span.end(MS)
    assert ("\x1b[31ma\x1b[0m" in sys.stdout.getvalue()) is colored  # type: ignore[attr-defined]


def test_configure_prints_beside_what_it_sends() -> None:
    """console=True is for the first steps, with or without a backend."""
    shown = program(
        """
        configure(console=True)
        @callspan.traced
        def outer(): step()
        outer()
        """,
        {"OTEL_TRACES_EXPORTER": "none"},
    ).stdout
    assert [line.split("  ")[0] for line in shown.splitlines()] == [
        "invoke_workflow outer",
        "└─ step",
    ]


def test_a_forked_process_prints_its_own_spans() -> None:
    """The root belongs to the parent: the child would wait for it for ever, and so would we."""
    shown = program(
        """
        import os
        configure(console=True)
        @callspan.traced
        def outer():
            child = os.fork()
            if child:
                os.waitpid(child, 0)
            else:
                step()
                sys.stdout.flush()
                os._exit(0)
        outer()
        """,
        {"OTEL_TRACES_EXPORTER": "none"},
    ).stdout
    assert [line.split("  ")[0] for line in shown.splitlines()] == ["step", "invoke_workflow outer"]
