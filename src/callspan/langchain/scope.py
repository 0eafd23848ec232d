"""What callspan's blocks inherit inside a run of LangChain."""

from __future__ import annotations

from typing import Any, cast
from uuid import UUID

from opentelemetry.context import Context

from callspan.callbacks.ambient import Scope, scope_of
from callspan.langchain.internals import config_callbacks


class LangChainScope(Scope):
    """The handlers, tags and metadata that LangChain hands down, looked up when they are used.

    Args:
        run_id: The run of LangChain.
    """

    __slots__ = ()
    run_id: UUID

    def __init__(self, run_id: UUID) -> None:
        self.run_id = run_id
        self._listeners = None

    @classmethod
    def of(cls, context: Context) -> LangChainScope | None:
        """Return the scope of `context`, if it is a run of LangChain's."""
        scope = scope_of(context)
        return scope if isinstance(scope, cls) else None

    @property
    def handlers(self) -> list[Any]:  # type: ignore[override]
        """The handlers that were passed at run time."""
        manager = config_callbacks()
        return [] if manager is None else [*manager.inheritable_handlers]

    @property
    def tags(self) -> list[str]:  # type: ignore[override]
        """The tags that were passed at run time."""
        manager = config_callbacks()
        return [] if manager is None else cast("list[str]", manager.inheritable_tags)

    @property
    def metadata(self) -> dict[str, Any]:  # type: ignore[override]
        """The metadata that were passed at run time."""
        manager = config_callbacks()
        return {} if manager is None else cast("dict[str, Any]", manager.inheritable_metadata)
