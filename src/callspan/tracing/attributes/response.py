"""What a model's answer says about itself: known when it is there, and no content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from callspan.tracing.attributes import names
from callspan.tracing.attributes.run import Attributes

_REASONS: Final = ("finish_reason", "stop_reason", "done_reason", "stopReason", "status")
_NOTHING: Final[Mapping[str, Any]] = {}
_OWN_IDS: Final = ("run-", "lc_", "lc-")
"""How ids begin that were made here and not by the provider."""


def of_response(result: Any) -> Attributes:
    """Yield the id of a model's response, the model that gave it, and why each answer ended."""
    output = _mapping(getattr(result, "llm_output", None))
    own_id, told, infos = None, [], []
    for answers in result.generations:
        for answer in answers:
            message = getattr(answer, "message", None)
            told.append(_mapping(getattr(message, "response_metadata", None)))
            infos.append(_mapping(getattr(answer, "generation_info", None)))
            own_id = own_id or _id_of(message)
    if not output and not any(told) and not any(infos):
        yield names.RESPONSE_ID, own_id
        return
    sources = [*told, output]
    yield names.RESPONSE_MODEL, _first(sources, "model_name", "model", "model_id")
    yield names.RESPONSE_ID, _first(sources, "id") or own_id
    reasons = [
        _first([info, own, output], *_REASONS) for info, own in zip(infos, told, strict=True)
    ]
    if any(reasons):
        # The conventions want a reason for every answer, and this one where none was received.
        yield names.RESPONSE_FINISH_REASONS, [reason or "error" for reason in reasons]


def of_tool_answer(result: Any) -> Attributes:
    """Yield that a tool's answer to a model tells of an error: one that was handled."""
    if hasattr(result, "tool_call_id") and getattr(result, "status", None) == "error":
        yield names.ERROR_TYPE, "tool_error"


def _id_of(message: Any) -> str | None:
    found = getattr(message, "id", None)
    return found if isinstance(found, str) and not found.startswith(_OWN_IDS) else None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if value and isinstance(value, Mapping) else _NOTHING


def _first(sources: Iterable[Mapping[str, Any]], *keys: str) -> str | None:
    for source in sources:
        for key in keys:
            value = source.get(key)
            if value and isinstance(value, str):
                return value
    return None
