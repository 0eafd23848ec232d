"""Tools."""

from __future__ import annotations

import threading
from typing import Annotated, Any

import pytest
from opentelemetry import trace
from pydantic import BaseModel, Field

from callspan.errors import AsyncOnlyError, ConfigurationError, ToolInputError
from callspan.messages import ToolMessage
from callspan.runnables import RunnableConfig, RunnableLambda
from callspan.tools import BaseTool, StructuredTool, tool


@tool
def add(a: Annotated[int, Field(description="one")], b: int = 2) -> int:
    """Add two numbers.

    They are whole ones.
    """
    return a + b


@tool("times", description="Multiply.")
async def multiply(a: int, b: int) -> int:
    return a * b


def call_of(name: str = "add", **args: Any) -> Any:
    return {"name": name, "args": args, "id": "c1", "type": "tool_call"}


def test_a_function_says_what_it_is() -> None:
    """Models choose a tool by its name, description and arguments."""
    assert (add.name, add.description) == ("add", "Add two numbers.\n\nThey are whole ones.")
    assert add.args == {
        "a": {"title": "A", "type": "integer", "description": "one"},
        "b": {"title": "B", "type": "integer", "default": 2},
    }
    assert (multiply.name, multiply.description) == ("times", "Multiply.")


async def test_arguments_come_as_a_dict_a_text_or_a_tool_call() -> None:
    """People call tools in tests, and models through tool calls."""
    assert add.invoke({"a": 1, "b": "3"}) == 4
    assert add.invoke("1") == 3
    assert await add.ainvoke({"a": 1}) == 3
    assert await multiply.ainvoke({"a": 2, "b": 3}) == 6
    message = add.invoke(call_of(a=1))
    assert message == ToolMessage(content="3", tool_call_id="c1", name="add")
    assert await add.ainvoke(call_of(a=1)) == message


@pytest.mark.parametrize(
    ("result", "content"),
    [
        ("é", "é"),
        ({"a": ["é"]}, '{"a": ["é"]}'),
        ([{"type": "text", "text": "t"}], [{"type": "text", "text": "t"}]),
        ([1, 2], "[1, 2]"),
        (None, "null"),
        ({1, 2}, "{1, 2}"),
    ],
)
def test_results_become_what_a_model_can_read(result: Any, content: Any) -> None:
    """Text as it is, content blocks as they are, the rest as JSON."""

    @tool
    def give() -> Any:
        """Give."""
        return result

    assert give.invoke(call_of("give")).content == content
    assert give.invoke({}) is result


def test_a_tools_own_message_is_kept() -> None:
    """A tool that makes its own answer knows best."""
    own = ToolMessage(content="x", tool_call_id="c1", artifact=[1])

    @tool
    def give() -> Any:
        """Give."""
        return own

    assert give.invoke(call_of("give")) is own


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the tool add was called with wrong arguments: a: Field required"),
        ({"a": "x", "b": []}, "a: Input should be a valid integer.*; b: Input should be"),
        ([1], "takes a dict of arguments, not list"),
        (call_of(a="x"), "a: Input should be a valid integer"),
    ],
)
async def test_wrong_arguments_are_named(given: Any, message: str, handler: Any) -> None:
    """The text goes back to the model, which mends its call."""
    with pytest.raises(ToolInputError, match=message):
        add.invoke(given, {"callbacks": [handler]})
    with pytest.raises(ToolInputError, match=message) as raised:
        await add.ainvoke(given, {"callbacks": [handler]})
    assert handler.events.methods == ["on_tool_start", "on_tool_error"] * 2
    assert handler.events[-1][1] == (raised.value,)


def test_functions_get_what_they_ask_for(handler: Any) -> None:
    """A tool passes its run on, and models are not told of these parameters."""
    inner = RunnableLambda(lambda x: x, name="inner")

    @tool
    def ask(x: int, settings: RunnableConfig, run_manager: Any, callbacks: Any = None) -> Any:
        """Ask."""
        assert settings["callbacks"].parent_run_id == run_manager.run_id  # type: ignore[union-attr]
        return inner.invoke(settings["tags"], {"callbacks": callbacks})

    assert list(ask.args) == ["x"]
    assert ask.invoke({"x": 1}, {"callbacks": [handler], "tags": ["t"]}) == ["t"]
    tool_start, inner_start = handler.events[0][2], handler.events[1][2]
    assert inner_start["parent_run_id"] == tool_start["run_id"]


