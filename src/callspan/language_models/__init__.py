"""Chat models: the base class, and fakes for tests."""

from callspan.language_models.chat import BaseChatModel, LanguageModelInput
from callspan.language_models.fake import FakeListChatModel, GenericFakeChatModel

__all__ = [
    "BaseChatModel",
    "FakeListChatModel",
    "GenericFakeChatModel",
    "LanguageModelInput",
]
