"""Which functions say what of a run, and the one guard around them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Final

from opentelemetry.context import Context

from callspan.tracing.attributes import names
from callspan.tracing.attributes.own import of_identity, of_metadata, of_tags
from callspan.tracing.attributes.request import data_source_of, of_request
from callspan.tracing.attributes.run import RunStart
from callspan.tracing.content import ContentGate

log = logging.getLogger("callspan")

Attributes = dict[str, Any]
_failed: set[str] = set()


def collect(attributes: Attributes, says: Callable[..., Iterable[tuple[str, Any]]], *about: Any) -> None:
    """Add what one function says; what it cannot read is left out, and logged once."""
    try:
        for key, value in says(*about):
            if value is not None:
                attributes[key] = value
    except Exception as error:
        if says.__name__ not in _failed:
            _failed.add(says.__name__)
            log.warning("attributes are missing: %s failed: %r", says.__name__, error)


def at_start(start: RunStart, context: Context, *, openinference: bool = False) -> Attributes:
    attributes = _known(start.kind, start.type, start.name, start.root).copy()
    attributes[names.RUN_ID] = str(start.run_id)
    collect(attributes, lambda: of_identity(start.metadata, context).items())
    if start.kind in ("chat_model", "llm"):
        collect(attributes, of_request, start)
    return attributes


@lru_cache(maxsize=1024)
def _known(kind: str, type_: str, name: str, root: bool) -> Attributes:
    return {names.RUN_TYPE: type_, names.RUN_NAME: name}


def labels(start: RunStart, gate: ContentGate) -> Attributes:
    attributes: Attributes = {}
    collect(attributes, of_tags, start, gate)
    collect(attributes, of_metadata, start, gate)
    return attributes


def of_input(start: RunStart, gate: ContentGate, *, openinference: bool = False) -> Attributes:
    return {}


def of_output(
    start: RunStart, result: Any, gate: ContentGate, *, openinference: bool = False
) -> Attributes:
    return {}