def test_a_class_of_ones_own(handler: Any) -> None:
    """Tools with settings are classes, as in langchain_core."""

    class Search(BaseTool):
        name: str = "search"
        description: str = "Search."
        limit: int = 1

        def _run(self, query: str, run_manager: Any = None) -> list[str]:
            run_manager.on_text(query)
            return [query] * self.limit

    search = Search(limit=2, callbacks=[handler], tags=["own"])
    assert search.invoke("q") == ["q", "q"]
    assert list(search.args) == ["query"]
    assert handler.events.methods == ["on_tool_start", "on_text", "on_tool_end"]
    assert handler.events[0][2]["tags"] == ["own"]


async def test_sync_tools_run_in_a_thread_for_async_callers(spans: Any) -> None:
    """An agent goes on while a tool blocks, and the tool's spans are in its run."""
    threads = []

    @tool
    def work(run_manager: Any) -> str:
        """Work."""
        threads.append(threading.current_thread())
        run_manager.on_text("told")
        with trace.get_tracer("user").start_as_current_span("inside"):
            return "done"

    assert await work.ainvoke({}) == "done"
    assert threads != [threading.current_thread()]
    assert spans.parent_of("inside") == "work"


async def test_a_tool_with_two_functions_has_one_for_each_caller() -> None:
    """The async one asks for its own kind of run manager."""

    def sync(x: int) -> str:
        return f"sync {x}"

    async def asynchronous(x: int, run_manager: Any) -> str:
        await run_manager.on_text("told")
        return f"async {x}"

    both = StructuredTool(name="both", description="Both.", func=sync, coroutine=asynchronous)
    assert both.invoke({"x": 1}) == "sync 1"
    assert await both.ainvoke({"x": 1}) == "async 1"
    assert list(both.args) == ["x"]


def test_a_schema_of_ones_own() -> None:
    """Arguments may have descriptions, limits and defaults that the function does not."""

    class Arguments(BaseModel):
        n: int = Field(default=4, ge=0)

    @tool(args_schema=Arguments)
    def square(n: int) -> int:
        """Square."""
        return n * n

    assert square.invoke({}) == 16
    with pytest.raises(ToolInputError, match="greater than or equal to 0"):
        square.invoke({"n": -1})


def test_functions_with_keyword_arguments_of_any_name() -> None:
    """`**kwargs` takes what a model makes up; other functions are not given it."""

    @tool
    def free(a: int, **more: Any) -> Any:
        """Take all."""
        return a, more

    assert free.invoke({"a": 1, "b": 2}) == (1, {"b": 2})
    assert add.invoke({"a": 1, "unknown": 2}) == 3


def test_arguments_that_cannot_be_printed_are_no_obstacle(handler: Any) -> None:
    """Handlers are told a text of the arguments, and tools may take any object."""

    class Shy:
        def __repr__(self) -> str:
            raise ValueError

    @tool
    def take(x: Any) -> int:
        """Take."""
        return 1

    assert take.invoke({"x": Shy()}, {"callbacks": [handler]}) == 1
    assert handler.events[0][1][1] == "<dict that cannot be printed>"


def test_exceptions_are_the_tools_own(handler: Any) -> None:
    """Whoever handles a tool's errors finds the ones that it raises."""
    error = KeyError("k")

    @tool
    def broken() -> None:
        """Fail."""
        raise error

    with pytest.raises(KeyError) as raised:
        broken.invoke(call_of("broken"), {"callbacks": [handler]})
    assert raised.value is error
    assert handler.events.of("on_tool_error")[0]["tool_call_id"] == "c1"


def test_a_tool_in_a_chain(handler: Any) -> None:
    """Tools are blocks like others."""
    chain = RunnableLambda(lambda x: {"a": x}) | add | str
    assert chain.invoke(1, {"callbacks": [handler]}) == "3"
    assert add.batch([{"a": 1}, {"a": 2}]) == [3, 4]
    assert list(chain.stream(1)) == ["3"]


def test_what_is_no_tool_says_so() -> None:
    """The mistakes are found where the tool is made."""
    with pytest.raises(ConfigurationError, match="needs a docstring"):
        tool(lambda x: x)
    with pytest.raises(ConfigurationError, match="is made of a function, not int"):
        tool("name")(3)  # type: ignore[arg-type]
    with pytest.raises(AsyncOnlyError, match="the tool times is async: use ainvoke"):
        multiply.invoke({"a": 1, "b": 2})


async def test_keywords_are_no_arguments(handler: Any) -> None:
    """An argument in the wrong place is not to be left out in silence."""
    with pytest.raises(ToolInputError, match=r"the tool add .* does not know bogus"):
        add.invoke({"a": 1}, {"callbacks": [handler]}, bogus=3)
    with pytest.raises(ToolInputError, match=r"the tool times .* does not know b"):
        await multiply.ainvoke({"a": 1}, {"callbacks": [handler]}, b=3)
    assert handler.events == []
