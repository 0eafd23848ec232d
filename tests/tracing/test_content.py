"""The gate: what of any Python value is recorded, and in which form."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import enum
import hashlib
import json
import logging
import uuid
from collections import OrderedDict, deque, namedtuple
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.messages import AIMessage as LangChainMessage
from pydantic import BaseModel, SecretStr

from callspan.errors import ConfigurationError
from callspan.messages import AIMessage
from callspan.tracing.content import ENV, ContentGate


def shown(value: Any, **options: Any) -> Any:
    """What a backend reads of `value`: the JSON that the gate lets through, parsed strictly."""

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    text = ContentGate(capture_content=True, **options).json("input.value", value)
    assert text is not None
    assert len(text.encode()) <= options.get("content_limit", 65536)
    return json.loads(text, parse_constant=no_constant)


@pytest.mark.parametrize(
    ("said", "captures"),
    [
        ("SPAN_ONLY", True),
        ("span_and_event", True),
        (" true ", True),
        ("NO_CONTENT", False),
        ("EVENT_ONLY", False),
        ("false", False),
        ("", False),
    ],
)
def test_the_environment_decides_where_no_argument_does(
    said: str, captures: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Operators switch content on and off without a change of code."""
    monkeypatch.setenv(ENV, said)
    gate = ContentGate()
    assert (gate.captures, gate.captures_errors) == (captures, captures)
    assert ContentGate(capture_content=not captures).captures is not captures
    assert not caplog.records


def test_content_is_off_when_nobody_asked_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Prompts hold people's data: recording them takes a decision."""
    monkeypatch.delenv(ENV, raising=False)
    assert not ContentGate().captures


