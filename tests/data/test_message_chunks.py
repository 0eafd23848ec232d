"""Streams put together again."""

from __future__ import annotations

import json
from functools import reduce
from operator import add
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspan.errors import MergeError
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessageChunk,
    SystemMessageChunk,
    ToolMessageChunk,
    message_chunk_to_message,
    parse_partial_json,
)

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
usages = st.builds(
    lambda read, written, cached: {
        "input_tokens": read,
        "output_tokens": written,
        "total_tokens": read + written,
        "input_token_details": {"cache_read": cached},
    },
    *[st.integers(0, 1000)] * 3,
)


@st.composite
def pieces(draw: st.DrawFn, text: str) -> list[str]:
    """Cut a text anywhere, as a provider does."""
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=4)))
    return [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


@st.composite
def streams(draw: st.DrawFn) -> tuple[AIMessage, list[AIMessageChunk]]:
    """Draw a message and a stream that it arrives in."""
    in_blocks = draw(st.booleans())
    texts = draw(st.lists(st.text(max_size=8), min_size=1, max_size=3))
    chunks = []
    for index, text in enumerate(texts):
        for piece in draw(pieces(text)):
            block = {"type": "text", "text": piece, "index": index}
            chunks.append(AIMessageChunk(content=[block] if in_blocks else piece))
    calls = draw(
        st.lists(
            st.builds(
                lambda name, args: {"name": name, "args": args},
                st.text(min_size=1, max_size=4),
                st.dictionaries(st.text(max_size=4), json_values, max_size=3),
            ),
            max_size=2,
        )
    )
    for index, call in enumerate(calls):
        part: dict[str, Any] = {"name": call["name"], "id": f"call_{index}", "args": None}
        for piece in [None, *draw(pieces(json.dumps(call["args"])))]:
            part = part if piece is None else {"name": None, "id": None, "args": piece}
            chunks.append(AIMessageChunk(content="", tool_call_chunks=[{**part, "index": index}]))
    usage = draw(st.none() | usages)
    chunks.append(
        AIMessageChunk(
            content="",
            usage_metadata=usage,
            response_metadata={"model_name": "m", "scores": {"safe": 0.5}},
            chunk_position="last",
        )
    )
    content = [{"type": "text", "text": t, "index": i} for i, t in enumerate(texts)]
    message = AIMessage(
        content if in_blocks else "".join(texts),
        tool_calls=[{**call, "id": f"call_{i}"} for i, call in enumerate(calls)],
        usage_metadata=usage,
        response_metadata={"model_name": "m", "scores": {"safe": 0.5}},
        name="Ann",
        id="msg_1",
    )
    first = AIMessageChunk(content=[] if in_blocks else "", id="msg_1", name="Ann")
    return message, [first, *(chunk.model_copy(update={"id": "msg_1"}) for chunk in chunks)]


@given(streams())
def test_any_stream_adds_up_to_its_message(stream: tuple[AIMessage, list[AIMessageChunk]]) -> None:
    """However a provider cuts its answer, the user gets the answer that a plain call returns."""
    message, chunks = stream
    total = reduce(add, chunks)
    assert message_chunk_to_message(total) == message
    assert total.chunk_position == "last"


@given(streams(), st.data())
def test_adding_chunks_is_associative(
    stream: tuple[AIMessage, list[AIMessageChunk]], data: st.DataObject
) -> None:
    """Stages of a chain may collect parts of a stream before the whole is put together."""
    _, chunks = stream
    cut = data.draw(st.integers(1, len(chunks) - 1))
    left, right = reduce(add, chunks[:cut]), reduce(add, chunks[cut:])
    assert left + right == reduce(add, chunks) == chunks[0] + chunks[1:]


@given(streams())
def test_adding_changes_no_chunk(stream: tuple[AIMessage, list[AIMessageChunk]]) -> None:
    """A handler that keeps the chunks it was told of must find them as they were."""
    _, chunks = stream
    before = [chunk.model_copy(deep=True) for chunk in chunks]
    total = chunks[0] + chunks[1:]
    total.response_metadata["scores"]["safe"] = 0.9
    total.response_metadata["added"] = 1
    assert [c.model_dump(exclude={"response_metadata"}) for c in chunks] == [
        c.model_dump(exclude={"response_metadata"}) for c in before
    ]
    assert all("added" not in chunk.response_metadata for chunk in chunks)


@given(st.dictionaries(st.text(max_size=4), json_values, min_size=1))
def test_arguments_are_readable_at_every_point(args: dict[str, Any]) -> None:
    """A user interface that shows a call while it is written must never see it fail."""
    text = json.dumps(args)
    for end in range(1, len(text) + 1):
        part = {"name": "f", "id": "c", "index": 0, "args": text[:end]}
        chunk = AIMessageChunk(content="", tool_call_chunks=[part])
        assert not chunk.invalid_tool_calls
        assert chunk.tool_calls[0]["args"].keys() <= args.keys()
    assert chunk.tool_calls[0]["args"] == args


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": "x\ny"}', {"a": "x\ny"}),
        ('{"a": "op', {"a": "op"}),
        ('{"a": 1, "b"', {"a": 1}),
        ('{"a": [1, {"b": tr', {"a": [1, {}]}),
        ("", ValueError),
        ('{"a": 1]', ValueError),
        ('{"a": 1 "b": 2}', ValueError),
        ('{"a": 1}}', ValueError),
        ("{'a': 1}", ValueError),
    ],
)
def test_partial_json(text: str, value: Any) -> None:
    """Parsers of streamed JSON rely on what counts as known, and on an error for what is wrong."""
    if value is ValueError:
        with pytest.raises(ValueError, match=r"."):
            parse_partial_json(text)
    else:
        assert parse_partial_json(text) == value


