"""Chat models and text models: the base classes, and fakes for tests."""

from callspan.language_models.base import LanguageModelInput
from callspan.language_models.chat import BaseChatModel
from callspan.language_models.fake import FakeListChatModel, FakeListLLM, GenericFakeChatModel
from callspan.language_models.llm import BaseLLM
from callspan.tools.schemas import tool_schema

__all__ = [
    "BaseChatModel",
    "BaseLLM",
    "FakeListChatModel",
    "FakeListLLM",
    "GenericFakeChatModel",
    "LanguageModelInput",
    "tool_schema",
]
