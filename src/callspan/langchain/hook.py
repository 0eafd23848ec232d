"""What joins callspan's runs and LangChain's: LangChain asks here whenever a run may start.

`register_configure_hook` is LangChain's public way to have a handler in every run. It asks a
context variable; this one looks at what is current. So LangChain's objects inside a callspan run
are part of it and hear its request-time handlers, and the instrumentor's handler is in all runs.
"""

from __future__ import annotations

import sys
from typing import Any, Final
from weakref import WeakKeyDictionary

from langchain_core.tracers.context import register_configure_hook
from opentelemetry.context import get_current

from callspan import tracing
from callspan.callbacks.ambient import Scope, scope_of
from callspan.langchain.handler import OTelCallbackHandler
from callspan.langchain.internals import configured, text_model
from callspan.langchain.live import LiveContext, expect
from callspan.langchain.runs import open_runs
from callspan.langchain.scope import LangChainScope

_twins: Final[WeakKeyDictionary[Any, OTelCallbackHandler]] = WeakKeyDictionary()


class Hook:
    """The variable that LangChain asks.

    Attributes:
        everywhere: The handler of all runs, while the instrumentor is switched on.
    """

    def __init__(self) -> None:
        self.everywhere: OTelCallbackHandler | None = None

    def get(self) -> OTelCallbackHandler | None:
        """Add to the manager that asks what it lacks.

        Returns:
            A handler for LangChain to add; None when there is nothing more to add.
        """
        manager = configured(sys._getframe(1))
        if manager is None:
            return self.everywhere
        model = text_model(sys._getframe(1))
        if model is not None and (self.everywhere or any(map(_traces, manager.handlers))):
            expect(model)
        for handler in manager.handlers:
            if _is_plain(handler):
                manager.handlers = [*map(for_langchain, manager.handlers)]
                manager.inheritable_handlers = [*map(for_langchain, manager.inheritable_handlers)]
                break
        context = get_current()
        ordinary = context.base if isinstance(context, LiveContext) else context
        scope = scope_of(ordinary)
        if scope is None or isinstance(scope, LangChainScope):
            return self.everywhere
        if ordinary is not context:
            scope = scope_of(context)
        if scope is not None and not isinstance(scope, LangChainScope):
            _join(manager, scope)
        return self.everywhere


def _join(manager: Any, scope: Scope) -> None:
    """Make what a manager starts a part of callspan's run."""
    for handler in scope.handlers:
        handler = for_langchain(handler)
        if not any(one is handler for one in manager.handlers):
            manager.add_handler(handler)
    manager.add_tags(scope.tags)
    manager.add_metadata(scope.metadata)
    parent = manager.parent_run_id
    # A run of LangChain's that is traced and was inside of callspan's would be the current one.
    if parent is None or open_runs.get(parent.int) is not None:
        manager.parent_run_id = scope.run_id or parent


def _traces(handler: Any) -> bool:
    return isinstance(handler, tracing.OTelCallbackHandler)


def _is_plain(handler: Any) -> bool:
    return _traces(handler) and not isinstance(handler, OTelCallbackHandler)


def for_langchain(handler: Any) -> Any:
    """Return what stands for a handler in LangChain's runs.

    Of `callspan.OTelCallbackHandler` it is a twin that makes the spans current there.
    """
    if not _is_plain(handler):
        return handler
    twin = _twins.get(handler)
    if twin is None:
        twin = _twins[handler] = OTelCallbackHandler.__new__(OTelCallbackHandler)
        twin.__dict__.update(handler.__dict__, own_listeners=None)
    return twin


hook: Final = Hook()
register_configure_hook(hook, inheritable=True)  # type: ignore[arg-type]