def test_an_unknown_value_in_the_environment_counts_as_off(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A misspelt setting must not leak content, and must not go unnoticed."""
    monkeypatch.setenv(ENV, "spans")
    assert not ContentGate().captures
    assert "spans" in caplog.text
    assert "SPAN_ONLY" in caplog.text


def test_the_text_of_errors_has_a_switch_of_its_own() -> None:
    """A message of an exception often quotes the input, but some want to see just these."""
    error = ValueError("cannot read 'x'")
    assert ContentGate(capture_content=True).error_text(error) == "cannot read 'x'"
    assert ContentGate(capture_content=False).error_text(error) is None
    only_errors = ContentGate(capture_content=False, capture_error_text=True)
    assert only_errors.error_text(error) == "cannot read 'x'"
    assert ContentGate(capture_content=True, capture_error_text=False).error_text(error) is None


def test_an_exception_that_cannot_be_printed_has_a_text() -> None:
    """An error in `__str__` must not replace the error that is being recorded."""

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise RuntimeError

    assert "cannot be printed" in (
        ContentGate(capture_content=True).error_text(UnprintableError()) or ""
    )


@pytest.mark.parametrize(
    ("options", "advice"),
    [
        ({"content_limit": 0}, "1 byte"),
        ({"content_limit": "64k"}, "whole number"),
        ({"content_limit": True}, "whole number"),
        ({"redact": "email"}, "function"),
        ({"capture_content": "false"}, "True, False or None"),
        ({"capture_error_text": 1}, "True, False or None"),
    ],
)
def test_a_wrong_argument_is_refused_with_advice(options: dict[str, Any], advice: str) -> None:
    """`capture_content="false"` would switch content on if any truthy value did."""
    with pytest.raises(ConfigurationError, match=advice):
        ContentGate(**options)


def test_redact_gets_the_key_and_the_python_value() -> None:
    """Rules are about fields of the value; after serialisation they would be about text."""
    seen = []

    def redact(key: str, value: Any) -> Any:
        seen.append((key, value))
        return {**value, "name": "…"}

    gate = ContentGate(capture_content=True, redact=redact)
    assert json.loads(gate.json("input.value", {"name": "Ann"}) or "") == {"name": "…"}
    assert seen == [("input.value", {"name": "Ann"})]


def test_a_redact_that_fails_withholds_the_value_and_is_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """When the rule is broken, nothing at all is safer than everything."""

    def redact(key: str, value: Any) -> Any:
        raise KeyError(value)

    gate = ContentGate(capture_content=True, redact=redact)
    assert gate.json("input.value", {"name": "Ann"}) == '"<withheld: redact failed>"'
    assert gate.text("input.value", "Ann") == "<withheld: redact failed>"
    assert gate.value("callspan.metadata.name", "Ann") == "<withheld: redact failed>"
    assert len(caplog.records) == 1
    assert "Ann" not in caplog.text


def test_redact_returning_none_drops_the_attribute() -> None:
    """Who returns nothing wants nothing recorded, not the word null."""
    gate = ContentGate(capture_content=True, redact=lambda key, value: None)
    assert gate.json("input.value", 1) is None
    assert gate.text("input.value", "a") is None
    assert gate.recorded(("input.value", "gen_ai.tool.call.arguments"), 1) == {}


def test_redact_cannot_bring_secrets_back() -> None:
    """The filter is the last thing that a value passes."""
    gate = ContentGate(capture_content=True, redact=lambda key, value: {"api_key": "abcd"})
    assert gate.json("input.value", 1) == '{"api_key":"[secret]"}'


def test_each_attribute_of_one_value_is_redacted_by_its_own_key() -> None:
    """A rule for `input.value` must not depend on which attribute was asked about first."""
    gate = ContentGate(
        capture_content=True, redact=lambda key, value: "x" if key == "input.value" else value
    )
    recorded = gate.recorded(("gen_ai.tool.call.arguments", "input.value"), {"a": 1})
    assert recorded == {"gen_ai.tool.call.arguments": '{"a":1}', "input.value": '"x"'}


class Colour(enum.Enum):
    RED = "red"


class Plain(BaseModel):
    name: str
    key: SecretStr
    inner: Plain | None = None


@dataclasses.dataclass
class Box:
    size: int
    parts: list[Any]


Point = namedtuple("Point", "x y")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"a": [1, 2.5, True, None, "x"]}, {"a": [1, 2.5, True, None, "x"]}),
        ({1: "a", (1, 2): "b", None: "c"}, {"1": "a", "[1, 2]": "b", "None": "c"}),
        ((1, {2}, frozenset({3}), deque([4])), [1, [2], [3], [4]]),
        (OrderedDict(a=1), {"a": 1}),
        (Point(1, 2), {"x": 1, "y": 2}),
        (Box(1, [Colour.RED]), {"size": 1, "parts": ["red"]}),
        (
            Plain(name="a", key=SecretStr("k"), inner=Plain(name="b", key=SecretStr("k"))),
            {
                "name": "a",
                "key": "[secret]",
                "inner": {"name": "b", "key": "[secret]", "inner": None},
            },
        ),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ([float("nan"), float("inf")], ["NaN", "Infinity"]),
        (ValueError("no"), "ValueError: no"),
        (b"text", "text"),
        (b"\xff\xfe\x00", "[3 bytes]"),
        (Colour, "test_content.Colour"),
        (len, "len"),
        (2**70, 2**70),
        (1 << 100_000, "<int of 100001 bits>"),
        ("\ud83d", "\ufffd"),
        ({"\udc00": "\ud83d\ude00"}, {"\ufffd": "😀"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_python_programs_pass_around_is_shown_readably(value: Any, expected: Any) -> None:
    """Chains take any object: a trace that shows `<object at 0x7f>` helps nobody."""
    result = shown(value)
    if isinstance(expected, str) and expected.startswith("test_content"):
        assert result.endswith(expected)
    else:
        assert result == expected


@pytest.mark.parametrize("message", [AIMessage("hi", id="1"), LangChainMessage("hi", id="1")])
def test_messages_are_shown_with_their_fields(message: Any) -> None:
    """A chain's output is mostly a message, of callspan's or LangChain's."""
    assert shown({"out": message})["out"]["content"] == "hi"


def test_a_circular_value_is_shown_up_to_where_it_repeats() -> None:
    """Graph states refer to themselves; the span must survive that."""
    value: dict[str, Any] = {"a": 1}
    value["me"] = value
    value["list"] = [value]
    assert shown(value) == {"a": 1, "me": "<dict: circular>", "list": ["<dict: circular>"]}


def test_a_value_that_occurs_twice_is_no_circle() -> None:
    """Shared documents must be shown in every place."""
    part = {"n": 1}
    assert shown([part, part]) == [part, part]


def test_a_very_deep_value_is_cut_at_a_depth() -> None:
    """Recursion over what a user passes would end in a RecursionError."""
    value: list[Any] = []
    for _ in range(100_000):
        value = [value]
    assert "nested too deeply" in json.dumps(shown(value))


class Hostile:
    """Raises from whatever is asked of it."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def __len__(self) -> int:
        raise RuntimeError("no len")


class Endless(dict[str, int]):
    def items(self) -> Any:
        number = 0
        while True:
            number += 1
            yield str(number), number


@pytest.mark.parametrize(
    "make",
    [
        Hostile,
        lambda: {"a": Hostile()},
        lambda: Endless(a=1),
        lambda: type("Lies", (), {"__class__": property(lambda self: 1 / 0)})(),
        lambda: type("Text", (str,), {"__str__": lambda self: 1 / 0})("x"),
    ],
)
def test_a_hostile_object_costs_its_own_place_only(make: Any) -> None:
    """One broken `__repr__` must not lose the rest of the input, or the span."""
    assert shown({"before": 1, "it": make(), "after": 2})["after"] == 2


def test_nothing_is_consumed() -> None:
    """A trace that exhausted a generator would change the program's result."""
    numbers = iter([1, 2])
    shown({"numbers": numbers})
    assert list(numbers) == [1, 2]


def test_a_huge_number_of_items_is_bounded() -> None:
    """A million rows in a state must not be walked for a span."""
    rows = shown(list(range(1_000_000)), content_limit=10**9)
    assert len(rows) < 10_000
    assert rows[-1] == 999_999
    assert f"[cut: {1_000_000 - len(rows) + 1} of 1000000 items]" in rows


def test_exponential_sharing_is_bounded() -> None:
    """Ten levels of ten references are ten thousand million values if they are all shown."""
    value: list[Any] = ["x"]
    for _ in range(10):
        value = [value] * 10
    assert "[cut:" in json.dumps(shown(value))


def test_a_long_string_is_cut_and_says_how_long_it_was() -> None:
    """Who reads the trace has to know that the model was given more than this."""
    text = shown({"prompt": "word " * 1_000_000})["prompt"]
    assert text.startswith("word word")
    assert text.endswith("… [cut: 5000000 characters]")


def test_the_longest_strings_give_way_first() -> None:
    """One huge document must not push the question out of the record."""
    value = {"docs": ["é" * 90_000, "b c " * 30_000], "question": "why? " * 100, "n": 1}
    result = shown(value, content_limit=20_000)
    assert result["question"] == value["question"]
    assert result["docs"][0].endswith("[cut: 90000 characters]")
    assert len(json.dumps(result, ensure_ascii=False).encode()) > 15_000


def test_long_lists_lose_their_middle() -> None:
    """Of a long conversation the beginning and the latest messages matter most."""
    result = shown([f"message {i}" for i in range(5000)], content_limit=2000)
    assert result[0] == "message 0"
    assert result[-1] == "message 4999"
    (note,) = [item for item in result if item.startswith("[cut:")]
    assert note == f"[cut: {5000 - len(result) + 1} of 5000 items]"


def test_large_dicts_say_how_many_keys_are_missing() -> None:
    """A mapping that shows some keys must not pass for the whole."""
    for limit in (2_000, 10**7):
        result = shown({f"key {i}": i for i in range(5000)}, content_limit=limit)
        assert result.pop("…") == f"[cut: {5000 - len(result)} of 5000 keys]"


def test_plain_text_is_cut_at_a_whole_character() -> None:
    """Half a UTF-8 sequence makes an attribute that cannot be sent."""
    gate = ContentGate(capture_content=True, content_limit=100)
    text = gate.text("output.value", "héé " * 1000) or ""
    assert len(text.encode()) <= 100
    assert text.endswith("… [cut: 4000 characters]")
    assert "\ufffd" not in text


def test_a_limit_too_low_for_anything_records_nothing() -> None:
    """A mark that breaks the limit would break whatever the limit is for."""
    gate = ContentGate(capture_content=True, content_limit=3)
    assert gate.text("input.value", "x" * 10) is None
    assert gate.json("input.value", ["x" * 10]) is None


IMAGE = base64.b64encode(
    b"\x89PNG\r\n\x1a\n"
    + b"".join(hashlib.sha256(bytes([i % 256, i // 256])).digest() for i in range(31_250)) * 3
).decode()


def test_encoded_images_are_replaced_by_their_type_and_size() -> None:
    """A photo in a prompt is megabytes of base64 that no one reads."""
    value = {
        "url": f"data:image/jpeg;base64,{IMAGE}",
        "raw": IMAGE,
        "markdown": f"see ![it](data:image/png;base64,{IMAGE}) here",
    }
    assert shown(value) == {
        "url": "[image/jpeg, 3000008 bytes]",
        "raw": "[image/png, 3000008 bytes]",
        "markdown": "see ![it]([image/png, 3000008 bytes]) here",
    }


@pytest.mark.parametrize("text", ["x" * 3000, "ab" * 600, "0123456789" * 100, "a/b/" * 500])
def test_long_words_are_not_taken_for_encoded_data(text: str) -> None:
    """Only what mixes cases and digits as base64 does is encoded data."""
    assert shown(text) == text


@pytest.mark.parametrize("form", ["sk-ant-api03-{}", "postgres://bob:{}@db", 'password = "{}"'])
def test_a_secret_at_the_cut_does_not_show_its_beginning(form: str) -> None:
    """Cutting before filtering would leave half a secret, which no shape matches."""
    gate = ContentGate(capture_content=True, content_limit=1000)
    for before in range(800, 1000, 7):
        text = "a " * (before // 2) + form.format("s3cr3t" * 20) + " b" * 5000
        assert "s3cr3t" not in (gate.text("input.value", text) or "")
        assert "s3cr3t" not in (gate.json("input.value", {"p": text}) or "")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("blue", "blue"),
        (3, 3),
        (2.5, 2.5),
        (True, True),
        (["a", "b"], ["a", "b"]),
        ((), []),
        (uuid.UUID(int=5), "00000000-0000-0000-0000-000000000005"),
        ({"a": 1}, '{"a":1}'),
        ([1, 2], "[1,2]"),
        (2**64, str(2**64)),
        ("use sk-ant-api03-abcdef", "use [secret]"),
        (None, None),
    ],
)
def test_metadata_stay_scalars_where_attributes_can_be_scalars(value: Any, expected: Any) -> None:
    """Backends filter and sum by them; what OTLP cannot hold as a number is text."""
    assert ContentGate().value("callspan.metadata.x", value) == expected


def test_metadata_under_a_secret_name_are_masked() -> None:
    """Metadata are recorded with content off too."""
    gate = ContentGate(capture_content=False)
    assert gate.value("callspan.metadata.api_key", "abcd") == "[secret]"
    assert gate.value("callspan.metadata.db", {"password": "x"}) == '{"password":"[secret]"}'


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner)
        | st.tuples(inner, inner)
        | st.dictionaries(st.text() | st.integers(), inner)
    ),
    max_leaves=40,
)
lone = st.text(alphabet=st.characters(codec=None, categories=["Cs", "Ll", "Nd", "Po"]))


@given(anything, st.integers(min_value=40, max_value=2000))
@settings(max_examples=200)
def test_whatever_the_value_the_json_is_valid_and_within_its_limit(value: Any, limit: int) -> None:
    """Backends drop an attribute that they cannot parse, and exporters a batch that is too big."""
    shown(value, content_limit=limit)


@given(lone, st.integers(min_value=1, max_value=300))
def test_whatever_the_text_it_can_be_encoded_within_its_limit(text: str, limit: int) -> None:
    """A lone surrogate makes the exporter lose the whole batch."""
    recorded = ContentGate(capture_content=True, content_limit=limit).text("input.value", text)
    assert recorded is None or len(recorded.encode()) <= limit


def test_no_log_is_written_for_odd_values(caplog: pytest.LogCaptureFixture) -> None:
    """An application that traces odd objects must not drown in warnings."""
    with caplog.at_level(logging.DEBUG):
        shown([Hostile(), {"a": object()}, float("nan"), b"\xff"])
    assert not caplog.records


def test_short_metadata_that_many_runs_have_in_common() -> None:
    """What is kept of one run's texts must not show another's secret, nor its limit."""
    wide, narrow = ContentGate(), ContentGate(content_limit=40)
    for _ in range(2):
        assert wide.value("header", ("password", "hunter22")) == ["password", "[secret]"]
        assert wide.value("header", ["password", "hunter22"]) == ["password", "hunter22"]
        assert wide.value("text", "password=hunter22") == "password=[secret]"
        assert wide.value("text", "a" * 100) == "a" * 100
        assert narrow.value("text", "a" * 100) == "a" * 15 + "… [cut: 100 characters]"
