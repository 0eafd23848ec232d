"""What tools answer: errors that are handled, artifacts, and what reaches spans and handlers."""

from __future__ import annotations

import inspect
from typing import Any

import langchain_core.messages
import langchain_core.tools
import pytest
from pydantic import ValidationError

import callspan.messages
import callspan.tools
from callspan.errors import AsyncOnlyError, ConfigurationError, ToolInputError
from callspan.messages import ToolMessage
from callspan.runnables import RunnableLambda
from callspan.tools import StructuredTool, ToolException, tool
from support import SpanLog

CALL: Any = {"name": "t", "args": {"n": 1}, "id": "c1", "type": "tool_call"}
WRONG: Any = {**CALL, "args": {"n": "x"}}


def plain(value: Any) -> Any:
    """A tool's answer in the words of no library."""
    if not hasattr(value, "tool_call_id"):
        return value
    return value.content, value.status, value.name, value.tool_call_id, value.artifact


async def answers(library: Any, given: Any, error: Any, **settings: Any) -> Any:
    """What a tool answers both kinds of callers, or which builtin it raises."""
    raised = {"tool": library.ToolException, "key": KeyError}

    def fail(n: int) -> Any:
        if error is not None:
            raise raised[error[0]](*error[1:])
        return n, ["whole"]

    async def afail(n: int) -> Any:
        return fail(n)

    made = library.StructuredTool.from_function(fail, afail, "t", "Fail.", **settings)
    found: list[Any] = []
    for call in (made.invoke, made.ainvoke):
        try:
            result = call(given)
            found.append(plain(await result if inspect.isawaitable(result) else result))
        except Exception as failed:
            found.append("ValueError" if isinstance(failed, ValueError) else type(failed).__name__)
    assert found[0] == found[1]
    return found[0]


def explain(error: Any) -> str:
    return f"wrong: {[one['type'] for one in error.errors()]}"


@pytest.mark.parametrize("given", [CALL, {"n": 1}], ids=["call", "dict"])
@pytest.mark.parametrize("error", [("tool", "no luck"), ("tool",), ("key", "k")], ids=str)
@pytest.mark.parametrize(
    "how",
    [
        False,
        True,
        "sorry",
        lambda error: f"because: {error}",
        lambda error: [{"type": "text", "text": "t"}],
    ],
)
async def test_errors_are_handled_as_in_langchain(given: Any, error: Any, how: Any) -> None:
    """A tool says with ToolException what a model may hear; any other error is a mistake."""
    ours = await answers(callspan.tools, given, error, handle_tool_error=how)
    assert ours == await answers(langchain_core.tools, given, error, handle_tool_error=how)


@pytest.mark.parametrize("given", [WRONG, {"n": "x"}, {}], ids=["call", "dict", "empty"])
@pytest.mark.parametrize("how", [False, True, "sorry", explain])
async def test_wrong_arguments_are_handled_as_in_langchain(given: Any, how: Any) -> None:
    """A model that calls wrongly is told, if the tool's author wants that."""
    ours = await answers(callspan.tools, given, None, handle_validation_error=how)
    theirs = await answers(langchain_core.tools, given, None, handle_validation_error=how)
    assert ours == theirs


@pytest.mark.parametrize("given", [CALL, {"n": 1}], ids=["call", "dict"])
@pytest.mark.parametrize("error", [None, ("tool", "no luck")], ids=str)
async def test_artifacts_are_kept_from_the_model(given: Any, error: Any) -> None:
    """A program wants the whole result, a model a summary of it."""
    settings: Any = {"response_format": "content_and_artifact", "handle_tool_error": True}
    ours = await answers(callspan.tools, given, error, **settings)
    assert ours == await answers(langchain_core.tools, given, error, **settings)


@pytest.mark.parametrize("result", ["text", (1, 2, 3), [1, 2]])
def test_a_missing_artifact_is_named(result: Any, handler: Any) -> None:
    """The author of a tool has to learn what it was to return."""

    @tool(response_format="content_and_artifact")
    def t(n: int) -> Any:
        """Give."""
        return result

    with pytest.raises(ConfigurationError, match=r"the tool t has response_format=.* a pair"):
        t.invoke(CALL, {"callbacks": [handler]})
    assert handler.events.methods == ["on_tool_start", "on_tool_error"]


