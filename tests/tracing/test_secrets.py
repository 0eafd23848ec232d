"""What is never recorded: values under secret names, and texts with the shape of a secret."""

from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callspan.tracing.content import ContentGate
from callspan.tracing.secrets import is_secret_key, without_secrets

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"
PEM = "-----BEGIN RSA PRIVATE KEY-----\nMIIEowIBAAKCAQEA\n-----END RSA PRIVATE KEY-----"

SHAPES = [
    "sk-abcdef0123456789",
    "sk-ant-api03-abcdefghijkl",
    "sk-proj-abcdefghijkl",
    "sk_live_abcdefghijkl",
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_abcdefghij0123456789abcdefghij012345",
    "github_pat_abcdefghij0123456789",
    "glpat-abcdefghij0123456789",
    "xoxb-123456789012-abcdefghij",
    "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "hf_abcdefghijklmnopqrstuvwxyz",
    JWT,
    PEM,
]

ASSIGNED = [
    ("password=hunter2", "hunter2"),
    ("password: hunter2", "hunter2"),
    ("api_key='abcd efgh'", "abcd efgh"),
    ('{"api_key": "abcd efgh", "n": 1}', "abcd efgh"),
    (r"{\"clientSecret\": \"abcd efgh\"}", "abcd efgh"),
    ("X-Api-Key: abcd1234", "abcd1234"),
    ("Authorization: Basic dXNlcjpwYXNz", "dXNlcjpwYXNz"),
    ("Authorization: Bearer abc123def", "abc123def"),
    ("curl -H 'authorization: bearer abcdefghijklmnopq'", "abcdefghijklmnopq"),
    ("https://x.test/?access_token=abcdef&n=1", "abcdef"),
    ("https://x.test/?token=abcdef", "abcdef"),
    ("Cookie: session=abcdef; theme=ghijkl", "ghijkl"),
    ("postgres://bob:hunter2@db:5432/shop", "hunter2"),
    ("redis://:hunter2@cache", "hunter2"),
    ("amqp://bob:hun@ter2@mq", "ter2"),
    ("https://sk_live_abcdefgh1:x@api.test", "abcdefgh1"),
    ("AWS_SECRET_ACCESS_KEY=abcdef", "abcdef"),
    ("https://ghs9abcdef@github.test/repo.git", "ghs9abcdef"),
    ("{b'x-api-key': b'abcd1234'}", "abcd1234"),
    ("password      = abcdef", "abcdef"),
    ("'password' => 'abcdef'", "abcdef"),
    ("mysql --user bob --password abcdef shop", "abcdef"),
    ("deploy --api-key 'abc def' now", "abc def"),
    ("Here is my API key: abcd1234", "abcd1234"),
    ("secret key = abcdef", "abcdef"),
]

HARMLESS = [
    "The bearer of this letter is Basic understanding.",
    "Install sk-learn-pipeline, then read risk-free-of-charge.",
    "task-1234567890 and disk-0987654321",
    "max_tokens=100, total_tokens: 29, token_usage: 5",
    "The secret: be kind. Next token: the.",
    "http://localhost:8080/a@b and user@example.com",
    "Is the password policy known? The key is turning; monkey=banana.",
    "author: Ann, keyword=x, tokenizer=bpe",
    "The password of Ann - and her token - are hers; see --token, --no-password --verbose.",
    "An API key: needed for this. Arrow key: up. Primary key: id_1.",
    "git clone ssh://git@github.test/repo.git http://localhost/@user",
    '{"eos_token": "</s>", "next_token": "abc"}',
]


@pytest.mark.parametrize("secret", SHAPES)
def test_a_text_is_recorded_without_the_known_shapes_of_secrets(secret: str) -> None:
    """Keys get into prompts and tool results: no backend may have them, content on or off."""
    shown = without_secrets(f"use {secret}, please")
    assert shown == "use [secret], please"


@pytest.mark.parametrize(("text", "secret"), ASSIGNED)
def test_what_is_assigned_to_a_secret_name_is_hidden(text: str, secret: str) -> None:
    """A password has no shape of its own: what stands before it tells."""
    shown = without_secrets(text)
    assert secret not in shown
    assert "[secret]" in shown


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    """A filter that eats prose and token counts would make traces useless."""
    assert without_secrets(text) == text


