"""One open run: its ids, who hears of it, its Context, and that it ends once."""

from __future__ import annotations

import logging
import operator
from functools import partial
from typing import Any, Final
from uuid import UUID

from opentelemetry.context import Context, get_current

from callspan.callbacks import collector
from callspan.callbacks.ambient import Scope, is_in_run, with_scope
from callspan.callbacks.dispatch import tell
from callspan.callbacks.events import Event
from callspan.callbacks.listeners import Heard, Listeners

log = logging.getLogger("callspan")

_MISSING: Final = object()


class Run:
    """What the run managers of one run share, sync and async.

    Args:
        run_id: The run.
        parent_run_id: The run it is part of.
        handlers: All its handlers, and which of them its children inherit; tags and metadata
            likewise.
        listeners: Who of the handlers hears what.
        parent: The parent, where it is known, so that its span can be found when its Context is
            not the current one.
    """

    __slots__ = (
        "_context",
        "_current",
        "_ended",
        "_scope",
        "handlers",
        "inheritable_handlers",
        "inheritable_metadata",
        "inheritable_tags",
        "listeners",
        "metadata",
        "parent_context",
        "parent_run_id",
        "run_id",
        "tags",
    )

    def __init__(
        self,
        run_id: UUID,
        parent_run_id: UUID | None,
        handlers: list[Any],
        inheritable_handlers: list[Any],
        tags: list[str],
        inheritable_tags: list[str],
        metadata: dict[str, Any],
        inheritable_metadata: dict[str, Any],
        listeners: Listeners,
        parent: Run | None = None,
    ) -> None:
        self.run_id = run_id
        self.parent_run_id = parent_run_id
        self.handlers = handlers
        self.inheritable_handlers = inheritable_handlers
        self.tags = tags
        self.inheritable_tags = inheritable_tags
        self.metadata = metadata
        self.inheritable_metadata = inheritable_metadata
        self.listeners = listeners
        self._ended = False
        self._scope: Scope | None = None
        self._context: Context | None = None
        self._current = current = get_current()
        self.parent_context: Context | None = None
        """The Context to be told of the start in, where the current one is not the parent's."""
        if (
            parent is not None
            and not is_in_run(current, parent.run_id)
            and parent.run_id == parent_run_id
        ):
            self.parent_context = parent.context()
        if collector.waiting:
            collector.send_waiting()

    def scope(self) -> Scope:
        """What the run's children inherit."""
        if self._scope is None:
            handlers = self.inheritable_handlers
            same = len(handlers) == len(self.handlers) and all(
                map(operator.is_, handlers, self.handlers)
            )
            self._scope = Scope(
                self.run_id,
                handlers,
                self.inheritable_tags,
                self.inheritable_metadata,
                self.listeners if same else None,
            )
        return self._scope

    def context(self) -> Context:
        """The current Context, as the run's body is to see it."""
        made = self._context
        if made is None:
            made = with_scope(self.scope(), self.parent_context or self._current)
            for handler in reversed(self.listeners.with_context):
                try:
                    made = handler.run_context(self.run_id, made)
                except Exception as error:
                    log.warning("Error in %s.run_context: %r", type(handler).__name__, error)
            self._context = made
        current = get_current()
        if current is self._current:
            return made
        before = self._current
        changes = {k: v for k, v in made.items() if before.get(k, _MISSING) is not v}
        return Context({**current, **changes})

    def told(self, extra: dict[str, Any], **more: Any) -> dict[str, Any]:
        """The keywords that go with every event of this run."""
        return {
            "run_id": self.run_id,
            "parent_run_id": self.parent_run_id,
            "tags": self.tags,
            **more,
            **extra,
        }

    def closing(self, event: Event, argument: Any, extra: dict[str, Any]) -> Heard | None:
        """End the run, unless it has ended; return who is to be told of it now."""
        if self._ended:
            log.debug("run %s has ended already: %s is ignored", self.run_id, event.method)
            return None
        self._ended = True
        heard = self.listeners.of(event)
        if collector.is_collecting():
            if heard is not None:
                collector.put_off(partial(tell, heard, (argument,), self.told(extra)))
            return None
        if collector.waiting:
            collector.send_waiting()
        return heard
