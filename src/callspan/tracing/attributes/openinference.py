"""OpenInference's attributes: the span kind always, the full profile for who asks for it.

A backend reads messages and documents from one attribute for each of their fields. A span that
has too many attributes loses the oldest, so that there is a bound for each of these lists; all of
it is in `input.value` and `output.value`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Final

from callspan.tracing.attributes import names
from callspan.tracing.attributes.exchange import document_of, messages_in, messages_out
from callspan.tracing.attributes.messages import tools_of
from callspan.tracing.attributes.own import user_keys, user_tags
from callspan.tracing.attributes.request import parameters_of
from callspan.tracing.attributes.run import Attributes, RunStart
from callspan.tracing.attributes.usage import usage_of
from callspan.tracing.content import ContentGate
from callspan.tracing.serialize import to_json

METADATA_KEYS: Final = 8
"""Keys of metadata with an attribute of their own, beside `metadata`, which has all of them."""

_INPUT_FIELDS: Final = 18
_TOOLS: Final = 2
_OUTPUT_FIELDS: Final = 6
_DOCUMENT_FIELDS: Final = 40
_PARAMETERS_SIZE: Final = 4096

Fields = list[tuple[str, Any]]


def of_model(start: RunStart) -> Attributes:
    """Yield what is known of a request before it is answered."""
    request = start.request
    yield "llm.model_name", request.model
    yield "llm.provider", request.provider
    parameters = parameters_of(start)
    if parameters:
        yield "llm.invocation_parameters", to_json(parameters, _PARAMETERS_SIZE)


def of_tool(start: RunStart) -> Attributes:
    """Yield what is known of a tool."""
    yield "tool.name", start.name
    yield "tool.description", start.serialized.get("description")


def of_labels(start: RunStart, gate: ContentGate) -> Attributes:
    """Yield tags and metadata, each as one value."""
    tags = user_tags(start)
    if tags:
        yield "tag.tags", gate.value("tag.tags", tags)
    metadata = {str(key): start.metadata[key] for key in user_keys(start)}
    if metadata:
        yield "metadata", gate.json("metadata", metadata)


def of_prompt(start: RunStart, gate: ContentGate) -> Attributes:
    """Yield a model's input as one value, and its messages field by field."""
    messages = messages_in(start)
    yield names.INPUT_VALUE, gate.json(names.INPUT_VALUE, messages)
    yield names.INPUT_MIME_TYPE, "application/json"
    yield from _flat("llm.input_messages", map(_fields_of, messages), _INPUT_FIELDS, gate)
    for index, tool in enumerate((tools_of(start.params) or [])[:_TOOLS]):
        name = f"llm.tools.{index}.tool.json_schema"
        yield name, gate.json(name, tool)


def of_answers(result: Any, gate: ContentGate) -> Attributes:
    """Yield a model's output as one value, and its messages field by field."""
    messages = messages_out(result)
    yield names.OUTPUT_VALUE, gate.json(names.OUTPUT_VALUE, messages)
    yield names.OUTPUT_MIME_TYPE, "application/json"
    yield from _flat("llm.output_messages", map(_fields_of, messages), _OUTPUT_FIELDS, gate)


def of_documents(result: Any, gate: ContentGate) -> Attributes:
    """Yield retrieved documents field by field."""
    documents = (
        [(f"document.{name}", value) for name, value in document_of(document).items()]
        for document in (result if isinstance(result, list | tuple) else ())
    )
    yield from _flat("retrieval.documents", documents, _DOCUMENT_FIELDS, gate, newest=False)


def of_usage(result: Any) -> Attributes:
    """Yield the token counts of a model's result."""
    usage = usage_of(result)
    if usage is not None:
        into, out = usage["input_token_details"], usage["output_token_details"]
        yield "llm.token_count.prompt", usage["input_tokens"]
        yield "llm.token_count.completion", usage["output_tokens"]
        yield "llm.token_count.total", usage["total_tokens"]
        yield "llm.token_count.prompt_details.cache_read", into.get("cache_read")
        yield "llm.token_count.prompt_details.cache_write", into.get("cache_creation")
        yield "llm.token_count.completion_details.reasoning", out.get("reasoning")


def _fields_of(message: dict[str, Any]) -> Fields:
    fields: Fields = [("message.role", message["role"])]
    texts = []
    calls = 0
    for part in message["parts"]:
        kind = part["type"]
        if kind == "tool_call":
            call = f"message.tool_calls.{calls}.tool_call"
            fields.append((f"{call}.id", part["id"]))
            fields.append((f"{call}.function.name", part["name"]))
            fields.append((f"{call}.function.arguments", part["arguments"]))
            calls += 1
        elif kind == "tool_call_response":
            fields.append(("message.tool_call_id", part["id"]))
            texts.append(part["response"])
        elif kind in ("text", "blob", "uri"):
            texts.append(part["uri"] if kind == "uri" else part["content"])
    if texts:
        whole = all(isinstance(text, str) for text in texts)
        fields.insert(1, ("message.content", "\n".join(texts) if whole else texts))
    return [(name, value) for name, value in fields if value is not None]


def _flat(
    prefix: str,
    items: Iterable[Fields],
    most: int,
    gate: ContentGate,
    *,
    newest: bool = True,
) -> Iterator[tuple[str, Any]]:
    """Yield the fields of as many items as `most` attributes hold, the newest ones of messages."""
    known = list(items)
    kept: list[Fields] = []
    for item in reversed(known) if newest else known:
        most -= len(item)
        if most < 0:
            break
        kept.append(item)
    for index, item in enumerate(reversed(kept) if newest else kept):
        for name, value in item:
            key = f"{prefix}.{index}.{name}"
            if isinstance(value, str):
                yield key, gate.text(key, value)
            elif isinstance(value, int | float):
                yield key, gate.value(key, value)
            else:
                yield key, gate.json(key, value)
