"""What is never recorded, whether content is captured or not: passwords, keys and tokens."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

MASK: Final = "[secret]"
"""What stands in the place of a secret."""

_ANYWHERE: Final = (
    "accesskey",
    "apikey",
    "authorization",
    "clientsecret",
    "credential",
    "passphrase",
    "passwd",
    "password",
    "privatekey",
    "secretkey",
)
_WORDS: Final = frozenset(
    {"auth", "bearer", "cookie", "cookies", "creds", "jwt", "passcode", "pwd", "secret", "secrets"}
)
_KEY_OWNERS: Final = frozenset({"account", "encryption", "signing", "ssh", "subscription"})
_TOKEN_OWNERS: Final = frozenset(
    {"access", "api", "auth", "bearer", "csrf", "id", "refresh", "secret", "security", "session"}
)
# Vocabulary, limits and paging: tokens, but nobody's secret.
_HARMLESS_TOKENS: Final = frozenset(
    {
        "bos",
        "cls",
        "end",
        "eos",
        "first",
        "last",
        "mask",
        "max",
        "min",
        "new",
        "next",
        "pad",
        "page",
    }
    | {"sep", "special", "start", "stop", "unk"}
)
_CAMEL: Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_NO_WORD: Final = re.compile(r"[^a-z0-9]+")


def is_secret_key(key: str) -> bool:
    """Tell whether values under `key` are secret, by the words that it is made of.

    Args:
        key: A key of a dict, the name of a field or of a header: `api_key`, `X-Api-Key`,
            `clientSecret`. Token counts (`max_tokens`) are no secrets.
    """
    return len(key) < 200 and _is_secret_name(key)


@lru_cache(maxsize=4096)
def _is_secret_name(key: str) -> bool:
    words = [word for word in _NO_WORD.split(_CAMEL.sub("_", key).lower()) if word]
    if not words:
        return False
    if not _WORDS.isdisjoint(words) and words[-1] in _WORDS:
        return True
    joined = "".join(words)
    if any(part in joined for part in _ANYWHERE):
        return not joined.endswith(("count", "length", "policy", "type"))
    last, before = words[-1], words[-2] if len(words) > 1 else ""
    if last == "token":
        return before not in _HARMLESS_TOKENS
    if last == "tokens":
        return before in _TOKEN_OWNERS
    if last == "key":
        return before in _KEY_OWNERS
    return last.endswith("token") and last[:-5] in _TOKEN_OWNERS


# The regular expressions are searched in every text that is recorded. Each alternative begins with
# a literal character, so that the search skips from one of those to the next; what must not stand
# before it is looked at afterwards. No repetition that can still fail after it has matched is
# longer than its bound: the time is linear in the length of the text.
_SHAPES: Final = re.compile(
    r"""
      sk-(?<![A-Za-z0-9]sk-)(?:
          (?:ant|or|lf|proj|svcacct)-[\w-]{6,} | (?=[A-Za-z_-]{0,48}[0-9])[\w-]{8,}
      )
    | sk_(?:live|test)_\w{8,} | rk_(?:live|test)_\w{8,} | pk_(?:live|test)_\w{8,}
    | AKIA(?<![A-Za-z0-9]AKIA)[0-9A-Z]{12,} | ASIA(?<![A-Za-z0-9]ASIA)[0-9A-Z]{12,}
    | AIza[\w-]{30,}
    | gh[pousr]_[A-Za-z0-9]{16,} | github_pat_\w{16,} | glpat-[\w-]{16,} | gsk_[A-Za-z0-9]{20,}
    | hf_(?<![A-Za-z0-9]hf_)[A-Za-z0-9]{20,}
    | lsv2_\w{16,}
    | pypi-[\w-]{32,}
    | xox[a-z]-[\w-]{8,}
    | eyJ(?<![\w-]eyJ)[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?
    | -----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY-----
      [\s\S]*?(?:-----END\ [A-Z ]{0,30}PRIVATE\ KEY-----|\Z)
    | Bearer[ ]{1,4}(?:(?=[\w.~+/=-]{0,64}[0-9])[\w.~+/=-]{6,} | [\w.~+/=-]{16,})
    | bearer[ ]{1,4}(?:(?=[\w.~+/=-]{0,64}[0-9])[\w.~+/=-]{6,} | [\w.~+/=-]{16,})
    | ://(?:
          (?P<user>[^\s/:@"'<>]{0,128}:)(?!\[secret\])[^\s/"'<>]{1,256}
        | (?:(?<=http://)|(?<=https://))[^\s/:@"'<>\[\]]{1,256}
      )(?=@)
    """,
    re.VERBOSE,
)


def _either_case(word: str) -> str:
    first, rest = word[0], word[1:]
    return f"{first}(?i:{rest})|{first.upper()}(?i:{rest})"


_NAMES: Final = (
    "password passwd pwd passphrase passcode authorization cookie secret credential jwt key token"
)
_ASSIGNED: Final = re.compile(
    f"(?:{'|'.join(map(_either_case, _NAMES.split()))})"
    r"""[sS]?(?P<equals>(?:\\?["'])?\s{0,16}(?:=>|[=:])\s{0,16}(?:b?\\?["'])?"""
    r"""|(?P<space>[ ](?:\\?["'])?(?=[^\s-])))"""
)
_VALUE: Final = re.compile(
    r"""
      (?<=["'])[^"'\\\r\n]+
    | (?!(?i:basic|bearer|digest|token)\ {1,2}\[secret\])  # which was read before
      (?i:(?:basic|bearer|digest|token)\ {1,2})?
      (?P<bare>[^\s"'\\&,;<>(){}\[\]]{2,}(?:;\ ?[\w.-]{1,64}=[^\s;,"']{1,4096})*)
    """,
    re.VERBOSE,
)
_END_OF_NAME: Final = re.compile(r"[^\w-]")
_KEY: Final = frozenset({"key", "keys"})
_NAME_LENGTH: Final = 64
# In prose these words stand before a colon too; there the value has to look like a secret.
_PROSE: Final = frozenset({"cookie", "cookies", "credentials", "secret", "secrets", "token"})
_NO_PROSE: Final = re.compile(r"[0-9=_]")


def without_secrets(text: str) -> str:
    """Return `text` with what has the shape of a secret replaced by `[secret]`.

    Known shapes: the keys of the common services, bearer tokens, JWTs, private keys, the password
    in a URL, or its user if there is none, and what is assigned to a name such as `password` or
    `api_key`, or follows `--api-key`.

    Args:
        text: Any text. The time it takes is linear in its length.
    """
    text = _SHAPES.sub(_masked, text)
    return _without_assigned(text) if "=" in text or ":" in text or "--" in text else text


def _masked(match: re.Match[str]) -> str:
    shape = match[0]
    if shape.startswith("://"):
        user = match["user"] or ""
        return f"://{_SHAPES.sub(_masked, user)}{MASK}"  # a key may be the user, too
    return f"{shape[:7]}{MASK}" if shape.startswith(("Bearer ", "bearer ")) else MASK


def _without_assigned(text: str) -> str:
    pieces: list[str] = []
    position = 0
    for found in _ASSIGNED.finditer(text):
        if found.start() < position:
            continue
        before = text[max(0, found.start() - _NAME_LENGTH) : found.start("equals")]
        name = _name_at_end(before)
        if found["space"] and not name.startswith("--"):  # `--password x`, on a command line
            continue
        value = _VALUE.match(text, found.end()) if is_secret_key(name) else None
        if value is None or _is_prose(name, found["equals"], value["bare"]):
            continue
        start = value.start("bare") if value["bare"] else value.start()
        pieces += (text[position:start], MASK)
        position = value.end()
    return "".join([*pieces, text[position:]]) if pieces else text


def _name_at_end(text: str) -> str:
    """The name that a text ends with: `api_key`, but also `API key`."""
    *others, name = _END_OF_NAME.split(text)
    return f"{others[-1]} {name}" if others and name.lower() in _KEY else name


def _is_prose(name: str, equals: str, bare: str | None) -> bool:
    if bare is None or not equals.endswith(": ") or not (name.lower() in _PROSE or " " in name):
        return False
    return _NO_PROSE.search(bare) is None
