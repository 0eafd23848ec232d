"""What is known of a run when it starts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from callspan.tracing.attributes.request import Request, data_source_of
from callspan.tracing.attributes.thing import thing_of
from callspan.tracing.text import well_formed

Attributes = Iterable[tuple[str, Any]]
"""What a function says of a run: names and values, None for what is not known."""

_NO_PARAMS: Final[dict[str, Any]] = {}


class RunStart:
    """What a run's start event tells, whatever its kind.

    Args:
        kind: What runs: chain, chat_model, llm, tool or retriever.
        name: The run's name.
        run_id: The run.
        root: Whether it has no parent run.
        serialized: What the event says about the object that runs.
        inputs: A chain's inputs, a chat model's messages, a text model's prompt, a tool's
            arguments by name or its input as text, a retriever's query.
        tags: The run's tags.
        metadata: The run's metadata.
        extra: The event's other keywords: invocation_params, options, run_type, tool_call_id.

    Attributes:
        type: The kind, and of a chain what it is more closely: prompt, parser, agent or chain.
        params: What a model is asked with, by its provider's names; empty where it is not known.
        request: Whom a model's run asks.
        thing: What is the same for every run of what runs here.
    """

    __slots__ = (
        "extra",
        "inputs",
        "kind",
        "metadata",
        "name",
        "params",
        "request",
        "run_id",
        "serialized",
        "tags",
        "thing",
        "type",
    )

    def __init__(
        self,
        kind: str,
        name: str,
        run_id: UUID,
        root: bool,
        serialized: dict[str, Any],
        inputs: Any,
        tags: list[str],
        metadata: dict[str, Any],
        extra: dict[str, Any],
    ) -> None:
        self.kind = kind
        self.name = name if type(name) is str and name.isascii() else well_formed(str(name))
        self.run_id = run_id
        self.serialized = serialized
        self.inputs = inputs
        self.tags = tags
        self.metadata = metadata
        self.extra = extra
        self.type = kind
        self.params = _NO_PARAMS
        about, remote = None, False
        if kind == "chain":
            run_type = extra.get("run_type")
            if run_type and type(run_type) is str:
                self.type = run_type if run_type.isascii() else well_formed(run_type)
        elif kind == "retriever":
            about, remote = data_source_of(self), True
        elif kind != "tool":
            if isinstance(params := extra.get("invocation_params"), dict):
                self.params = params
            self.request = request = Request(self)
            about, remote = request.model, request.remote
        self.thing = thing_of(kind, self.type, self.name, root, about, remote)
