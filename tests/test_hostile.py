"""What nobody would do on purpose, and some program does: it costs neither spans nor peace."""

from __future__ import annotations

import asyncio
import copy
import gc
import sys
from typing import Any

import pytest

from callspan import OTelCallbackHandler
from callspan.callbacks import BaseCallbackHandler, ConsoleCallbackHandler
from callspan.errors import ConfigurationError
from callspan.runnables import Runnable, RunnableLambda, RunnablePassthrough
from support import SpanLog, label


@pytest.mark.parametrize(
    "block", [RunnableLambda(lambda x: x), RunnablePassthrough() | RunnableLambda(lambda x: x)]
)
def test_a_stream_that_is_collected_in_a_circle_closes_in_silence(
    block: Runnable[Any, Any],
    handler: Any,
    spans: SpanLog,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The collector may finalise the generators within first, and complaints go to stderr."""
    complaints: list[Any] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)
    stream = block.stream(1, {"callbacks": [handler]})
    next(stream)
    circle: list[Any] = [stream]
    circle.append(circle)
    del stream, circle
    gc.collect()
    RunnableLambda(lambda x: x).invoke(1, {"callbacks": [handler], "run_name": "next"})
    assert [complaint.exc_value for complaint in complaints] == []
    assert not spans.open


@pytest.mark.parametrize("make", [copy.copy, copy.deepcopy])
def test_a_copied_config_has_the_same_handlers(make: Any, spans: SpanLog) -> None:
    """Settings are copied in many programs; what handlers hold (providers, locks) cannot be."""
    assert spans.provider is not None
    tracing = OTelCallbackHandler(tracer_provider=spans.provider)
    config = make({"callbacks": [tracing, ConsoleCallbackHandler()], "run_name": "copied"})
    RunnableLambda(lambda x: x).invoke(1, config)
    assert [label(span) for span in spans.ended] == ["copied"]


@pytest.mark.parametrize("run_id", ["7c9e6679-7425-40de-944b-e07fc1f90ae7", 5])
def test_a_run_id_that_is_none_is_refused(run_id: Any) -> None:
    """Handlers key by it: a text in its place would cost the run its span."""
    with pytest.raises(ConfigurationError, match="run_id takes a UUID"):
        RunnableLambda(lambda x: x).invoke(1, {"run_id": run_id})


async def test_a_handler_that_finds_nothing_next_does_not_hang_the_run() -> None:
    """A bare `next(...)` in a handler raises StopIteration, which no future can hold."""

    class Exhausted(BaseCallbackHandler):
        def on_chain_start(self, *args: Any, **kwargs: Any) -> None:
            next(iter(()))

    call = RunnableLambda(lambda x: x).ainvoke(1, {"callbacks": [Exhausted()]})
    assert await asyncio.wait_for(call, 60) == 1
