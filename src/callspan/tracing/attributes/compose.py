"""Which functions say what of a run, and the one guard around them all."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final

from opentelemetry.context import Context

from callspan.callbacks.ids import text_of
from callspan.tracing.attributes import exchange, names, own, request, response
from callspan.tracing.attributes import openinference as profile
from callspan.tracing.attributes import usage as tokens
from callspan.tracing.attributes.run import Attributes, RunStart
from callspan.tracing.content import ContentGate
from callspan.tracing.text import well_formed

log = logging.getLogger("callspan")

Says = Callable[..., Attributes]

_MODELS: Final = frozenset({"chat_model", "llm"})
_AT_START: Final[dict[str, Says]] = {
    "chat_model": request.of_request,
    "llm": request.of_request,
    "tool": request.of_tool,
    "retriever": request.of_data_source,
}
_PROFILE_AT_START: Final[dict[str, Says]] = {
    "chat_model": profile.of_model,
    "llm": profile.of_model,
    "tool": profile.of_tool,
}
_failed: set[Says] = set()


def at_start(
    start: RunStart, context: Context, gate: ContentGate, *, openinference: bool = False
) -> dict[str, Any]:
    """Return what is known when a run starts, without content; samplers read it.

    Args:
        start: The run.
        context: The OTel Context around it, whose baggage may name session, user, conversation.
        gate: What those three pass through.
        openinference: Whether to add that project's full profile.
    """
    kind = start.kind
    found = {**start.thing.attributes, names.RUN_ID: text_of(start.run_id)}
    if own.has_identity(start, context):
        _collect(found, own.of_identity, start, context, gate)
    if kind in _AT_START:
        _collect(found, _AT_START[kind], start)
        if openinference and kind in _PROFILE_AT_START:
            _collect(found, _PROFILE_AT_START[kind], start)
    return found


def labels(start: RunStart, gate: ContentGate, *, openinference: bool = False) -> dict[str, Any]:
    """Return a run's tags and metadata, redacted and without secrets.

    Args:
        start: The run.
        gate: What they pass through.
        openinference: Whether to add that project's full profile.
    """
    found: dict[str, Any] = {}
    if not openinference and not own.has_labels(start):
        return found
    if start.tags:
        _collect(found, own.of_tags, start, gate)
    if start.metadata:
        most = profile.METADATA_KEYS if openinference else own.METADATA_KEYS
        _collect(found, own.of_metadata, start, gate, most)
    if openinference:
        _collect(found, profile.of_labels, start, gate)
    return found


def of_input(start: RunStart, gate: ContentGate, *, openinference: bool = False) -> dict[str, Any]:
    """Return the content that goes into a run; ask only where content is captured.

    Args:
        start: The run.
        gate: What the content passes through.
        openinference: Whether to add that project's full profile.
    """
    found: dict[str, Any] = {}
    if start.kind not in _MODELS:
        _collect(found, exchange.of_value_in, start, gate)
        return found
    _collect(found, exchange.of_prompt, start, gate)
    if openinference:
        _collect(found, profile.of_prompt, start, gate)
    return found


def of_output(
    start: RunStart, result: Any, gate: ContentGate, *, openinference: bool = False
) -> dict[str, Any]:
    """Return what the end of a run tells: response and usage, and content if it is captured.

    Args:
        start: The run.
        result: What it returned: an LLMResult, a tool's output, documents, a chain's outputs.
        gate: What content passes through.
        openinference: Whether to add that project's full profile.
    """
    found: dict[str, Any] = {}
    if start.kind in _MODELS:
        _collect(found, response.of_response, result)
        _collect(found, tokens.of_usage, result)
        if openinference:
            _collect(found, profile.of_usage, result)
        if gate.captures:
            _collect(found, exchange.of_answers, result, gate)
            if openinference:
                _collect(found, profile.of_answers, result, gate)
        return found
    if start.kind == "tool":
        _collect(found, response.of_tool_answer, result)
    if gate.captures:
        _collect(found, exchange.of_value_out, start, result, gate)
        if openinference and start.kind == "retriever":
            _collect(found, profile.of_documents, result, gate)
    return found


def _collect(found: dict[str, Any], says: Says, *about: Any) -> None:
    """Add what a function says; what it cannot make sense of is left out, and logged once."""
    try:
        for name, value in says(*about):
            if type(value) is str:
                found[name] = well_formed(value)
            elif type(value) is list:
                found[name] = [well_formed(one) if type(one) is str else one for one in value]
            elif value is not None:
                found[name] = value
    except Exception as error:
        if says not in _failed:
            _failed.add(says)
            log.warning(
                "attributes are missing from spans: %s raised %s; this is said only once",
                f"{says.__module__}.{says.__qualname__}",
                type(error).__name__,
                exc_info=log.isEnabledFor(logging.DEBUG),
            )
