"""Fixtures of the LangChain tests."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from lc import seen

from callspan.langchain import OTelCallbackHandler
from callspan.langchain.runs import open_runs
from support import SpanLog


@pytest.fixture
def otel(spans: SpanLog) -> Any:
    """The handler, with the global provider, whose spans are in `spans`."""
    return OTelCallbackHandler()


@pytest.fixture
def config(otel: Any) -> dict[str, Any]:
    """A config that passes the handler at request time."""
    return {"callbacks": [otel]}


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """No test leaves a run open, and each begins with nothing seen."""
    seen.clear()
    assert len(open_runs) == 0
    yield
    left = [run.kind for run in open_runs]
    for run in open_runs:
        open_runs.remove(run.run_id.int)
    assert left == []
    assert open_runs._by_frame == {}
