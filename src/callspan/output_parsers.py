"""Parsers: from a model's answer to what the program wants of it."""

from __future__ import annotations

import json
import re
from abc import abstractmethod
from typing import Any, Final

from pydantic import BaseModel, TypeAdapter, ValidationError
from typing_extensions import TypeVar

from callspan._model import is_model
from callspan._options import check
from callspan._text import describe
from callspan.errors import InputError, OutputParserError
from callspan.messages import AIMessage, BaseMessage
from callspan.messages.tool import parse_partial_json
from callspan.runnables.base import Output
from callspan.runnables.block import Block, Frame, StreamingBlock
from callspan.runnables.io import Chunks

__all__ = ["JsonOutputParser", "PydanticOutputParser", "StrOutputParser"]

Model = TypeVar("Model", bound=BaseModel, default=Any)

_NOTHING: Any = object()
_AROUND: Final = " \n\r\t`"
_FENCED: Final = re.compile(r"```(?:json)?(.*)", re.DOTALL)
_AS_FAR_AS_IT_GOES: Final = json.JSONDecoder(strict=False)
_INSTRUCTIONS: Final = """\
Answer with JSON alone: no words before or after it, no Markdown. It has to fit this JSON schema:
{schema}
For example, {{"n": 1}} fits the schema {{"properties": {{"n": {{"type": "integer"}}}}}}, \
and {{"properties": {{"n": 1}}}} does not."""


class _Parser(StreamingBlock[BaseMessage | str, Output]):
    """What parsers share: they read the text of a message."""

    run_type = "parser"

    @abstractmethod
    def parse(self, text: str) -> Output:
        """Return what a text stands for."""

    async def _invoke(self, given: Any, frame: Frame) -> Output:
        return self.parse(self._text(given))

    def _text(self, given: Any) -> str:
        if isinstance(given, str):
            return given
        if isinstance(given, BaseMessage):
            return given.text
        raise InputError(f"{self.get_name()} takes a message or a text, not {type(given).__name__}")


class StrOutputParser(_Parser[str]):
    """The text of a message. Streams chunk by chunk."""

    def parse(self, text: str) -> str:
        """Return the text."""
        return text

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        async for chunk in source:
            yield self._text(chunk)


class _Snapshot(list[Any]):
    """A list in a stream: the next one replaces it, and does not come after it."""

    def __add__(self, other: Any) -> Any:
        return other if isinstance(other, _Snapshot) else [*self, *other]


class JsonOutputParser(_Parser[Output]):
    """The JSON in a message's text: all of it, or what is in a Markdown fence.

    What is missing at its end is added, as langchain_core does. Streams the object or list as it
    grows, each time whole.

    Args:
        pydantic_object: A pydantic model whose schema the instructions show.
        name: The name of its runs.

    Raises:
        ConfigurationError: It is no pydantic model.
    """

    def __init__(
        self, pydantic_object: type[BaseModel] | None = None, name: str | None = None
    ) -> None:
        check({"pydantic_object": pydantic_object})
        self.pydantic_object = pydantic_object
        self.name = name

    def parse(self, text: str) -> Output:
        """Return what a text stands for.

        Raises:
            OutputParserError: It cannot be read; the text is the error's `llm_output`.
        """
        try:
            return self._made(_read(text))  # type: ignore[no-any-return]
        except ValidationError as error:
            raise OutputParserError(
                f"the model's answer does not fit {self.get_name()}: {describe(error)}", text
            ) from error
        except (ValueError, RecursionError) as error:
            raise OutputParserError(
                f"the model's answer is no JSON: {error}; does its prompt have "
                "get_format_instructions()?",
                text,
            ) from error

    def _made(self, value: Any) -> Any:
        """What the JSON stands for."""
        return value

    def get_format_instructions(self) -> str:
        """Return what to tell a model, so that it answers with JSON of the right shape."""
        if self.pydantic_object is None:
            return "Return a JSON object."
        schema = self.pydantic_object.model_json_schema()
        told = {key: value for key, value in schema.items() if key not in ("title", "type")}
        return _INSTRUCTIONS.format(schema=json.dumps(told, ensure_ascii=False))

    async def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        text, last = "", _NOTHING
        async for chunk in source:
            text += self._text(chunk)
            value = self._so_far(text)
            if value is not _NOTHING and value != last:
                last = value
                yield value
        value = _in_stream(self.parse(text))
        if value != last:
            yield value

    def _so_far(self, text: str) -> Any:
        """What the beginning of a text stands for, once it is an object or list of the right kind.

        Not a text or a number: in a stream, these come one after the other.
        """
        try:
            value = _read(text)
            return _in_stream(self._made(value)) if isinstance(value, dict | list) else _NOTHING
        except (ValueError, RecursionError):
            return _NOTHING


class PydanticOutputParser(JsonOutputParser[Model]):
    """The JSON in a message's text, as an object of a pydantic model.

    Streams an object for each beginning of the text that already fits the model.

    Args:
        pydantic_object: The model.
        name: The name of its runs.

    Raises:
        ConfigurationError: It is no pydantic model.
    """

    pydantic_object: type[Model]

    def __init__(self, pydantic_object: type[Model], name: str | None = None) -> None:
        super().__init__(pydantic_object, name)

    def _made(self, value: Any) -> Model:
        return self.pydantic_object.model_validate(value)


class StructuredOutput(Block[Any, Any]):
    """The arguments of the tool call that an answer consists of.

    Args:
        schema: A pydantic class, whose instance they become; anything else leaves them a dict.
        tool: The tool's name.
        include_raw: Whether the input is `{"raw": message}`, which gets what was found beside it.
    """

    run_type = "parser"

    def __init__(self, schema: Any, tool: str, *, include_raw: bool = False) -> None:
        self._type = TypeAdapter[Any](schema if is_model(schema) else Any)
        self._tool = tool
        self._include_raw = include_raw

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        if not self._include_raw:
            return self._parsed(given)
        try:
            return {**given, "parsed": self._parsed(given["raw"]), "parsing_error": None}
        except Exception as error:
            return {**given, "parsed": None, "parsing_error": error}

    def _parsed(self, message: AIMessage) -> Any:
        args = next((one["args"] for one in message.tool_calls if one["name"] == self._tool), None)
        if args is None:
            broken = [str(one["error"]) for one in message.invalid_tool_calls]
            raise OutputParserError(
                f"the model answered without the structure {self._tool} that it was asked for"
                + (f": its arguments cannot be read: {broken[0]}" if broken else ""),
                message.text,
            )
        try:
            return self._type.validate_python(args)
        except ValidationError as error:
            raise OutputParserError(
                f"the answer is no {self._tool}: {describe(error)}", str(args)
            ) from error


def _in_stream(value: Any) -> Any:
    return _Snapshot(value) if isinstance(value, list) else value


def _read(text: str) -> Any:
    """The JSON in a text, which may end anywhere; it may be in a fence, and words may follow it."""
    try:
        return _begun(text)
    except ValueError:
        fenced = _FENCED.search(text)
        if fenced is None:
            raise
        return _begun(fenced[1])


def _begun(text: str) -> Any:
    text = text.strip(_AROUND)
    try:
        return parse_partial_json(text)
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise
        return _AS_FAR_AS_IT_GOES.raw_decode(text)[0]