def failing(error: BaseException, **settings: Any) -> StructuredTool:
    def t(n: int) -> str:
        raise error

    return StructuredTool.from_function(t, description="Fail.", **settings)


def test_handled_errors_show_on_spans(spans: SpanLog, handler: Any) -> None:
    """The run went well, and whoever looks for failures finds this one too."""
    made = failing(ToolException("no luck"), handle_tool_error=True)
    answer = made.invoke(CALL, {"callbacks": [handler]})
    assert answer == ToolMessage("no luck", tool_call_id="c1", name="t", status="error")
    assert handler.events.methods == ["on_tool_start", "on_tool_end"]
    attributes: Any = spans.named("t").attributes
    assert (attributes["callspan.run.outcome"], attributes["error.type"]) == ("ok", "tool_error")
    assert "no luck" not in str(dict(attributes))


@pytest.mark.parametrize(
    ("error", "given", "kind", "outcome"),
    [
        (KeyError("k"), CALL, "KeyError", "error"),
        (ToolException("t"), CALL, "callspan.tools.ToolException", "error"),
        (KeyError("k"), WRONG, "callspan.errors.ToolInputError", "error"),
        (KeyboardInterrupt(), CALL, None, "cancelled"),
    ],
)
async def test_raised_errors_show_on_spans(
    spans: SpanLog, error: BaseException, given: Any, kind: str | None, outcome: str
) -> None:
    """A failed tool is found by its class of error, whatever the text says."""
    with pytest.raises((type(error), ToolInputError)):
        failing(error).invoke(given)
    attributes: Any = spans.named("t").attributes
    assert (attributes.get("error.type"), attributes["callspan.run.outcome"]) == (kind, outcome)


def test_errors_from_within_are_not_taken_for_the_callers() -> None:
    """Wrong arguments of another tool that this one calls are this one's mistake."""

    @tool
    def inner(n: int) -> int:
        """Count."""
        return n

    def t(n: int) -> Any:
        return inner.invoke({"n": "x"})

    outer = StructuredTool.from_function(t, description="Call.", handle_validation_error=True)
    with pytest.raises(ToolInputError, match="the tool inner"):
        outer.invoke(CALL)


def test_a_handler_of_errors_may_fail(spans: SpanLog) -> None:
    """Its error is the run's: nothing stays open."""

    def broken(error: Any) -> str:
        raise RuntimeError("twice")

    with pytest.raises(RuntimeError, match="twice"):
        failing(ToolException("once"), handle_tool_error=broken).invoke(CALL)
    assert spans.outcomes() == {"t": "error"}


async def test_tools_of_functions_with_settings() -> None:
    """`from_function` is how langchain_core's users make tools with options."""

    async def later(n: int, m: int = 2) -> int:
        """Add later."""
        return n + m

    made = StructuredTool.from_function(later, return_direct=True, tags=["own"])
    assert (made.name, made.description) == ("later", "Add later.")
    assert made.return_direct
    assert await made.ainvoke({"n": 1}) == 3
    with pytest.raises(AsyncOnlyError):
        made.invoke({"n": 1})
    both = StructuredTool.from_function(lambda n, m: n, later, "both", "Two.")
    assert (both.invoke({"n": 1}), await both.ainvoke({"n": 1})) == (1, 3)
    with pytest.raises(ConfigurationError, match="is made of a function, not NoneType"):
        StructuredTool.from_function()
    with pytest.raises(ValidationError, match="response_format"):
        StructuredTool.from_function(later, response_format="x")  # type: ignore[arg-type]


def test_what_a_tool_calls_is_part_of_it(spans: SpanLog) -> None:
    """The tree of a trace shows which tool did what."""

    @tool
    def t(n: int) -> int:
        """Call."""
        return RunnableLambda(lambda x: x + 1, name="part").invoke(n)

    assert t.invoke(CALL).content == "2"
    assert spans.tree() == ["t", "  part"]
