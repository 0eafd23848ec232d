"""From a model's answer to the structure that it was asked for."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ValidationError

from callspan._text import describe
from callspan.errors import OutputParserError
from callspan.messages import AIMessage
from callspan.runnables.block import Block, Frame


class StructuredOutput(Block[Any, Any]):
    """The arguments of the tool call that an answer consists of.

    Args:
        schema: A pydantic class, whose instance they become; anything else leaves them a dict.
        tool: The tool's name.
        include_raw: Whether the input is `{"raw": message}`, which gets what was found beside it.
    """

    run_type = "parser"

    def __init__(self, schema: Any, tool: str, *, include_raw: bool = False) -> None:
        self._model = schema if isinstance(schema, type) and issubclass(schema, BaseModel) else None
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
        for call in message.tool_calls:
            if call["name"] == self._tool:
                return self._checked(call["args"])
        broken = [str(one["error"]) for one in message.invalid_tool_calls]
        raise OutputParserError(
            f"the model answered without the structure {self._tool} that it was asked for"
            + (f": its arguments cannot be read: {broken[0]}" if broken else ""),
            message.text,
        )

    def _checked(self, args: dict[str, Any]) -> Any:
        if self._model is None:
            return args
        try:
            return self._model.model_validate(args)
        except ValidationError as error:
            raise OutputParserError(
                f"the answer is no {self._tool}: {describe(error)}", str(args)
            ) from error
