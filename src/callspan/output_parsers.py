"""Parsers: from a model's answer to what the program wants of it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from callspan.errors import InputError
from callspan.messages import BaseMessage
from callspan.runnables.block import Frame, StreamingBlock

__all__ = ["StrOutputParser"]


class StrOutputParser(StreamingBlock[BaseMessage | str, str]):
    """The text of a message. Streams chunk by chunk."""

    run_type = "parser"

    async def _invoke(self, given: Any, frame: Frame) -> str:
        return _text(given)

    async def _stream(
        self, source: AsyncGenerator[Any, None], frame: Frame
    ) -> AsyncGenerator[str, None]:
        async for chunk in source:
            yield _text(chunk)


def _text(given: Any) -> str:
    if isinstance(given, str):
        return given
    if isinstance(given, BaseMessage):
        return given.text
    raise InputError(f"StrOutputParser takes a message or a text, not {type(given).__name__}")
