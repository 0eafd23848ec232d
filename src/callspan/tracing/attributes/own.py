"""callspan's own attributes: the run, its tags and metadata, whose session it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from opentelemetry.baggage import get_all
from opentelemetry.context import Context

from callspan.tracing.attributes import names
from callspan.tracing.attributes.run import RunStart
from callspan.tracing.content import ContentGate

_MAX_KEYS: Final = 32
_STEPS: Final = ("seq:step:", "map:key:", "graph:step:", "retry:attempt:")
_ATTEMPT: Final = "retry:attempt:"
_INTERNAL: Final = ("ls_", "__")
_IDENTITY: Final = {
    "session_id": names.SESSION_ID,
    names.SESSION_ID: names.SESSION_ID,
    "user_id": names.USER_ID,
    names.USER_ID: names.USER_ID,
    "thread_id": names.CONVERSATION_ID,
    "conversation_id": names.CONVERSATION_ID,
    names.CONVERSATION_ID: names.CONVERSATION_ID,
}


def of_identity(metadata: Mapping[str, Any], context: Context) -> dict[str, str]:
    """Return session, user and conversation, from a run's metadata or else from baggage."""
    found: dict[str, str] = {}
    for source in (get_all(context), metadata):
        if source:
            for key in _IDENTITY.keys() & source.keys():
                value = source[key]
                if value not in (None, "") and not isinstance(value, bool):
                    found[_IDENTITY[key]] = str(value)
    return found


def of_tags(start: RunStart, gate: ContentGate) -> Iterable[tuple[str, Any]]:
    """Yield the tags that are not the steps' own, and the attempt that one of those tells."""
    tags = []
    for tag in start.tags:
        if not isinstance(tag, str) or not tag.startswith(_STEPS):
            tags.append(tag)
        elif tag.startswith(_ATTEMPT) and tag[len(_ATTEMPT) :].isdecimal():
            yield names.RUN_ATTEMPT, int(tag[len(_ATTEMPT) :])
    if tags:
        yield names.TAGS, gate.value(names.TAGS, [str(tag) for tag in tags])


def of_metadata(start: RunStart, gate: ContentGate) -> Iterable[tuple[str, Any]]:
    """Yield an attribute for each key of the metadata that is the user's."""
    count = 0
    for key, value in start.metadata.items():
        if str(key).startswith(_INTERNAL):
            continue
        count += 1
        if count > _MAX_KEYS:
            break
        name = f"{names.METADATA}{key}"
        yield name, gate.value(name, value)
