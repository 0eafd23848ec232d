"""What goes into a run and comes out of it: content, recorded only if it is asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic_core import from_json

from callspan.tracing.attributes import names
from callspan.tracing.attributes.messages import answer_of, instructions_of, message_of, tools_of
from callspan.tracing.attributes.run import Attributes, RunStart
from callspan.tracing.content import ContentGate

_INPUT: Final = (names.INPUT_VALUE, names.INPUT_MIME_TYPE)
_OUTPUT: Final = (names.OUTPUT_VALUE, names.OUTPUT_MIME_TYPE)
_SCORES: Final = ("score", "relevance_score", "similarity_score", "_score")


def of_prompt(start: RunStart, gate: ContentGate) -> Attributes:
    """Yield the messages that a model is given, its instructions and the tools it may call."""
    yield names.INPUT_MESSAGES, gate.json(names.INPUT_MESSAGES, messages_in(start))
    instructions = instructions_of(start.params)
    if instructions:
        yield names.SYSTEM_INSTRUCTIONS, gate.json(names.SYSTEM_INSTRUCTIONS, instructions)
    tools = tools_of(start.params)
    if tools:
        yield names.TOOL_DEFINITIONS, gate.json(names.TOOL_DEFINITIONS, tools)


def of_answers(result: Any, gate: ContentGate) -> Attributes:
    """Yield what a model answered."""
    yield names.OUTPUT_MESSAGES, gate.json(names.OUTPUT_MESSAGES, messages_out(result))


def of_value_in(start: RunStart, gate: ContentGate) -> Attributes:
    """Yield the input of a run that is no model's."""
    value = start.inputs
    if start.kind == "tool":
        yield from _recorded(_INPUT, _object(value), gate, names.TOOL_CALL_ARGUMENTS)
    elif start.kind == "retriever":
        yield from _recorded(_INPUT, value, gate, names.RETRIEVAL_QUERY_TEXT)
    else:
        yield from _recorded(_INPUT, value, gate)


def of_value_out(start: RunStart, result: Any, gate: ContentGate) -> Attributes:
    """Yield the output of a run that is no model's."""
    if start.kind == "tool":
        # A tool called by a model answers with a message; its artifact is for the program alone.
        value = result.content if hasattr(result, "tool_call_id") else result
        yield from _recorded(_OUTPUT, value, gate, names.TOOL_CALL_RESULT)
    elif start.kind == "retriever":
        # An iterator is the program's to consume.
        known = isinstance(result, list | tuple)
        shown = [document_of(document) for document in result] if known else result
        yield from _recorded(_OUTPUT, shown, gate, names.RETRIEVAL_DOCUMENTS)
    else:
        yield from _recorded(_OUTPUT, result, gate)


def messages_in(start: RunStart) -> list[dict[str, Any]]:
    """Return a model's input as messages; a text model's prompt is one of the user."""
    inputs = [start.inputs] if start.kind == "llm" else start.inputs
    return [message_of(message) for message in inputs]


def messages_out(result: Any) -> list[dict[str, Any]]:
    """Return a model's answers as messages, one for each choice."""
    return [answer_of(answer) for answers in result.generations for answer in answers]


def document_of(document: Any) -> dict[str, Any]:
    """Return a retrieved document: id and score where they are known, text and metadata."""
    metadata = getattr(document, "metadata", None)
    metadata = metadata if isinstance(metadata, Mapping) else {}
    known = (metadata[key] for key in _SCORES if key in metadata)
    shown = {
        "id": getattr(document, "id", None) or metadata.get("id"),
        "score": next(known, None),
        "content": getattr(document, "page_content", document),
        "metadata": metadata or None,
    }
    return {key: value for key, value in shown.items() if value is not None}


def _recorded(
    value_and_mime: tuple[str, str], value: Any, gate: ContentGate, *also: str
) -> Attributes:
    name, mime = value_and_mime
    recorded = gate.recorded((name, *also), value)
    yield from recorded.items()
    if name in recorded:
        yield mime, "text/plain" if isinstance(value, str) else "application/json"


def _object(value: Any) -> Any:
    """A tool's arguments by name, where they were given as the JSON of an object."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        try:
            return from_json(value)
        except ValueError:
            pass
    return value
