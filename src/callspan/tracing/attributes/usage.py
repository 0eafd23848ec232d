"""Token counts of a model's result, whichever way its provider spells them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from callspan.tracing.attributes import names
from callspan.tracing.attributes.run import Attributes

_INPUT: Final = ("input_tokens", "prompt_tokens")
_OUTPUT: Final = ("output_tokens", "completion_tokens")
_INPUT_DETAILS: Final = ("input_token_details", "prompt_tokens_details", "input_tokens_details")
_OUTPUT_DETAILS: Final = (
    "output_token_details",
    "completion_tokens_details",
    "output_tokens_details",
)
_CACHED: Final = {
    "cache_read": "cache_read",
    "cached_tokens": "cache_read",
    "cache_creation": "cache_creation",
    "cache_write_tokens": "cache_creation",
    "audio": "audio",
    "audio_tokens": "audio",
}
_MADE: Final = {
    "reasoning": "reasoning",
    "reasoning_tokens": "reasoning",
    "audio": "audio",
    "audio_tokens": "audio",
}
_EPHEMERAL: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_CACHE_READ: Final = "cache_read_input_tokens"
_CACHE_WRITE: Final = "cache_creation_input_tokens"


def usage_of(result: Any) -> dict[str, Any] | None:
    """Return the tokens that a model's run used.

    Args:
        result: What the run's end event was told: an LLMResult.

    Returns:
        `input_tokens` (cached ones included), `output_tokens` and `total_tokens`, with
        `input_token_details` (`cache_read`, `cache_creation`, `audio`) and `output_token_details`
        (`reasoning`, `audio`) where they are known; None if the result tells no counts.
    """
    # The choices of one prompt repeat the usage of their common request: only one of them counts.
    told = []
    for answers in result.generations:
        for answer in answers:
            usage = _of_message(getattr(answer, "message", None))
            if usage is not None:
                told.append(usage)
                break
    if told:
        return told[0] if len(told) == 1 else _sum(told)
    return _of_provider(getattr(result, "llm_output", None))


def of_usage(result: Any) -> Attributes:
    """Yield the token counts of a model's result by the names of the conventions."""
    usage = usage_of(result)
    if usage is None:
        return
    yield names.USAGE_INPUT_TOKENS, usage["input_tokens"]
    yield names.USAGE_OUTPUT_TOKENS, usage["output_tokens"]
    read = usage["input_token_details"]
    written = usage["output_token_details"]
    yield names.USAGE_CACHE_READ_INPUT_TOKENS, read.get("cache_read")
    yield names.USAGE_CACHE_WRITE_INPUT_TOKENS, read.get("cache_creation")
    yield names.USAGE_AUDIO_INPUT_TOKENS, read.get("audio")
    yield names.USAGE_REASONING_OUTPUT_TOKENS, written.get("reasoning")
    yield names.USAGE_AUDIO_OUTPUT_TOKENS, written.get("audio")


def _of_message(message: Any) -> dict[str, Any] | None:
    usage = getattr(message, "usage_metadata", None)
    found = None if usage is None else _standard(usage)
    return _of_provider(getattr(message, "response_metadata", None)) if found is None else found


def _of_provider(output: Any) -> dict[str, Any] | None:
    if not output or not isinstance(output, Mapping):
        return None
    for key in ("token_usage", "usage", "usage_metadata"):
        usage = output.get(key)
        found = None if usage is None else _standard(usage)
        if found is not None:
            return found
    return None


def _standard(usage: Any) -> dict[str, Any] | None:
    """Token counts in one spelling; None if there are none."""
    usage = _as_mapping(usage)
    read, written = _count(usage, _INPUT), _count(usage, _OUTPUT)
    if read is None and written is None:
        return None
    read, written = read or 0, written or 0
    cached = _details(usage, _INPUT_DETAILS, _CACHED)
    if "input_tokens" in usage and (_CACHE_READ in usage or _CACHE_WRITE in usage):
        # Anthropic counts what goes through its cache apart from the rest of the input.
        through = {"cache_read": usage.get(_CACHE_READ), "cache_creation": usage.get(_CACHE_WRITE)}
        cached |= {key: count for key, value in through.items() if (count := _number(value))}
        read += cached.get("cache_read", 0) + cached.get("cache_creation", 0)
    if "cache_creation" not in cached and (details := usage.get("input_token_details")):
        by_lifetime = sum(_number(_as_mapping(details).get(key)) or 0 for key in _EPHEMERAL)
        cached |= {"cache_creation": by_lifetime} if by_lifetime else {}
    total = _number(usage.get("total_tokens"))
    return {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written if total is None else total,
        "input_token_details": cached,
        "output_token_details": _details(usage, _OUTPUT_DETAILS, _MADE),
    }


def _sum(usages: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {}
    for usage in usages:
        for key, value in usage.items():
            if isinstance(value, dict):
                total[key] = _sum([total.get(key, {}), value])
            else:
                total[key] = total.get(key, 0) + value
    return total


def _count(usage: Mapping[str, Any], keys: Iterable[str]) -> int | None:
    """The first count that is there under one of the keys."""
    for key in keys:
        number = _number(usage.get(key))
        if number is not None:
            return number
    return None


def _details(
    usage: Mapping[str, Any], keys: Iterable[str], spellings: Mapping[str, str]
) -> dict[str, int]:
    """Counts of parts of the tokens; zeros say nothing and are left out."""
    found: dict[str, int] = {}
    for key in keys:
        details = usage.get(key)
        if details:
            for spelling, value in _as_mapping(details).items():
                name, number = spellings.get(spelling), _number(value)
                if name is not None and number:
                    found.setdefault(name, number)
            break
    return found


def _as_mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else getattr(value, "__dict__", {})


def _number(value: Any) -> int | None:
    """A count, or None for what is none: these are read from whatever a server sent."""
    return value if type(value) is int and 0 <= value < 2**63 else None
