"""What all messages share, and the messages of the system and the user."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ConfigDict, Field
from typing_extensions import Self

from callspan._model import DataModel
from callspan.messages.merge import Content, merge_content, merge_dicts

_TITLE_WIDTH = 80


class BaseMessage(DataModel):
    """One message of a conversation with a chat model.

    Attributes:
        content: Text, or a list of texts and content blocks (dicts with a `type`).
        additional_kwargs: What a provider sends or needs beside the content.
        response_metadata: What a provider says about its response: model name, stop reason.
        type: The kind of message: `human`, `ai`, `system`, `tool`, or a chunk class's name.
        name: The name of who speaks, where a model takes one.
        id: The provider's id of the message.
    """

    model_config = ConfigDict(extra="allow")

    content: Content
    additional_kwargs: dict[Any, Any] = Field(default_factory=dict)
    response_metadata: dict[Any, Any] = Field(default_factory=dict)
    type: str
    name: str | None = None
    id: str | None = Field(default=None, coerce_numbers_to_str=True)

    def __init__(self, content: Content | None = None, **kwargs: Any) -> None:
        super().__init__(content=content, **kwargs)

    @property
    def text(self) -> str:
        """The text of the content: all of it, or of its text blocks, without separators."""
        if isinstance(self.content, str):
            return self.content
        return "".join(
            block if isinstance(block, str) else block["text"]
            for block in self.content
            if isinstance(block, str)
            or (block.get("type") == "text" and isinstance(block.get("text"), str))
        )

    def pretty_repr(self, html: bool = False) -> str:
        """Return the message under a title line.

        Args:
            html: Print the title bold, with a terminal's escape sequences.
        """
        title = f" {self.type.title()} Message "
        bar = "=" * ((_TITLE_WIDTH - len(title)) // 2)
        bold = f"\033[1m{title}\033[0m" if html else title
        name = "" if self.name is None else f"\nName: {self.name}"
        return f"{bar}{bold}{bar}{'=' * (len(title) % 2)}{name}\n\n{self.content}"

    def pretty_print(self) -> None:
        """Print `pretty_repr()`, with a bold title in an interactive session."""
        print(self.pretty_repr(html=hasattr(sys, "ps2")))  # noqa: T201


def first_value(*values: str) -> str:
    """Return the first of a field's values, for fields that chunks repeat."""
    return values[0]


def _best_id(*ids: str) -> str:
    """The first id that a provider gave, else one made from a run, else any."""
    for id_ in ids:
        if not id_.startswith("lc_"):
            return id_
    return next((id_ for id_ in ids if id_.startswith("lc_run-")), ids[0])


class BaseMessageChunk(BaseMessage):
    """A part of a message, as a stream yields it; parts are put together with `+`."""

    # How each field is added; empty values take no part.
    merges: ClassVar[dict[str, Callable[..., Any]]] = {
        "content": merge_content,
        "additional_kwargs": merge_dicts,
        "response_metadata": merge_dicts,
        "name": first_value,
        "id": _best_id,
    }

    def __add__(self, other: BaseMessageChunk | Sequence[BaseMessageChunk]) -> Self:
        """Append one chunk, or a list of chunks at once, which is faster than one by one.

        Args:
            other: What follows this chunk.

        Returns:
            A new chunk of this one's class.

        Raises:
            MergeError: Two values in the chunks' metadata cannot be added.
        """
        others = other if isinstance(other, list | tuple) else [other]
        if not all(isinstance(chunk, BaseMessageChunk) for chunk in others):
            return NotImplemented
        return type(self)(**self._merged([self, *others]))

    def _merged(self, chunks: Sequence[BaseMessageChunk]) -> dict[str, Any]:
        """The fields of the sum of the chunks, of which this is the first."""
        fields: dict[str, Any] = {"content": self.content}
        states = [chunk.__dict__ for chunk in chunks]
        for name, merge in self.merges.items():
            values = []
            for state in states:  # a comprehension would double the cost of adding two chunks
                if value := state.get(name):
                    values.append(value)  # noqa: PERF401
            if values:
                fields[name] = merge(*values) if len(values) > 1 else values[0]
        return fields


class HumanMessage(BaseMessage):
    """What the user says."""

    type: Literal["human"] = "human"

    if TYPE_CHECKING:  # type checkers look for a model's own __init__, not for an inherited one

        def __init__(self, content: Content | None = None, **kwargs: Any) -> None: ...


class HumanMessageChunk(HumanMessage, BaseMessageChunk):
    """A part of a `HumanMessage`."""

    type: Literal["HumanMessageChunk"] = "HumanMessageChunk"  # type: ignore[assignment]


class SystemMessage(BaseMessage):
    """What the application tells the model about its task."""

    type: Literal["system"] = "system"

    if TYPE_CHECKING:  # type checkers look for a model's own __init__, not for an inherited one

        def __init__(self, content: Content | None = None, **kwargs: Any) -> None: ...


class SystemMessageChunk(SystemMessage, BaseMessageChunk):
    """A part of a `SystemMessage`."""

    type: Literal["SystemMessageChunk"] = "SystemMessageChunk"  # type: ignore[assignment]
