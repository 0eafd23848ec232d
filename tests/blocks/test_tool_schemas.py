"""What a model is told of a tool, whatever the tool is."""

from __future__ import annotations

import socket
from typing import Annotated, Any

import pytest
from langchain_core.tools import tool as langchain_tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from pydantic import BaseModel, Field
from typing_extensions import NotRequired, TypedDict

from callspan import ConfigurationError
from callspan.callbacks import CallbackManagerForToolRun
from callspan.language_models import tool_schema
from callspan.runnables import RunnableConfig
from callspan.tools import tool

PARAMETERS = {
    "type": "object",
    "properties": {
        "city": {"type": "string", "description": "where"},
        "days": {"type": "integer", "default": 1},
    },
    "required": ["city"],
}
SCHEMA = {"name": "weather", "description": "Tell the weather.", "parameters": PARAMETERS}


def weather(city: Annotated[str, "where"], days: int = 1) -> str:
    """Tell the weather."""
    return f"{city} {days}"


class Weather(BaseModel):
    """Tell the weather."""

    city: str = Field(description="where")
    days: int = 1


class Place(TypedDict):
    """A place."""

    schema: Annotated[str, ..., "which words"]
    _at: NotRequired[Annotated[list[float], "where"]]


@pytest.mark.parametrize(
    "given",
    [
        weather,
        tool(weather),
        tool("weather", description="Tell the weather.", args_schema=Weather)(weather),
        langchain_tool("weather", args_schema=Weather)(weather),
        {"type": "function", "function": SCHEMA},
        SCHEMA,
        {**{k: SCHEMA[k] for k in ("name", "description")}, "input_schema": PARAMETERS},
        {"title": "weather", "description": "Tell the weather.", **PARAMETERS},
    ],
    ids=[
        "function",
        "made-of-it",
        "tool",
        "langchain",
        "openai",
        "bare",
        "anthropic",
        "json-schema",
    ],
)
def test_every_form_says_the_same(given: Any) -> None:
    """A vendor's class is written against one form, whatever its users pass."""
    assert tool_schema(given) == SCHEMA


def test_pydantic_class_is_named_after_itself() -> None:
    """A structured answer is asked for by the name of its class."""
    assert tool_schema(Weather) == {**SCHEMA, "name": "Weather"}


def test_typed_dict_is_what_langchain_makes_of_it() -> None:
    """A TypedDict written for LangChain asks for the same fields here, whatever their names."""
    told = tool_schema(Place)
    assert told == {
        "name": "Place",
        "description": "A place.",
        "parameters": {
            "type": "object",
            "properties": {
                "schema": {"type": "string", "description": "which words"},
                "_at": {"type": "array", "items": {"type": "number"}, "description": "where"},
            },
            "required": ["schema"],
        },
    }


def test_classes_without_docstrings_say_nothing_of_their_bases() -> None:
    """The docstring of dict, or of BaseModel, would mislead the model."""

    class Bare(TypedDict):
        x: int

    class BareModel(BaseModel):
        x: int

    assert tool_schema(Bare)["description"] == tool_schema(BareModel)["description"] == ""


def test_nested_models_keep_their_definitions() -> None:
    """A reference to a definition that is gone is a schema that vendors refuse."""

    class Trip(BaseModel):
        stops: list[Weather]

    parameters = tool_schema(Trip)["parameters"]
    assert parameters["properties"]["stops"]["items"] == {"$ref": "#/$defs/Weather"}
    assert "city" in parameters["$defs"]["Weather"]["properties"]


def test_what_the_tool_is_given_by_its_run_is_not_the_models_to_know() -> None:
    """A model that is told of `run_manager` would try to fill it in."""

    @tool
    def search(query: str, run_manager: CallbackManagerForToolRun, config: RunnableConfig) -> str:
        """Search."""
        return query

    assert set(tool_schema(search)["parameters"]["properties"]) == {"query"}


def test_strict_is_kept() -> None:
    """Who asks OpenAI for strict arguments relies on them."""
    assert tool_schema({"type": "function", "function": {**SCHEMA, "strict": True}})["strict"]


def test_openai_form_is_langchains() -> None:
    """The oracle: the parameters that LangChain sends for the same model."""
    (theirs,) = [convert_to_openai_tool(Weather)["function"]["parameters"]]
    assert tool_schema(Weather)["parameters"] == theirs


@pytest.mark.parametrize("given", [3, "weather", object(), weather("x"), {}, {"type": "function"}])
def test_anything_else_is_refused(given: Any) -> None:
    """What is no tool must not reach a vendor, whose error would not say which it was."""
    with pytest.raises(ConfigurationError, match="a tool"):
        tool_schema(given)


def test_type_without_a_schema_is_refused() -> None:
    """The author is told which tool, and that it is the type of an argument."""

    def send(over: socket.socket) -> None:
        """Send."""

    with pytest.raises(ConfigurationError, match=r"send.*no JSON schema.*socket"):
        tool_schema(send)


def positional(city: str, /) -> str:
    """Tell the weather."""
    return city


def private(_city: str) -> str:
    """Tell the weather."""
    return _city


class Station:
    def weather(self, city: str) -> str:
        """Tell the weather."""
        return city


@pytest.mark.parametrize("function", [positional, private, Station.weather])
def test_arguments_that_have_no_name_for_a_model_say_so(function: Any) -> None:
    """Each call would fail, with a TypeError that neither the model nor its user can act on."""
    with pytest.raises(ConfigurationError, match="given its arguments by name"):
        tool_schema(tool(function))
    assert tool(Station().weather).invoke({"city": "Rome"}) == "Rome"
