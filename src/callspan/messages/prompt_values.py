"""Prompts that are ready for a model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from pydantic import SerializeAsAny

from callspan._model import DataModel
from callspan.errors import InputError
from callspan.messages.ai import AIMessage
from callspan.messages.base import BaseMessage, HumanMessage, SystemMessage
from callspan.messages.tool import ToolMessage


class PromptValue(DataModel, ABC):
    """A prompt that can be given to a chat model and to a text model."""

    @abstractmethod
    def to_string(self) -> str:
        """Return the prompt as text."""

    @abstractmethod
    def to_messages(self) -> list[BaseMessage]:
        """Return the prompt as messages."""


class StringPromptValue(PromptValue):
    """A prompt that is text; as a message it is the user's.

    Attributes:
        text: The prompt.
    """

    text: str
    type: Literal["StringPromptValue"] = "StringPromptValue"

    def to_string(self) -> str:
        """Return the text."""
        return self.text

    def to_messages(self) -> list[BaseMessage]:
        """Return the text as one message of the user."""
        return [HumanMessage(self.text)]


class ChatPromptValue(PromptValue):
    """A prompt that is messages; as text they are written as `get_buffer_string` does.

    Attributes:
        messages: The messages in order.
    """

    messages: list[SerializeAsAny[BaseMessage]]

    def to_string(self) -> str:
        """Return the messages as text."""
        return get_buffer_string(self.messages)

    def to_messages(self) -> list[BaseMessage]:
        """Return the messages in a new list."""
        return list(self.messages)


def get_buffer_string(
    messages: Sequence[BaseMessage],
    human_prefix: str = "Human",
    ai_prefix: str = "AI",
    *,
    system_prefix: str = "System",
    tool_prefix: str = "Tool",
    message_separator: str = "\n",
) -> str:
    """Write a conversation as text: `prefix: text`, and after an answer its tool calls.

    Args:
        messages: The conversation.
        human_prefix: What stands before the text of the user.
        ai_prefix: What stands before the text of the model.
        system_prefix: What stands before the text of the system.
        tool_prefix: What stands before the result of a tool.
        message_separator: What stands between two messages.

    Raises:
        InputError: A message is none of these four kinds.
    """
    prefixes: dict[type[BaseMessage], str] = {
        HumanMessage: human_prefix,
        AIMessage: ai_prefix,
        SystemMessage: system_prefix,
        ToolMessage: tool_prefix,
    }
    parts = []
    for message in messages:
        prefix = next((prefixes[base] for base in type(message).__mro__ if base in prefixes), None)
        if prefix is None:
            raise InputError(
                f"a {type(message).__name__} has no prefix: convert it to a message "
                "of the user, the model, the system or a tool"
            )
        calls = (
            str(message.tool_calls) if isinstance(message, AIMessage) and message.tool_calls else ""
        )
        parts.append(f"{prefix}: {message.text}{calls}")
    return message_separator.join(parts)
