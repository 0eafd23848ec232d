"""How the parts of two message chunks are added."""

from __future__ import annotations

from typing import Any, TypeAlias, TypeVar

from callspan.errors import MergeError

Content: TypeAlias = str | list[str | dict[Any, Any]]

_Key = TypeVar("_Key")

# Integers that name something rather than count it: the later one wins.
_LAST_WINS = {"index", "created", "timestamp"}
# Strings that a provider repeats in every chunk, where others are continued.
_REPEATED = {"id", "output_version", "model_provider"}


def merge_content(first: Content, *others: Content) -> Content:
    """Concatenate message contents.

    Args:
        first: Text, or a list of texts and content blocks; not empty.
        *others: Contents to append, in order. Blocks with the same `index` become one block.

    Returns:
        Text if all are text, else a list. No argument is changed.
    """
    if isinstance(first, str) and all(isinstance(content, str) for content in others):
        return "".join((first, *others))  # type: ignore[arg-type]
    merged: list[str | dict[Any, Any]] = []
    for content in (first, *others):
        if not isinstance(content, str):
            merged = merge_lists(merged, content)
        elif merged and isinstance(merged[-1], str):
            merged[-1] += content
        else:
            merged.append(content)
    return merged


def merge_dicts(left: dict[_Key, Any], *others: dict[_Key, Any]) -> dict[_Key, Any]:
    """Merge dicts of streamed values.

    Strings are concatenated, integers added, dicts and lists merged; None gives way to a value.
    Keys that name something (`id`, `index`, `created`, ...) are not accumulated.

    Args:
        left: The first dict.
        *others: Dicts to merge into a copy of it, in order.

    Returns:
        A new dict.

    Raises:
        MergeError: Two values of a key cannot be added.
    """
    merged = left.copy()
    for right in others:
        for key, value in right.items():
            merged[key] = _merge_values(key, merged.get(key), value)
    return merged


def _merge_values(key: Any, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return right if left is None else left
    if type(left) is type(right):
        if isinstance(left, str):
            return left if key in _REPEATED and left == right else left + right
        if isinstance(left, dict):
            return merge_dicts(left, right)
        if isinstance(left, list):
            return merge_lists(left, right)
        if left == right:
            return left
        if type(left) is int:
            return right if key in _LAST_WINS else left + right
    raise MergeError(
        f"two chunks hold values under {key!r} that cannot be added: "
        f"{type(left).__name__} and {type(right).__name__}"
    )


def merge_lists(left: list[Any], *others: list[Any]) -> list[Any]:
    """Concatenate lists; dicts that have the same `index` become one dict.

    Args:
        left: The first list.
        *others: Lists to append to a copy of it, in order. An element is merged into the first one
            with its index, unless both have an `id` and these differ.

    Returns:
        A new list.

    Raises:
        MergeError: Two values in dicts with the same index cannot be added.
    """
    merged = left.copy()
    for other in others:
        for element in other:
            at = _position(merged, element)
            if at is None:
                merged.append(element)
            else:
                # Every delta of a block repeats its type, or has one of its own ("text_delta").
                delta = {key: value for key, value in element.items() if key != "type"}
                merged[at] = merge_dicts(merged[at], delta)
    return merged


def _position(merged: list[Any], element: Any) -> int | None:
    """Where the dict stands that `element` continues, if there is one."""
    index = element.get("index") if isinstance(element, dict) else None
    if not isinstance(index, int):
        return None
    for position, candidate in enumerate(merged):
        if isinstance(candidate, dict) and candidate.get("index") == index:
            ids = candidate.get("id"), element.get("id")
            if not all(ids) or ids[0] == ids[1]:
                return position
    return None


def merge_artifacts(left: Any, right: Any) -> Any:
    """Merge what two tool message chunks carry beside their content.

    Args:
        left: An artifact, or None.
        right: Another of the same kind, or None.

    Returns:
        The one that is not None, or the merge of two strings, dicts or lists.

    Raises:
        MergeError: The artifacts are different objects of another kind, or of two kinds.
    """
    if left is right or left is None or right is None:
        return right if left is None else left
    if isinstance(left, str | dict | list):
        return _merge_values("artifact", left, right)
    raise MergeError(
        f"two {type(left).__name__} artifacts cannot be added: give the artifact in one chunk only"
    )
