"""How runs end: outcome, status, and what of an exception is on the span."""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import StatusCode

from callspan import OTelCallbackHandler, traced, use_config
from callspan.callbacks import AsyncCallbackManager, CallbackManager
from support import FIRED, SpanLog, fire

MESSAGE = "hunter2 said so"


class Custom(Exception):  # noqa: N818  # the name is what is tested
    """An exception of a module of the user's."""


def everything_on(span: ReadableSpan) -> str:
    """All that is exported of a span, as text."""
    return json.dumps(json.loads(span.to_json()), ensure_ascii=False)


@pytest.mark.parametrize(
    ("method", "outcome"),
    [(method, "error" if "error" in method else "ok") for method in FIRED if method[-3:] != "art"],
)
def test_every_kind_of_end(method: str, outcome: str, spans: SpanLog) -> None:
    """Each end of each kind of run closes the span with what happened."""
    fire(CallbackManager.configure(), method)
    if method.endswith(("_end", "_error")):
        assert [span.attributes["callspan.run.outcome"] for span in spans.ended] == [outcome]
    else:
        assert spans.ended == []


OUTCOMES: list[tuple[BaseException, str]] = [
    (ValueError("v"), "error"),
    (Custom("v"), "error"),
    (asyncio.TimeoutError(), "error"),
    (StopIteration(), "error"),
    (asyncio.CancelledError(), "cancelled"),
    (concurrent.futures.CancelledError(), "cancelled"),
    (KeyboardInterrupt(), "cancelled"),
    (SystemExit(1), "cancelled"),
    (GeneratorExit(), "abandoned"),
]


@pytest.mark.parametrize(("error", "outcome"), OUTCOMES)
def test_outcomes(error: BaseException, outcome: str, spans: SpanLog) -> None:
    """Only a failure is an error in the status: alerts must not go off for a Ctrl-C."""
    run = CallbackManager.configure().on_chain_start({}, {}, name="run")
    run.on_chain_error(error)
    (span,) = spans.ended
    assert span.attributes["callspan.run.outcome"] == outcome
    failed = outcome == "error"
    assert span.status.status_code is (StatusCode.ERROR if failed else StatusCode.UNSET)
    assert [event.name for event in span.events] == (["exception"] if failed else [])
    assert ("error.type" in span.attributes) == failed


def failing(cause: BaseException | None = None) -> None:
    password = MESSAGE
    raise Custom(password) from cause


def fail(spans: SpanLog, handler: OTelCallbackHandler, cause: Any = None) -> ReadableSpan:
    with use_config(callbacks=[handler]), pytest.raises(Custom):
        traced(failing)(cause)
    return spans.ended[-1]


@pytest.mark.parametrize("cause", [None, KeyError(MESSAGE)])
def test_the_message_is_withheld(cause: Any, spans: SpanLog) -> None:
    """Messages quote prompts and keys: without consent neither they nor their causes leave."""
    span = fail(spans, OTelCallbackHandler(), cause)
    assert MESSAGE not in everything_on(span)
    assert "password" not in everything_on(span)
    assert span.attributes["error.type"] == f"{__name__}.Custom"
    assert span.status.description is None
    (event,) = span.events
    stack = event.attributes["exception.stacktrace"].splitlines()
    assert event.attributes["exception.type"] == f"{__name__}.Custom"
    assert "exception.message" not in event.attributes
    assert (stack[0], stack[-1]) == ("Traceback (most recent call last):", f"{__name__}.Custom")
    assert f'  File "{__file__}", line ' in stack[-2]
    assert stack[-2].endswith(", in failing")


@pytest.mark.parametrize(
    "options", [{"capture_content": True}, {"capture_error_text": True}], ids=str
)
def test_the_message_with_consent(options: dict[str, bool], spans: SpanLog) -> None:
    """With consent the span says what a developer wants to know: message, stack and causes."""
    span = fail(spans, OTelCallbackHandler(**options), KeyError("the cause"))
    (event,) = span.events
    assert event.attributes["exception.message"] == MESSAGE == span.status.description
    assert "KeyError: 'the cause'" in event.attributes["exception.stacktrace"]
    assert "raise Custom(password)" in event.attributes["exception.stacktrace"]


def test_content_without_error_text(spans: SpanLog) -> None:
    """The text of exceptions can be kept back though content is recorded."""
    handler = OTelCallbackHandler(capture_content=True, capture_error_text=False)
    assert MESSAGE not in everything_on(fail(spans, handler))


def test_an_error_that_cannot_be_printed(spans: SpanLog) -> None:
    """An exception whose message fails is an error like any other."""

    class Unprintable(Exception):  # noqa: N818
        def __str__(self) -> str:
            raise RuntimeError

        __repr__ = __str__

    for options in ({}, {"capture_content": True}):
        run = CallbackManager.configure([OTelCallbackHandler(**options)]).on_chain_start({}, {})
        run.on_chain_error(Unprintable())
        assert spans.ended[-1].attributes["callspan.run.outcome"] == "error"
        assert "Unprintable" in spans.ended[-1].attributes["error.type"]


def test_a_deep_stack(spans: SpanLog) -> None:
    """A recursion error has a thousand frames, of which the last say where."""

    @traced
    def down() -> None:
        def again() -> None:
            again()

        again()

    with pytest.raises(RecursionError):
        down()
    (event,) = spans.ended[0].events
    assert 40 < len(event.attributes["exception.stacktrace"].splitlines()) < 60


def test_an_error_that_passes_several_runs(spans: SpanLog) -> None:
    """The error that the body raised is the error on each span that it passes."""

    @traced
    def inner() -> None:
        raise Custom("x")

    @traced(kind="tool")
    def outer() -> None:
        inner()

    with pytest.raises(Custom):
        outer()
    assert [span.attributes["error.type"] for span in spans.ended] == [f"{__name__}.Custom"] * 2


async def test_lost_children_of_a_cancelled_run(spans: SpanLog) -> None:
    """Frameworks drop a cancelled model's run without an end; its parent's end closes it."""
    run = await AsyncCallbackManager.configure().on_chain_start({}, {}, name="run")
    manager = run.get_child()
    (model,) = await manager.on_llm_start({}, ["p"], name="model")
    tool = await manager.on_tool_start({}, "i", name="tool")
    await tool.get_child().on_retriever_start({}, "q", name="retriever")
    chain = await manager.on_chain_start({}, {}, name="chain")
    await run.on_chain_error(asyncio.CancelledError())
    assert spans.outcomes() == dict.fromkeys(["model", "retriever", "tool", "run"], "cancelled")
    assert spans.open == ["chain"]
    await model.on_llm_end("late")  # type: ignore[arg-type]
    await chain.on_chain_end({})
    assert spans.outcomes()["chain"] == "ok"


def test_children_of_a_failed_run(spans: SpanLog) -> None:
    """After any other end a child may go on, as a background task: it waits for its own end."""
    run = CallbackManager.configure().on_chain_start({}, {}, name="run")
    (model,) = run.get_child().on_llm_start({}, ["p"], name="model")
    run.on_chain_error(ValueError())
    assert spans.open == ["model"]
    model.on_llm_end("late")  # type: ignore[arg-type]
    assert spans.outcomes() == {"run": "error", "model": "ok"}
