"""What is the same for every run of one thing: worked out once, and looked up after that."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from opentelemetry.trace import SpanKind

from callspan.tracing.attributes import names
from callspan.tracing.text import well_formed

_OPERATIONS: Final = {
    "agent": names.INVOKE_AGENT,
    "chat_model": names.CHAT,
    "llm": names.TEXT_COMPLETION,
    "retriever": names.RETRIEVAL,
    "tool": names.EXECUTE_TOOL,
}
_KINDS: Final = {
    "agent": "AGENT",
    "chat_model": "LLM",
    "llm": "LLM",
    "tool": "TOOL",
    "retriever": "RETRIEVER",
    "embedding": "EMBEDDING",
}
"""`openinference.span.kind` by type of run; CHAIN for all others."""


class Thing(NamedTuple):
    """What runs: a chain, a tool or a model of one name."""

    span_name: str
    """The operation, and what that is done to or with."""
    span_kind: SpanKind
    """CLIENT for calls of a service, INTERNAL for what runs in this process."""
    attributes: dict[str, Any]
    """What each of its spans has; not to be changed."""


@lru_cache(maxsize=1024)
def thing_of(
    kind: str, type_: str, name: str, root: bool, about: str | None, remote: bool
) -> Thing:
    """Return what has these runs.

    Args:
        kind: What runs: chain, chat_model, llm, tool or retriever.
        type_: What it is more closely.
        name: The run's name.
        root: Whether it has no parent run.
        about: Which model is asked, or which data source.
        remote: Whether the run is a call of a service.
    """
    found = {
        names.RUN_NAME: name,
        names.RUN_TYPE: type_,
        names.SPAN_KIND: _KINDS.get(type_, "CHAIN"),
    }
    operation = _OPERATIONS.get(type_)
    if operation is None and root and kind == "chain":
        operation = names.INVOKE_WORKFLOW
    if operation is not None:
        found[names.OPERATION_NAME] = operation
    if operation == names.INVOKE_WORKFLOW:
        found[names.WORKFLOW_NAME] = name
    elif operation == names.INVOKE_AGENT:
        found[names.AGENT_NAME] = name
    elif operation == names.EXECUTE_TOOL:
        found |= {names.TOOL_NAME: name, names.TOOL_TYPE: "function"}
    span_name = name if operation is None else well_formed(f"{operation} {about or name}")
    return Thing(span_name, SpanKind.CLIENT if remote else SpanKind.INTERNAL, found)
