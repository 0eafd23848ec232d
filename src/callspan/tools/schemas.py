"""What a tool takes: the parameters of its function, and what models are told of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, create_model
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

from callspan._model import is_model
from callspan.errors import ConfigurationError
from callspan.runnables.config import GIVEN, RunnableConfig, config_for_function

_BY_NAME: Final = ("run_manager", "callbacks")


class Signature:
    """The parameters of a tool's function: its arguments, and what it asks to be given."""

    def __init__(self, function: Any) -> None:
        hints = _hints(function)
        self._function = function
        self._arguments: dict[str, tuple[Any, inspect.Parameter]] = {}
        self._asked: dict[str, Callable[[Any, RunnableConfig], Any]] = {}
        for name, parameter in inspect.signature(function).parameters.items():
            hint = hints.get(name, Any)
            if name in _BY_NAME:
                self._asked[name] = GIVEN[name]
            elif RunnableConfig in (hint, *get_args(hint)):
                self._asked[name] = config_for_function
            else:
                self._arguments[name] = (hint, parameter)

    def asked_for(self, run: Any, config: RunnableConfig) -> dict[str, Any]:
        """What the function asks to be given beside its arguments."""
        return {name: give(run, config) for name, give in self._asked.items()}

    def schema(self, name: str) -> type[BaseModel]:
        """Return a model of the arguments.

        Raises:
            ConfigurationError: One of them cannot be given by name.
        """
        fields: dict[str, Any] = {}
        extra: Any = "ignore"
        for key, (hint, parameter) in self._arguments.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                default = ... if parameter.default is parameter.empty else parameter.default
                private = key.startswith("_") and default is ...
                if private or key == "self" or parameter.kind is parameter.POSITIONAL_ONLY:
                    raise ConfigurationError(
                        f"the tool {name} is given its arguments by name, which {key} is not fit "
                        "for: rename it, or wrap the function; of a method, take object.method"
                    )
                fields[key] = (hint, default)
        config = ConfigDict(arbitrary_types_allowed=True, extra=extra)
        doc = inspect.getdoc(self._function)
        return create_model(name, __config__=config, __doc__=doc, **fields)


def tool_schema(tool: Any) -> dict[str, Any]:
    """Return what a model is told of a tool.

    Args:
        tool: A tool; a pydantic model or TypedDict class, whose fields are the arguments; a
            function; or a dict: `{"type": "function", "function": {"name": ...}}` as OpenAI has
            it, `{"name": ..., "input_schema": ...}` as Anthropic does, or a JSON schema with a
            title. A text in `Annotated[int, "how many"]` describes an argument.

    Returns:
        `{"name": ..., "description": ..., "parameters": ...}`, the last of them a JSON schema;
        with `strict` too where a dict has it.

    Raises:
        ConfigurationError: It is nothing of the kind, or an argument's type has no JSON schema.
    """
    if isinstance(tool, Mapping):
        return _of_dict(tool)
    is_tool = hasattr(tool, "tool_call_schema")
    try:
        schema = _json_schema(tool.tool_call_schema if is_tool else tool)
    except PydanticUserError as error:
        raise ConfigurationError(
            f"{getattr(tool, 'name', tool)!r} has an argument whose type has no JSON schema, so "
            f"that no model can be told of it: {error.message}"
        ) from error
    name, told = (tool.name, tool.description) if is_tool else (tool.__name__, tool.__doc__)
    return {
        "name": name,
        "description": inspect.cleandoc(told or ""),
        "parameters": _without_title(schema),
    }


_QUALIFIERS: Final[dict[Any, bool]] = {NotRequired: True, Required: False}
_NO_PARAMETERS: Final = {"type": "object", "properties": {}}


class _Schema(GenerateJsonSchema):
    """JSON schemas without a title for every field, which would only repeat its name."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


def _json_schema(described: Any) -> dict[str, Any]:
    if isinstance(described, dict):  # a tool of LangChain's may have one
        return described
    if inspect.isroutine(described):
        described = Signature(described).schema(described.__name__)
    if is_model(described):
        return described.model_json_schema(schema_generator=_Schema)
    if not is_typeddict(described):
        raise ConfigurationError(
            "a tool is a callspan tool, a function, a pydantic model or TypedDict class, or a dict "
            f"with its name and JSON schema, not {described!r}"
        )
    # pydantic takes a TypedDict of typing_extensions on every Python.
    made: Any = TypedDict(described.__name__, _hints(described))  # type: ignore[misc]
    return TypeAdapter(made).json_schema(schema_generator=_Schema)


def _hints(described: Any) -> dict[str, Any]:
    """The types of parameters or fields; a text in `Annotated` becomes their description."""
    hints = get_type_hints(described, include_extras=True)
    for key, hint in hints.items():
        optional = key in getattr(described, "__optional_keys__", ())
        while (qualifier := get_origin(hint)) in _QUALIFIERS:
            (hint,) = get_args(hint)
            optional = _QUALIFIERS[qualifier]
        said = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, str)]
        if said:
            hint = Annotated[hint, Field(description=said[-1])]
        hints[key] = NotRequired[hint] if optional else hint
    return hints


def _of_dict(given: Mapping[str, Any]) -> dict[str, Any]:
    named = given.get("function", given) if given.get("type") == "function" else given
    name = named.get("name")
    if isinstance(name, str):
        schema = named.get("input_schema") or named.get("parameters") or _NO_PARAMETERS
    elif isinstance(given.get("title"), str):
        name, schema = given["title"], _without_title(given)
    else:
        raise ConfigurationError(
            "a tool in the form of a dict has a name: as OpenAI or Anthropic write tools, or as "
            f"the title of a JSON schema; this one has {', '.join(map(str, given)) or 'nothing'}"
        )
    more = {"strict": named["strict"]} if "strict" in named else {}
    told = named.get("description", "")
    return {"name": name, "description": told, "parameters": schema, **more}


def _without_title(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in schema.items() if key not in ("title", "description")}
