"""Token counts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from typing_extensions import NotRequired, TypedDict

from callspan.errors import InputError


class InputTokenDetails(TypedDict, total=False):
    """Some of the input tokens, by what they are; a provider may add keys.

    Attributes:
        audio: Tokens of audio.
        cache_creation: Tokens that were written to a cache.
        cache_read: Tokens that came from a cache.
    """

    audio: int
    cache_creation: int
    cache_read: int


class OutputTokenDetails(TypedDict, total=False):
    """Some of the output tokens, by what they are; a provider may add keys.

    Attributes:
        audio: Tokens of audio.
        reasoning: Tokens of the reasoning that preceded the answer.
    """

    audio: int
    reasoning: int


class UsageMetadata(TypedDict):
    """The tokens that one or more calls of a model used.

    Attributes:
        input_tokens: All tokens of the prompt, cached ones too.
        output_tokens: All tokens of the answer, reasoning too.
        total_tokens: The sum of the two.
        input_token_details: Part of the input tokens, by kind.
        output_token_details: Part of the output tokens, by kind.
    """

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_token_details: NotRequired[InputTokenDetails]
    output_token_details: NotRequired[OutputTokenDetails]


def add_usage(left: UsageMetadata | None, right: UsageMetadata | None) -> UsageMetadata:
    """Add token counts, details by details.

    Args:
        left: Counts, or None for none.
        right: Counts to add.

    Returns:
        The sum; zeros if both are None. No argument is changed.

    Raises:
        InputError: Two values of a key are neither both integers nor both dicts.
    """
    if not (left and right):
        return left or right or UsageMetadata(input_tokens=0, output_tokens=0, total_tokens=0)
    return cast("UsageMetadata", _add_counts(left, right))


def _add_counts(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    total = dict(left)
    for key, value in right.items():
        present = total.get(key)
        if key not in total:
            total[key] = value
        elif isinstance(present, int) and isinstance(value, int):
            total[key] = present + value
        elif isinstance(present, dict) and isinstance(value, dict):
            total[key] = _add_counts(present, value)
        else:
            raise InputError(
                f"token counts under {key!r} cannot be added: {present!r} and {value!r} "
                "must both be integers, or both be dicts of integers"
            )
    return total
