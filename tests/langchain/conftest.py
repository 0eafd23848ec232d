"""Fixtures of the LangChain tests."""

from __future__ import annotations

import sys
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


CALLS_FROM_ASYNC_NODES = {
    *("test_a_users_span_in_a_node_is_part_of_it", "test_an_agent_with_two_tool_calls"),
    "test_an_interrupt_is_no_error_and_its_resumption_is_linked",
    *("test_the_ways_in_which_a_graph_streams", "test_a_node_that_writes_to_the_stream"),
    *("test_the_functional_api", "test_many_sent_at_once", "test_graphs_in_bodies_in_graphs"),
    *("test_a_question_in_a_tool_in_a_subgraph", "test_two_questions_at_once"),
    "test_an_agent_is_one_and_has_the_totals_of_its_models",
    *("test_an_agent_in_a_tool_of_an_agent", "test_two_hundred_agents_at_once_keep_their_traces"),
    "test_with_content_off_an_agent_tells_nothing_of_it",
    "test_with_content_off_a_question_to_a_human_is_not_told",
    "test_nothing_is_kept_of_a_graph_that_asked_and_broke",
}


def pytest_collection_modifyitems(items: list[Any]) -> None:
    """On Python 3.10 a task cannot be given a Context: expect there what follows from that."""
    for item in items if sys.version_info < (3, 11) else ():
        params = item.callspec.params if hasattr(item, "callspec") else {}
        reason = impossible(item.originalname, params)
        if reason:
            item.add_marker(pytest.mark.xfail(reason=reason, strict=True))
        elif item.originalname == "test_a_users_span_open_across_a_bodys_yields" and (
            params["way"].startswith("a")
        ):
            item.add_marker(pytest.mark.skip("OpenTelemetry complains of the user's own span"))


def impossible(name: str, params: dict[str, Any]) -> str:
    """Why a test fails on Python 3.10; nothing if it passes."""
    way = params.get("way", "async")
    if name == "test_a_constructors_handler_traces_that_object_alone" and way == "astream":
        return "LangChain pulls each chunk in a Context that knows nothing of the model"
    in_a_task = way not in ("to_thread", "in_executor", "cancelled")
    if name.startswith("test_async_bodies") and params["kind"] == "plain_node" and in_a_task:
        return "LangGraph does not carry its config into async nodes"
    if name in CALLS_FROM_ASYNC_NODES and way.startswith("a"):
        return "LangGraph does not carry its config into async nodes"
    return ""
