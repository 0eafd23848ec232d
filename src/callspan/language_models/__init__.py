"""Chat models: the base class, and fakes for tests."""

from callspan.language_models.chat import BaseChatModel, LanguageModelInput
from callspan.language_models.fake import FakeListChatModel, GenericFakeChatModel
from callspan.language_models.schemas import tool_schema

__all__ = [
    "BaseChatModel",
    "FakeListChatModel",
    "GenericFakeChatModel",
    "LanguageModelInput",
    "tool_schema",
]
