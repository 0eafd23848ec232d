"""OTelCallbackHandler: the events of a run, as the life of a span."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from time import perf_counter
from typing import Any, Final
from uuid import UUID
from weakref import WeakSet

from opentelemetry.context import Context, get_current
from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    Span,
    SpanContext,
    TracerProvider,
)
from typing_extensions import Self

from callspan.callbacks.handlers import BaseCallbackHandler
from callspan.callbacks.listeners import Listeners
from callspan.errors import ConfigurationError
from callspan.tracing.attributes import RunStart, names, of_input
from callspan.tracing.content import ContentGate
from callspan.tracing.ending import finish, finish_all, lost_below
from callspan.tracing.outcome import Outcome, error_type, outcome_of
from callspan.tracing.registry import (
    Record,
    Registry,
    all_registries,
    global_provider,
    registry_of,
)
from callspan.tracing.serialize import cut_text
from callspan.tracing.suppress import is_suppressed

log = logging.getLogger("callspan")

_CONVENTIONS: Final = ("gen_ai", "openinference")
_MAX_EVENT_NAME: Final = 1024
_once_global: Final[WeakSet[Registry]] = WeakSet()
"""The registries of the global provider, and of those that it has replaced."""


class OTelCallbackHandler(BaseCallbackHandler):
    """Makes a span of every run it hears of.

    Pass it as a callback at run time, to the constructor of one object, or let `configure` set it
    up for the whole program. A run has one span a provider, however many handlers hear of it.
    The parent is the span of the parent run, or the user's own span inside it; a run without
    parent is a child of the current span.

    Args:
        tracer_provider: Where spans go; None is the global provider, looked up when it is used.
        capture_content: Whether prompts, answers, arguments and documents are recorded. None:
            as OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says; off when that is unset.
        capture_error_text: Whether the text of exceptions is; None: as `capture_content`.
        redact: Called with an attribute's key and its Python value before it is recorded, for
            content, exception text, tags and metadata; returns the value to record, and must not
            change the one it is given, which is the program's own.
        content_limit: The most bytes of UTF-8 that one attribute of content has.
        conventions: "gen_ai", and "openinference" for that project's full set of attributes.
        max_open_runs: How many runs may be open in one provider; beyond that the oldest are
            ended as unfinished.

    Raises:
        ConfigurationError: if an argument is out of range.
    """

    run_inline = True
    implicit = False
    own_listeners: Listeners | None = None

    def __init__(
        self,
        *,
        tracer_provider: TracerProvider | None = None,
        capture_content: bool | None = None,
        capture_error_text: bool | None = None,
        redact: Callable[[str, Any], Any] | None = None,
        content_limit: int = 65536,
        conventions: Collection[str] = ("gen_ai",),
        max_open_runs: int = 10_000,
    ) -> None:
        if (
            isinstance(conventions, str)
            or not isinstance(conventions, Collection)
            or not all(one in _CONVENTIONS for one in conventions)
        ):
            raise ConfigurationError(
                f'conventions takes a sequence of "gen_ai" and "openinference", not {conventions!r}'
            )
        if isinstance(max_open_runs, bool) or not isinstance(max_open_runs, int):
            raise ConfigurationError(f"max_open_runs takes a whole number, not {max_open_runs!r}")
        if max_open_runs < 1:
            raise ConfigurationError(f"max_open_runs must be at least 1, not {max_open_runs}")
        if tracer_provider is not None and (
            isinstance(tracer_provider, type) or not hasattr(tracer_provider, "get_tracer")
        ):
            raise ConfigurationError(
                f"tracer_provider takes an OpenTelemetry TracerProvider, not {tracer_provider!r}"
            )
        self._provider = tracer_provider
        self._known: tuple[TracerProvider, Registry | None] | None = None
        self._max_open_runs = max_open_runs
        self.openinference = "openinference" in conventions
        self.gate = ContentGate(
            capture_content=capture_content,
            capture_error_text=capture_error_text,
            redact=redact,
            content_limit=content_limit,
        )

    def get_span(self, run_id: UUID) -> Span | None:
        """Return the span of an open run, to set attributes of your own; None if it is not open.

        Raises:
            ConfigurationError: if `run_id` is no UUID.
        """
        _check(run_id)
        record = self._record(run_id)
        return None if record is None else record.span

    def get_span_context(self, run_id: UUID) -> SpanContext | None:
        """Return the span context of a run that is open, or was among the last 1,000 to end.

        Raises:
            ConfigurationError: if `run_id` is no UUID.
        """
        _check(run_id)
        registry = self._registry()
        found = None if registry is None else registry.span_context(run_id)
        if found is None:
            record = self._record(run_id)
            found = None if record is None else record.span.get_span_context()
        return found

    def would_trace(self, context: Context) -> bool:
        """Whether a run in `context` would have a span, if its parent has none of this handler.

        It has none without a provider, where tracing is off, and in a trace that is not sampled.
        """
        registry = self._registry()
        return (
            registry is not None
            and not is_suppressed(context)
            and not registry.would_drop(None, context)
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copied config is to reach the same provider, which cannot be copied.
        return self

    # What callspan's own managers ask of a handler, beyond the events.

    def stands_for(self) -> object:
        """Return what all handlers of the same provider share: one of them hears a run."""
        return self._registry() or self

    def run_context(self, run_id: UUID, context: Context) -> Context:
        """Return `context` with the run's span as the current one, for the run's body."""
        registry = self._last_registry()
        return context if registry is None else registry.run_context(run_id, context)

    # Starts

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start the span of a chain, prompt, parser, function or agent."""
        self._start("chain", serialized, inputs, run_id, parent_run_id, tags, metadata, kwargs)

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[Any]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start the span of a chat model."""
        inputs = messages[0] if messages else []
        self._start("chat_model", serialized, inputs, run_id, parent_run_id, tags, metadata, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start the span of a text model."""
        inputs = prompts[0] if prompts else ""
        self._start("llm", serialized, inputs, run_id, parent_run_id, tags, metadata, kwargs)

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        inputs: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start the span of a tool."""
        given = input_str if inputs is None else inputs
        self._start("tool", serialized, given, run_id, parent_run_id, tags, metadata, kwargs)

    def on_retriever_start(
        self,
        serialized: dict[str, Any],
        query: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """Start the span of a retriever."""
        self._start("retriever", serialized, query, run_id, parent_run_id, tags, metadata, kwargs)

    # Ends

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a chain; the input of a stream is known only now."""
        if "inputs" in kwargs:
            self._late_input(run_id, kwargs)
        self._end(run_id, outputs)

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a text or chat model."""
        if kwargs.get("cached") and (record := self._record(run_id)) is not None:
            record.span.set_attribute(names.RUN_CACHED, True)
        self._end(run_id, response)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a tool."""
        self._end(run_id, output)

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a retriever."""
        self._end(run_id, documents)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a chain that raised; the input of a stream is known only now."""
        if "inputs" in kwargs:
            self._late_input(run_id, kwargs)
        self._end(run_id, None, error)

    def on_llm_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a model that raised."""
        self._end(run_id, kwargs.get("response"), error)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a tool that raised."""
        self._end(run_id, None, error)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """End the span of a retriever that raised."""
        self._end(run_id, None, error)

    # Between start and end

    def on_llm_new_token(self, token: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Note when the first token came."""
        record = self._record(run_id)
        if record is None or record.first_token:
            return
        record.first_token = True
        span = record.span
        if span.is_recording():
            waited = perf_counter() - record.started
            span.set_attributes(
                {names.REQUEST_STREAM: True, names.RESPONSE_TIME_TO_FIRST_CHUNK: waited}
            )
            span.add_event("first_token")

    def on_text(self, text: str, *, run_id: UUID, **kwargs: Any) -> None:
        """Add a `text` event."""
        self._event(run_id, "text", text)

    def on_retry(self, retry_state: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Add a `retry` event, with the number and the error of the attempt that failed."""
        attributes: dict[str, Any] = {names.RUN_ATTEMPT: retry_state.attempt_number}
        outcome = retry_state.outcome
        error = outcome.exception() if outcome is not None and outcome.failed else None
        if error is not None:
            attributes[names.ERROR_TYPE] = error_type(error)
        self._event(run_id, "retry", None, attributes)

    def on_agent_action(self, action: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Add an `agent_action` event, with the tool's name."""
        tool = cut_text(str(action.tool), _MAX_EVENT_NAME) or ""  # a model may have made it up
        self._event(run_id, "agent_action", action.tool_input, {names.TOOL_NAME: tool})

    def on_agent_finish(self, finish: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Add an `agent_finish` event."""
        self._event(run_id, "agent_finish", finish.return_values)

    def on_custom_event(self, name: str, data: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Add an event of the user's own, under its own name."""
        self._event(run_id, name, data)

    # What the methods above share

    def _registry(self) -> Registry | None:
        """The registry of this handler's provider; None where no SDK is set up."""
        provider = global_provider() if self._provider is None else self._provider
        known = self._known
        if known is not None and known[0] is provider:
            return known[1]
        if isinstance(provider, ProxyTracerProvider) and self._provider is not None:
            # A proxy stands for the global provider, once there is one.
            provider = global_provider()
        if provider is None or isinstance(provider, ProxyTracerProvider | NoOpTracerProvider):
            return None
        registry: Registry | None = None
        try:
            registry = registry_of(provider)
        except Exception as error:
            log.warning("There will be no spans: %s gives no tracer: %r", provider, error)
        if registry is not None and self._provider is None:
            _once_global.add(registry)
        self._known = (provider, registry)
        return registry

    def _last_registry(self) -> Registry | None:
        """The one that was found last, which an open run is in, unless providers were changed."""
        return self._registry() if self._known is None else self._known[1]

    def _earlier_registry(self, run_id: UUID) -> Registry | None:
        """Where the run is open, if the global provider was another one when it started."""
        if self._provider is None and len(_once_global) > 1:
            for registry in all_registries():
                record = registry.get(run_id)
                if record is not None and record.handler._provider is None:
                    return registry
        return None

    def _record(self, run_id: UUID) -> Record | None:
        registry = self._last_registry()
        record = None if registry is None else registry.get(run_id)
        if record is None:
            registry = self._earlier_registry(run_id)
            record = None if registry is None else registry.get(run_id)
        return record

    def _start(
        self,
        kind: str,
        serialized: dict[str, Any] | None,
        inputs: Any,
        run_id: UUID,
        parent_run_id: UUID | None,
        tags: list[str] | None,
        metadata: dict[str, Any] | None,
        extra: dict[str, Any],
        context: Context | None = None,
    ) -> Record | None:
        registry = self._registry()
        if context is None:
            context = get_current()
        if (
            registry is None
            or is_suppressed(context)
            or registry.would_drop(parent_run_id, context)
        ):
            return None
        serialized = serialized or {}
        start = RunStart(
            kind,
            extra.get("name") or serialized.get("name") or (serialized.get("id") or [kind])[-1],
            run_id,
            parent_run_id is None,
            serialized,
            inputs,
            tags or [],
            metadata or {},
            extra,
        )
        record = registry.open(self, start, parent_run_id, context)
        if record is None:
            return None
        if self.gate.captures:
            self._note_input(record)
        else:
            start.inputs = None
        if registry.open_runs > self._max_open_runs:
            finish_all(registry.over(self._max_open_runs), "unfinished")
        return record

    def _note_input(self, record: Record) -> None:
        """Record what a run was given, and let go of it."""
        if record.span.is_recording():
            told = of_input(record.start, self.gate, openinference=self.openinference)
            record.span.set_attributes(told)
        record.start.inputs = None

    def _late_input(self, run_id: UUID, told: dict[str, Any]) -> None:
        record = self._record(run_id)
        if record is not None and record.handler.gate.captures:
            record.start.inputs = told["inputs"]
            record.handler._note_input(record)

    def _end(self, run_id: UUID, result: Any, error: BaseException | None = None) -> None:
        registry = self._last_registry()
        record = None if registry is None else registry.close(run_id)
        if record is None:
            registry = self._earlier_registry(run_id)
            record = None if registry is None else registry.close(run_id)
        if record is None or registry is None:
            return
        outcome = self._outcome(record, error)
        try:
            if outcome == "cancelled":
                finish_all(lost_below(registry, record), "cancelled")
        finally:
            finish(record, outcome, result, error)

    def _outcome(self, record: Record, error: BaseException | None) -> Outcome:
        return "ok" if error is None else outcome_of(error)

    def _event(
        self, run_id: UUID, name: str, data: Any, attributes: dict[str, Any] | None = None
    ) -> None:
        record = self._record(run_id)
        if record is None or not record.span.is_recording():
            return
        attributes = dict(attributes or {})
        gate = record.handler.gate
        if gate.captures and data is not None:
            shown = gate.json(names.EVENT_DATA, data)
            if shown is not None:
                attributes[names.EVENT_DATA] = shown
        record.span.add_event(cut_text(str(name), _MAX_EVENT_NAME) or "", attributes)


def _check(run_id: Any) -> None:
    if not isinstance(run_id, UUID):
        raise ConfigurationError(
            f"run_id takes a UUID, such as a run manager's run_id, not {run_id!r}"
        )
