"""callspan's own attributes: the run, its tags and metadata, whose session it belongs to."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from opentelemetry.baggage import get_all, set_baggage
from opentelemetry.context import Context

from callspan.tracing.attributes import names
from callspan.tracing.attributes.run import Attributes, RunStart
from callspan.tracing.content import ContentGate
from callspan.tracing.text import well_formed

(_BAGGAGE_KEY,) = set_baggage("key", "value", Context())
METADATA_KEYS: Final = 32
"""The most keys of a run's metadata that have an attribute of their own."""
_STEPS_BUT_ATTEMPT: Final = ("seq:step:", "map:key:", "graph:step:")
_ATTEMPT: Final = "retry:attempt:"
_STEPS: Final = (*_STEPS_BUT_ATTEMPT, _ATTEMPT)
_INTERNAL: Final = ("ls_", "__", "lc_versions")
_IDENTITY: Final = {
    "session_id": names.SESSION_ID,
    names.SESSION_ID: names.SESSION_ID,
    "user_id": names.USER_ID,
    names.USER_ID: names.USER_ID,
    "thread_id": names.CONVERSATION_ID,
    "conversation_id": names.CONVERSATION_ID,
    names.CONVERSATION_ID: names.CONVERSATION_ID,
}
_IDENTITY_KEYS: Final = frozenset(_IDENTITY)


def of_identity(start: RunStart, context: Context, gate: ContentGate) -> Attributes:
    """Yield session, user and conversation, from a run's metadata or else from baggage."""
    for source in (get_all(context), start.metadata):
        for key, name in _IDENTITY.items():
            value = source.get(key)
            if value is not None and value != "" and not isinstance(value, bool):
                shown = gate.value(name, value)
                yield name, None if shown is None else str(shown)


def has_identity(start: RunStart, context: Context) -> bool:
    """Tell whether `of_identity` has something to look for; at less than it takes to look."""
    metadata = start.metadata
    return _BAGGAGE_KEY in context or (bool(metadata) and not _IDENTITY_KEYS.isdisjoint(metadata))


def has_labels(start: RunStart) -> bool:
    """Tell whether a run has tags or metadata of the user's."""
    for tag in start.tags:
        if not str(tag).startswith(_STEPS_BUT_ATTEMPT):
            return True
    return next(user_keys(start), None) is not None


def of_tags(start: RunStart, gate: ContentGate) -> Attributes:
    """Yield the user's tags, and the attempt that a step's tag tells."""
    tags = user_tags(start)
    if tags:
        yield names.TAGS, gate.value(names.TAGS, tags)
    if len(tags) < len(start.tags):
        for tag in start.tags:
            number = str(tag).removeprefix(_ATTEMPT)
            if number != tag and number.isdecimal() and len(number) < 10:
                yield names.RUN_ATTEMPT, int(number)


def of_metadata(start: RunStart, gate: ContentGate, most: int) -> Attributes:
    """Yield an attribute for each of the first keys of the metadata that are the user's."""
    for key in list(user_keys(start))[:most]:
        name = _metadata_name(key)
        yield name, gate.value(name, start.metadata[key])


@lru_cache(maxsize=1024)
def _metadata_name(key: str) -> str:
    return well_formed(f"{names.METADATA}{key}")


def user_keys(start: RunStart) -> Iterator[str]:
    """Yield the keys of the metadata that are neither internal nor told in other attributes."""
    return (key for key in start.metadata if not str(key).startswith(_INTERNAL))


def user_tags(start: RunStart) -> list[str]:
    """Return the tags that are not the steps' own."""
    return [str(tag) for tag in start.tags if not str(tag).startswith(_STEPS)]
