"""The least that a LangChain handler can do for the spans that callspan makes.

It makes them of the same events, with the same names, kinds, parents and attributes, but makes
nothing current, guards against nothing, and forgets no run of which LangChain sends no end.
"""

from __future__ import annotations

from time import perf_counter
from typing import Any
from uuid import UUID

from langchain_core.callbacks import BaseCallbackHandler
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, set_span_in_context

OPERATIONS = {
    "chat_model": {"gen_ai.operation.name": "chat", "openinference.span.kind": "LLM"},
    "tool": {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.type": "function",
        "openinference.span.kind": "TOOL",
    },
}


class NoOp(BaseCallbackHandler):
    """Hears everything, and does nothing."""

    run_inline = True


class Minimal(BaseCallbackHandler):
    """A span a run, and no more."""

    run_inline = True

    def __init__(self, tracer_provider: TracerProvider) -> None:
        self._tracer = tracer_provider.get_tracer("minimal")
        self._open: dict[UUID, tuple[Span, float]] = {}
        self._streaming: set[UUID] = set()

    def on_chain_start(
        self,
        serialized: Any,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        name: str = "",
        run_type: str | None = None,
        **kwargs: Any,
    ) -> None:
        if parent_run_id is not None:
            self._start(run_type or "chain", name, name, {}, run_id, parent_run_id, metadata)
            return
        more = {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": name}
        self._start("chain", name, f"invoke_workflow {name}", more, run_id, None, metadata)

    def on_chat_model_start(
        self,
        serialized: Any,
        messages: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        name = name or serialized["id"][-1]
        params, metadata = kwargs["invocation_params"], metadata or {}
        model = params.get("model") or params.get("model_name") or metadata.get("ls_model_name")
        more = {"gen_ai.provider.name": metadata.get("ls_provider")}
        if model:
            more["gen_ai.request.model"] = model
        title = f"chat {model or name}"
        self._start("chat_model", name, title, more, run_id, parent_run_id, metadata)

    def on_tool_start(
        self,
        serialized: Any,
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        name = serialized["name"]
        more = {"gen_ai.tool.name": name, "gen_ai.tool.description": serialized["description"]}
        if kwargs.get("tool_call_id"):
            more["gen_ai.tool.call.id"] = kwargs["tool_call_id"]
        self._start("tool", name, f"execute_tool {name}", more, run_id, parent_run_id, metadata)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id)

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        self._end(run_id)

    def on_llm_end(self, response: Any, *, run_id: UUID, **kwargs: Any) -> None:
        usage = response.generations[0][0].message.usage_metadata
        if usage is not None:
            span, _ = self._open[run_id]
            span.set_attribute("gen_ai.usage.input_tokens", usage["input_tokens"])
            span.set_attribute("gen_ai.usage.output_tokens", usage["output_tokens"])
        self._streaming.discard(run_id)
        self._end(run_id)

    def on_llm_new_token(self, token: str, *, run_id: UUID, **kwargs: Any) -> None:
        if run_id not in self._streaming:
            self._streaming.add(run_id)
            span, started = self._open[run_id]
            span.set_attribute("gen_ai.request.stream", True)
            span.set_attribute("gen_ai.response.time_to_first_chunk", perf_counter() - started)
            span.add_event("first_token")

    def _start(
        self,
        kind: str,
        name: str,
        title: str,
        more: dict[str, Any],
        run_id: UUID,
        parent_run_id: UUID | None,
        metadata: dict[str, Any] | None,
    ) -> None:
        attributes = {
            "callspan.run.id": str(run_id),
            "callspan.run.name": name,
            "callspan.run.type": kind,
            **(OPERATIONS.get(kind) or {"openinference.span.kind": "CHAIN"}),
            **more,
        }
        for key, value in (metadata or {}).items():
            if not key.startswith(("ls_", "__", "lc_versions")):
                attributes[f"callspan.metadata.{key}"] = value
        context = None
        if parent_run_id is not None:
            context = set_span_in_context(self._open[parent_run_id][0])
        span = self._tracer.start_span(title, context, SpanKind.INTERNAL, attributes)
        self._open[run_id] = span, perf_counter()

    def _end(self, run_id: UUID) -> None:
        span, _ = self._open.pop(run_id)
        span.set_attribute("callspan.run.outcome", "ok")
        span.end()
