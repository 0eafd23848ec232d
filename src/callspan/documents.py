"""What retrievers return."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from callspan._model import DataModel

__all__ = ["Document"]


class Document(DataModel):
    """A piece of text and what is known about it.

    Attributes:
        id: Which document this is.
        metadata: What is known about it: source, score, position.
        page_content: The text.
    """

    id: str | None = Field(default=None, coerce_numbers_to_str=True)
    metadata: dict[Any, Any] = Field(default_factory=dict)
    page_content: str
    type: Literal["Document"] = "Document"

    def __init__(self, page_content: str, **kwargs: Any) -> None:
        super().__init__(page_content=page_content, **kwargs)

    def __str__(self) -> str:
        """Return the text and the metadata alone: documents are put into prompts as they are."""
        metadata = f" metadata={self.metadata}" if self.metadata else ""
        return f"page_content='{self.page_content}'{metadata}"