def test_only_the_secret_itself_is_taken_out() -> None:
    """Who looks for a failed connection still needs the host and the user."""
    assert without_secrets("postgres://bob:pw12@db/shop?sslmode=on") == (
        "postgres://bob:[secret]@db/shop?sslmode=on"
    )
    assert without_secrets('{"password": "a b", "n": 1}') == '{"password": "[secret]", "n": 1}'


HIDDEN_NAMES = """
    api_key apikey apiKey OPENAI_API_KEY x-api-key Authorization token access_token authToken
    accesstoken refresh_token password passwd user_password secret client_secret clientSecret
    cookie Set-Cookie credentials aws_secret_access_key private_key auth db.password
"""
OTHER_NAMES = """
    max_tokens total_tokens token_usage tokens input_tokens token_count completion_tokens
    eos_token author key keyword session_id user_id secretary auth_method monkey
    password_policy input
"""


@pytest.mark.parametrize("key", HIDDEN_NAMES.split())
def test_names_of_secrets_are_known_in_every_spelling(key: str) -> None:
    """Headers, environment variables, Python and JavaScript spell the same name differently."""
    assert is_secret_key(key)


@pytest.mark.parametrize("key", OTHER_NAMES.split())
def test_names_that_only_resemble_those_are_no_secrets(key: str) -> None:
    """Token counts are what LLM traces are read for."""
    assert not is_secret_key(key)


def test_secret_names_are_honoured_at_any_depth() -> None:
    """Clients keep their credentials in nested settings."""
    gate = ContentGate(capture_content=True)
    value = {"a": [{"headers": {"Authorization": "xyz", "n": 1}}], "credentials": {"user": "u"}}
    shown = json.loads(gate.json("input.value", value) or "")
    assert shown == {
        "a": [{"headers": {"Authorization": "[secret]", "n": 1}}],
        "credentials": "[secret]",
    }


def test_pairs_are_read_as_what_they_name() -> None:
    """Headers are lists of pairs, of texts or bytes, in httpx and in ASGI."""
    gate = ContentGate(capture_content=True)
    value = [("X-Api-Key", "xyz"), (b"authorization", b"xyz"), ("token", 7), ("accept", "*")]
    shown = json.loads(gate.json("input.value", value) or "")
    assert shown == [
        ["X-Api-Key", "[secret]"],
        ["authorization", "[secret]"],
        ["token", 7],
        ["accept", "*"],
    ]


def test_flags_and_counts_under_secret_names_are_kept() -> None:
    """`has_password: true` and a number of tokens are facts, not secrets."""
    gate = ContentGate(capture_content=True)
    value = {"password": None, "has_password": True, "token": 7}
    assert json.loads(gate.json("input.value", value) or "") == value


@given(st.text(), st.sampled_from(SHAPES), st.text())
def test_a_secret_is_hidden_whatever_stands_around_it(before: str, secret: str, after: str) -> None:
    """Prompts put secrets between quotes, brackets and lines of any language."""
    assert secret not in without_secrets(f"{before} {secret} {after}")


@given(st.text())
def test_hiding_twice_changes_nothing_more(text: str) -> None:
    """A value passes the filter again when it is nested in another one."""
    once = without_secrets(text)
    assert without_secrets(once) == once


FRAGMENTS = [
    *("sk-", "sk_live_", "eyJ", "AKIA", "ghp_", "-----BEGIN PRIVATE KEY-----", "Bearer ", "://"),
    *(
        "password",
        "api_key",
        "token",
        "cookie",
        "=",
        ":",
        ": ",
        '"',
        "\\",
        "@",
        ".",
        ";",
        "a",
        "9",
        " ",
        "--",
        "key",
        "=>",
        "http://",
    ),
]


@example("password=Bearer sk-")
@example("://token://sk-\\@")
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=60).map("".join))
def test_fragments_of_secrets_in_any_order_are_read(text: str) -> None:
    """Masks must not make up new secrets, or swallow what stands between two of them."""
    once = without_secrets(text)
    assert without_secrets(once) == once


@pytest.mark.parametrize("fragment", FRAGMENTS)
def test_hostile_repetitions_are_read_to_their_end(fragment: str) -> None:
    """A regular expression that backtracks would hold up the application (see the timeout)."""
    text = fragment * (65536 // len(fragment))
    assert without_secrets(f"{text} \n ghp_abcdefghij0123456789").endswith("[secret]")