@pytest.mark.parametrize("args", ["[1, 2]", "nonsense", "[" * 100_000, '{"a":' * 100_000])
def test_arguments_that_are_no_object_are_kept_as_written(args: str) -> None:
    """A model's mistake is shown to the user; it must not break the stream."""
    part = {"name": "f", "id": "c", "index": 0, "args": args}
    chunk = AIMessageChunk(content="", tool_call_chunks=[part])
    assert chunk.tool_calls == []
    assert [call["args"] for call in chunk.invalid_tool_calls] == [args]


def test_empty_content_adds_nothing() -> None:
    """A stream's first and last chunks are often empty, and text and lists of blocks then mix."""
    block = {"type": "text", "text": "x"}
    assert (AIMessageChunk(content="") + AIMessageChunk(content=[block])).content == [block]
    assert (AIMessageChunk(content=[]) + AIMessageChunk(content="x")).content == "x"
    assert (AIMessageChunk(content=[]) + AIMessageChunk(content="")).content == []


def test_block_keeps_its_type() -> None:
    """A delta's own type ("text_delta") must not run into the block's."""
    start = AIMessageChunk(content=[{"type": "text", "text": "a", "index": 0}])
    delta = AIMessageChunk(content=[{"type": "text_delta", "text": "b", "index": 0}])
    assert (start + delta).content == [{"type": "text", "text": "ab", "index": 0}]


@pytest.mark.parametrize("cls", [AIMessageChunk, HumanMessageChunk, SystemMessageChunk])
def test_a_subclass_stays_what_it_is(cls: type[Any]) -> None:
    """A provider's own chunk class must survive addition, and end as the plain message."""
    own = type("Own", (cls,), {"__module__": __name__})
    total = own(content="a") + own(content="b")
    assert type(total) is own
    assert type(message_chunk_to_message(total)) is cls.__mro__[1]


@pytest.mark.parametrize(
    ("left", "right"), [(True, False), (0.5, 0.7), ("a", 1), ({"k": 1}, [1]), ({1}, {2})]
)
def test_values_that_cannot_be_added_are_named(left: Any, right: Any) -> None:
    """Without the key, nobody finds which of a provider's values went wrong."""

    def chunk(score: Any) -> AIMessageChunk:
        return AIMessageChunk(content="", response_metadata={"score": score})

    with pytest.raises(MergeError, match="'score'") as caught:
        chunk(left) + chunk(right)
    assert isinstance(caught.value, TypeError)


def test_answers_to_different_calls_cannot_be_added() -> None:
    """Mixing the results of two tools would give the model a wrong answer."""
    one, other = (ToolMessageChunk(content="x", tool_call_id=id_) for id_ in ("c1", "c2"))
    with pytest.raises(MergeError, match="different tool calls"):
        one + other


def test_artifacts() -> None:
    """What a tool returns beside its text comes with any one of the chunks, whatever it is."""

    class Awkward:
        def __bool__(self) -> bool:
            raise RuntimeError

        __eq__ = __len__ = __bool__

    def chunk(artifact: object = None) -> ToolMessageChunk:
        return ToolMessageChunk(content="x", tool_call_id="c1", artifact=artifact)

    artifact = Awkward()
    for total in (chunk(artifact) + chunk(), chunk() + [chunk(artifact), chunk(artifact)]):  # noqa: RUF005
        assert total.artifact is artifact
        assert "Awkward" in repr(total)
    assert (chunk([1]) + chunk([2])).artifact == [1, 2]
    with pytest.raises(MergeError, match="one chunk only"):
        chunk(artifact) + chunk(Awkward())
    with pytest.raises(MergeError):
        chunk("a") + chunk(["b"])


@pytest.mark.parametrize("other", ["x", None, ["x"], AIMessage("x")])
def test_only_chunks_can_be_added(other: Any) -> None:
    """Adding a whole message, or a string, is a mistake that must not pass silently."""
    with pytest.raises(TypeError, match="unsupported operand"):
        AIMessageChunk(content="a") + other
