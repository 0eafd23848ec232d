"""What models are told of a tool, or of the structure that an answer is to have."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args, get_origin

from pydantic import BaseModel, Field, TypeAdapter
from pydantic.errors import PydanticUserError
from pydantic.json_schema import GenerateJsonSchema
from typing_extensions import NotRequired, Required, TypedDict, get_type_hints, is_typeddict

from callspan.errors import ConfigurationError


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
    if isinstance(described, type) and issubclass(described, BaseModel):
        return described.model_json_schema(schema_generator=_Schema)
    if is_typeddict(described):
        fields = _fields(described)
    elif inspect.isroutine(described):
        hints = _fields(described)
        fields = {
            key: _argument(hints.get(key, Any), one.default)
            for key, one in inspect.signature(described).parameters.items()
            if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)
        }
    else:
        raise ConfigurationError(
            "a tool is a callspan tool, a function, a pydantic model or TypedDict class, or a dict "
            f"with its name and JSON schema, not {described!r}"
        )
    # A TypedDict of pydantic's takes any name, and on every Python; a model would not.
    made: Any = TypedDict(described.__name__, fields)  # type: ignore[misc]
    return TypeAdapter(made).json_schema(schema_generator=_Schema)


def _fields(described: Any) -> dict[str, Any]:
    """The types of fields or parameters, with what is said of them."""
    fields = get_type_hints(described, include_extras=True)
    for key, hint in fields.items():
        optional = key in getattr(described, "__optional_keys__", ())
        while (qualifier := get_origin(hint)) in _QUALIFIERS:
            (hint,) = get_args(hint)
            optional = _QUALIFIERS[qualifier]
        said = [one for one in getattr(hint, "__metadata__", ()) if isinstance(one, str)]
        if said:
            hint = Annotated[hint, Field(description=said[-1])]
        fields[key] = NotRequired[hint] if optional else hint
    return fields


def _argument(hint: Any, default: Any) -> Any:
    if default is inspect.Parameter.empty:
        return hint
    return NotRequired[Annotated[hint, Field(default=default)]]


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
