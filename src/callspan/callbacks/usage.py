"""Summing the tokens that models use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from callspan._fork import Lock
from callspan.callbacks.ambient import use_config
from callspan.callbacks.handlers import BaseCallbackHandler
from callspan.messages import AIMessage, UsageMetadata, add_usage
from callspan.outputs import ChatGeneration, LLMResult


class UsageMetadataCallbackHandler(BaseCallbackHandler):
    """Sums the tokens that chat models use, model by model.

    An answer counts where its message has `usage_metadata`, and `model_name` in its
    `response_metadata`.

    Attributes:
        usage_metadata: The token counts by model name.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self.usage_metadata: dict[str, UsageMetadata] = {}

    def __repr__(self) -> str:
        return str(self.usage_metadata)

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        """Add the tokens of one answer."""
        answers = response.generations[0] if response.generations else []
        message = answers[0].message if answers and isinstance(answers[0], ChatGeneration) else None
        if not isinstance(message, AIMessage) or not message.usage_metadata:
            return
        model = message.response_metadata.get("model_name")
        if model:
            with self._lock:
                so_far = self.usage_metadata.get(model)
                self.usage_metadata[model] = add_usage(so_far, message.usage_metadata)


@contextmanager
def get_usage_metadata_callback(
    name: str = "usage_metadata_callback",
) -> Iterator[UsageMetadataCallbackHandler]:
    """Sum the tokens of all chat models that run inside a `with` block.

    Args:
        name: Taken so that calls written for langchain_core run: it has no effect here.

    Yields:
        The handler that has the sums. It hears nothing after the block.
    """
    handler = UsageMetadataCallbackHandler()
    with use_config(callbacks=[handler]):
        yield handler
