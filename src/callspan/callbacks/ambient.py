"""What the OpenTelemetry Context carries of the run around the code that runs.

Whatever propagates a Context (tasks, `to_thread`, `copy_context`, instrumented threads) so
propagates the handlers, tags and metadata that were passed at run time, and the parent run.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final
from uuid import UUID

from opentelemetry.context import Context, create_key, get_current, set_value

from callspan._options import check
from callspan.callbacks.activate import Activation
from callspan.callbacks.listeners import Listeners, check_handlers, listeners_of

SCOPE_KEY: Final = create_key("callspan-scope")
_PLACE_KEY: Final = create_key("callspan-place")


class Scope:
    """What runs that start here inherit.

    It is not the run itself and refers to none: a chain of background tasks, each started by the
    one before, would otherwise keep every run of the chain alive.
    """

    __slots__ = ("_listeners", "handlers", "metadata", "run_id", "tags")

    def __init__(
        self,
        run_id: UUID | None,
        handlers: list[Any],
        tags: list[str],
        metadata: dict[str, Any],
        listeners: Listeners | None = None,
    ) -> None:
        self.run_id = run_id
        self.handlers = handlers
        self.tags = tags
        self.metadata = metadata
        self._listeners = listeners

    @property
    def listeners(self) -> Listeners:
        """Who hears the events of a run that has these handlers and no others."""
        if self._listeners is None:
            self._listeners = listeners_of(self.handlers, self.handlers)
        return self._listeners


def scope_of(context: Context) -> Scope | None:
    """Return what `context` carries of the run around it."""
    return context.get(SCOPE_KEY)  # type: ignore[return-value]


def is_in_run(context: Context, run_id: UUID) -> bool:
    """Return whether the run around code with this Context is that one."""
    scope: Scope | None = context.get(SCOPE_KEY)  # type: ignore[assignment]
    # UUID compares in Python, even with itself.
    return scope is not None and (scope.run_id is run_id or scope.run_id == run_id)


def with_scope(scope: Scope, context: Context) -> Context:
    """Return `context` with `scope` in it."""
    return Context({**context, SCOPE_KEY: scope})


def numbered(run_id: UUID, kind: str, number: int) -> Activation[None]:
    """Number the children that a run starts inside a `with` block, for their spans.

    Args:
        run_id: The run whose children they are.
        kind: What is counted: "attempt" or "fallback".
        number: Which one it is.
    """
    return Activation(None, lambda: with_place(run_id, kind, number, get_current()))


def with_place(run_id: UUID, kind: str, number: int, context: Context) -> Context:
    """Return `context` for a run that has this number among the children of `run_id`."""
    return set_value(_PLACE_KEY, (run_id, kind, number), context)


def place_of(context: Context, parent_run_id: UUID | None) -> tuple[str, int] | None:
    """Return the kind and number that a run has among its parent's children, if any."""
    place: Any = context.get(_PLACE_KEY)
    return None if place is None or place[0] != parent_run_id else place[1:]


FindImplicit = Callable[[Sequence[Any]], Any]
implicit_handlers: Final[list[FindImplicit]] = []
"""Each gives a handler that hears every run, whoever starts it; None if it is among those given,
or there is no such handler just now."""


def register_implicit_handler(find: FindImplicit) -> None:
    """Have every run hear the handler that `find` returns."""
    implicit_handlers.append(find)


def use_config(
    *,
    callbacks: list[Any] | None = None,
    tags: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
    session_id: str | None = None,
    user_id: str | None = None,
    inherit: bool = True,
) -> Activation[None]:
    """Give all runs inside a `with` block these handlers, tags and metadata.

    It also decorates functions and coroutine functions, but no generators.

    Args:
        callbacks: Handlers, in addition to the ones around the block.
        tags: Tags, likewise.
        metadata: Metadata, likewise; a key given here wins.
        session_id: The session, on spans as `session.id`; metadata `session_id` to handlers.
        user_id: The user, on spans as `user.id`; metadata `user_id` to handlers.
        inherit: False drops the handlers, tags and metadata around the block. The parent run
            stays, and so does the handler that `configure` or a global provider brings.

    Raises:
        CallbackError: if `callbacks` is no list of handlers.
        ConfigurationError: if `tags` is no list of strings, `metadata` no dict, or `inherit` no
            bool.
    """
    added = [] if callbacks is None else check_handlers(callbacks)
    check({"tags": tags, "metadata": metadata, "inherit": inherit})
    own_tags = list(dict.fromkeys(tags or ()))
    own = {**(metadata or {})}
    own.update(
        (key, value)
        for key, value in (("session_id", session_id), ("user_id", user_id))
        if value is not None
    )

    def context() -> Context:
        current = get_current()
        outer = scope_of(current)
        run_id = None if outer is None else outer.run_id
        if outer is None or not inherit:
            scope = Scope(run_id, added, own_tags, own)
        else:
            scope = Scope(
                run_id,
                [*outer.handlers, *added],
                list(dict.fromkeys([*outer.tags, *own_tags])),
                {**outer.metadata, **own},
            )
        return with_scope(scope, current)

    return Activation(None, context)
