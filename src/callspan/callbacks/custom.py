"""Events of the user's own, sent from inside a run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager, _Manager

M = TypeVar("M", bound=_Manager)


def dispatch_custom_event(name: str, data: Any, *, config: Mapping[str, Any] | None = None) -> None:
    """Tell the handlers of the run around this code of an event of your own.

    Args:
        name: The event's name; the span event has it too.
        data: All there is to say.
        config: The config of the run, where it is not the one around this code.

    Raises:
        RuntimeError: outside of any run.
    """
    manager = _around(CallbackManager, config)
    manager.on_custom_event(name, data, run_id=manager.parent_run_id)


async def adispatch_custom_event(
    name: str, data: Any, *, config: Mapping[str, Any] | None = None
) -> None:
    """As `dispatch_custom_event`, awaited: async handlers are told in this task."""
    manager = _around(AsyncCallbackManager, config)
    await manager.on_custom_event(name, data, run_id=manager.parent_run_id)


def _around(kind: type[M], config: Mapping[str, Any] | None) -> M:
    given = config or {}
    manager = kind.configure(
        given.get("callbacks"),
        inheritable_tags=given.get("tags"),
        inheritable_metadata=given.get("metadata"),
    )
    if manager.parent_run_id is None:
        raise RuntimeError(
            "a custom event belongs to a run, and there is none around this code: send it from "
            "inside a chain, tool or @traced function, or pass that run's config"
        )
    return manager
