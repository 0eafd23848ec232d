"""What a model's answer says about itself: known when it is there, and no content."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from callspan.tracing.attributes import names
from callspan.tracing.attributes.run import Attributes

_REASONS: Final = ("finish_reason", "stop_reason", "done_reason", "stopReason", "status")
_OWN_IDS: Final = ("run-", "lc_", "lc-")
"""How ids begin that were made here and not by the provider."""


def of_response(result: Any) -> Attributes:
    """Yield the id of a model's response, the model that gave it, and why each answer ended."""
    answers = [answer for prompt in result.generations for answer in prompt]
    output = _mapping(getattr(result, "llm_output", None))
    told = [_mapping(getattr(_message(answer), "response_metadata", None)) for answer in answers]
    if not output and not any(told) and not any(map(_info, answers)):
        yield names.RESPONSE_ID, _message_id(answers)
        return
    sources = [*told, output]
    yield names.RESPONSE_MODEL, _first(sources, "model_name", "model", "model_id")
    yield names.RESPONSE_ID, _first(sources, "id") or _message_id(answers)
    reasons = [
        _first([_info(answer), own, output], *_REASONS)
        for answer, own in zip(answers, told, strict=True)
    ]
    if any(reasons):
        # The conventions want a reason for every answer, and this one where none was received.
        yield names.RESPONSE_FINISH_REASONS, [reason or "error" for reason in reasons]


def of_tool_answer(result: Any) -> Attributes:
    """Yield that a tool's answer to a model tells of an error: one that was handled."""
    if hasattr(result, "tool_call_id") and getattr(result, "status", None) == "error":
        yield names.ERROR_TYPE, "tool_error"


def _message(answer: Any) -> Any:
    return getattr(answer, "message", None)


def _info(answer: Any) -> Mapping[str, Any]:
    return _mapping(getattr(answer, "generation_info", None))


def _message_id(answers: Iterable[Any]) -> str | None:
    for answer in answers:
        found = getattr(_message(answer), "id", None)
        if isinstance(found, str) and not found.startswith(_OWN_IDS):
            return found
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if value and isinstance(value, Mapping) else {}


def _first(sources: Iterable[Mapping[str, Any]], *keys: str) -> str | None:
    for source in sources:
        for key in keys:
            value = source.get(key)
            if value and isinstance(value, str):
                return value
    return None
