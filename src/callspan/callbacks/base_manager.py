"""The settings of a callback manager: handlers, tags, metadata, and what of them is inherited."""

from __future__ import annotations

from typing import Any, TypeVar
from uuid import UUID

from typing_extensions import Self

from callspan._options import check
from callspan.callbacks.handlers import BaseCallbackHandler, CallbackManagerMixin
from callspan.callbacks.ids import new_run_id
from callspan.callbacks.listeners import NOBODY, Listeners, check_handlers, listeners_of
from callspan.callbacks.run import Run

M = TypeVar("M", bound="BaseCallbackManager")


class BaseCallbackManager(CallbackManagerMixin):
    """Handlers, tags and metadata for the runs that are started through it.

    Its methods never change a list in place, since the runs it has started hold them too.

    Args:
        handlers: Who hears the runs started here.
        inheritable_handlers: Who hears their descendants too.
        parent_run_id: The run that they are part of.
        tags: Tags of the runs started here.
        inheritable_tags: Tags of their descendants.
        metadata: Metadata of the runs started here.
        inheritable_metadata: Metadata of their descendants.

    Raises:
        CallbackError: if one of the handlers is none.
        ConfigurationError: if tags are no list of strings, metadata no dict, or `parent_run_id` no
            UUID.
    """

    def __init__(
        self,
        handlers: list[BaseCallbackHandler],
        inheritable_handlers: list[BaseCallbackHandler] | None = None,
        parent_run_id: UUID | None = None,
        *,
        tags: list[str] | None = None,
        inheritable_tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inheritable_metadata: dict[str, Any] | None = None,
    ) -> None:
        check({"tags": tags, "metadata": metadata, "parent_run_id": parent_run_id})
        check({"tags": inheritable_tags, "metadata": inheritable_metadata})
        self.handlers: list[Any] = check_handlers(handlers)
        self.inheritable_handlers: list[Any] = check_handlers(inheritable_handlers or [])
        self.parent_run_id = parent_run_id
        self.tags = tags or []
        self.inheritable_tags = inheritable_tags or []
        self.metadata = metadata or {}
        self.inheritable_metadata = inheritable_metadata or {}
        self._parent: Run | None = None
        self._known: tuple[list[Any], int, Listeners] | None = None

    @property
    def is_async(self) -> bool:
        """Whether the events of this manager are awaited."""
        return False

    def copy(self) -> Self:
        """Return a manager with the same settings."""
        return self._copied(type(self))

    def merge(self, other: BaseCallbackManager) -> Self:
        """Return a manager with the settings of both; where metadata differ, `other` wins."""
        merged = self.copy()
        merged.parent_run_id = self.parent_run_id or other.parent_run_id
        merged._parent = self._parent if self.parent_run_id else other._parent
        merged.handlers = _joined(self.handlers, other.handlers)
        merged.inheritable_handlers = _joined(self.inheritable_handlers, other.inheritable_handlers)
        merged.tags = _united(self.tags, other.tags)
        merged.inheritable_tags = _united(self.inheritable_tags, other.inheritable_tags)
        merged.metadata = {**self.metadata, **other.metadata}
        merged.inheritable_metadata = {**self.inheritable_metadata, **other.inheritable_metadata}
        return merged

    def add_handler(self, handler: BaseCallbackHandler, inherit: bool = True) -> None:
        """Add a handler, unless it is there; with `inherit`, for descendants too."""
        self._join(check_handlers([handler]), inherit=inherit)

    def remove_handler(self, handler: BaseCallbackHandler) -> None:
        """Take a handler away, here and for descendants."""
        self.handlers = [one for one in self.handlers if one is not handler]
        self.inheritable_handlers = [one for one in self.inheritable_handlers if one is not handler]

    def set_handlers(self, handlers: list[BaseCallbackHandler], inherit: bool = True) -> None:
        """Replace all handlers."""
        checked = check_handlers(handlers)
        self.handlers = []
        self.inheritable_handlers = []
        self._join(checked, inherit=inherit)

    def set_handler(self, handler: BaseCallbackHandler, inherit: bool = True) -> None:
        """Replace all handlers by this one."""
        self.set_handlers([handler], inherit=inherit)

    def add_tags(self, tags: list[str], inherit: bool = True) -> None:
        """Add tags, each once; with `inherit`, for descendants too."""
        if tags:
            check({"tags": tags})
            self.tags = _united(self.tags, tags)
            if inherit:
                self.inheritable_tags = _united(self.inheritable_tags, tags)

    def remove_tags(self, tags: list[str]) -> None:
        """Take tags away, here and for descendants."""
        self.tags = [tag for tag in self.tags if tag not in tags]
        self.inheritable_tags = [tag for tag in self.inheritable_tags if tag not in tags]

    def add_metadata(self, metadata: dict[str, Any], inherit: bool = True) -> None:
        """Add metadata, replacing values of the same key; with `inherit`, for descendants too."""
        if metadata:
            if type(metadata) is not dict:
                check({"metadata": metadata})
            self.metadata = {**self.metadata, **metadata}
            if inherit:
                self.inheritable_metadata = {**self.inheritable_metadata, **metadata}

    def remove_metadata(self, keys: list[str]) -> None:
        """Take metadata away, here and for descendants."""
        self.metadata = {k: v for k, v in self.metadata.items() if k not in keys}
        self.inheritable_metadata = {
            k: v for k, v in self.inheritable_metadata.items() if k not in keys
        }

    def _copied(self, cls: type[M]) -> M:
        """A manager of this class with the same settings, in lists of its own."""
        copy = cls.__new__(cls)
        copy.__dict__.update(self.__dict__)
        copy.handlers = handlers = [*self.handlers]
        copy.inheritable_handlers = [*self.inheritable_handlers]
        copy.tags = [*self.tags]
        copy.inheritable_tags = [*self.inheritable_tags]
        copy.metadata = {**self.metadata}
        copy.inheritable_metadata = {**self.inheritable_metadata}
        if self._known is not None and self._known[0] is self.handlers:
            copy._known = (handlers, *self._known[1:])
        return copy

    def _join(self, handlers: list[Any], *, inherit: bool) -> None:
        if handlers:
            self.handlers = _joined(self.handlers, handlers)
            if inherit:
                self.inheritable_handlers = _joined(self.inheritable_handlers, handlers)

    def _custom_event(self, run_id: UUID | None, extra: dict[str, Any]) -> dict[str, Any]:
        """The keywords that go with an event of the user's own."""
        if extra:
            raise ValueError(
                f"a custom event has no keywords of its own ({', '.join(extra)}): "
                "put them into its data"
            )
        return {"run_id": run_id or new_run_id(), "tags": self.tags, "metadata": self.metadata}

    def _listeners(self) -> Listeners:
        handlers = self.handlers
        if not handlers:
            return NOBODY
        known = self._known
        # The length too: code written for LangChain appends to the list itself.
        if known is None or known[0] is not handlers or known[1] != len(handlers):
            listeners = listeners_of(handlers, self.inheritable_handlers)
            self._known = known = (handlers, len(handlers), listeners)
        return known[2]

    def _run(self, run_id: UUID | None, parent_run_id: UUID | None = None) -> Run:
        if run_id is not None or parent_run_id is not None:
            check({"run_id": run_id, "parent_run_id": parent_run_id})
        return Run(
            run_id or new_run_id(),
            parent_run_id or self.parent_run_id,
            self.handlers,
            self.inheritable_handlers,
            self.tags,
            self.inheritable_tags,
            self.metadata,
            self.inheritable_metadata,
            self._listeners(),
            self._parent,
        )


def _joined(handlers: list[Any], more: list[Any]) -> list[Any]:
    present = {id(handler) for handler in handlers}
    new = [handler for handler in more if id(handler) not in present]
    return [*handlers, *new] if new else handlers


def _united(tags: list[str], more: list[str]) -> list[str]:
    return [*tags, *(tag for tag in dict.fromkeys(more) if tag not in tags)]


def own_handlers(callbacks: Any) -> Any:
    """Return what an object is to have as its own callbacks: checked handlers, or a manager."""
    if callbacks is None or isinstance(callbacks, BaseCallbackManager):
        return callbacks
    return check_handlers(callbacks)


def merge_callbacks(first: Any, second: Any) -> Any:
    """Return the handlers of both, each of which is a list of handlers or a callback manager."""
    if not isinstance(first, BaseCallbackManager):
        if not isinstance(second, BaseCallbackManager):
            return [*first, *second]
        first, second = second, first
    if not isinstance(second, BaseCallbackManager):
        second = BaseCallbackManager(second, second)
    return first.merge(second)
