"""What is never recorded, whether content is captured or not: passwords, keys and tokens."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

SECRET: Final = "[secret]"
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


# Every alternative begins with literal text or ends where it has begun to match, and no repetition
# that can still fail afterwards is longer than its bound: the time is linear in the text.
_SHAPES: Final = re.compile(
    r"""
      (?<![A-Za-z0-9])(?:
          sk-(?:ant|or|lf|proj|svcacct)-[\w-]{6,}
        | sk-(?=[A-Za-z_-]{0,48}[0-9])[\w-]{8,}
        | (?:sk|rk|pk)_(?:live|test)_\w{8,}
        | (?:AKIA|ASIA)[0-9A-Z]{12,}
        | gh[pousr]_[A-Za-z0-9]{16,}
        | github_pat_\w{16,}
        | glpat-[\w-]{16,}
        | xox[a-z]-[\w-]{8,}
        | AIza[\w-]{30,}
        | hf_[A-Za-z0-9]{20,}
        | gsk_[A-Za-z0-9]{20,}
        | lsv2_\w{16,}
        | pypi-[\w-]{32,}
      )
    | (?<![\w-])eyJ[\w-]{8,}\.eyJ[\w-]{8,}(?:\.[\w-]*)?
    | -----BEGIN\ [A-Z ]{0,30}PRIVATE\ KEY-----[\s\S]*?(?:-----END\ [A-Z ]{0,30}PRIVATE\ KEY-----|\Z)
    | (?P<scheme>\b[Bb]earer\s{1,4})(?:(?=[\w.~+/=-]{0,64}[0-9])[\w.~+/=-]{6,}|[\w.~+/=-]{16,})
    | (?P<user>://[^\s/:@"'<>]{0,128}:)[^\s/@"'<>]{1,256}(?=@)
    | (?P<name>(?i:
          password | passwd | pwd | passphrase | authorization | (?:set-)?cookie
        | (?:client|app|aws)[_-]?secret | secret[_-]?key | (?:secret[_-]?)?access[_-]?key
        | (?:x-)?api[_-]?key | private[_-]?key | account[_-]?key
        | (?:access|auth|refresh|id|session|security)[_-]?token | (?<=[?&])token
      )
        (?:\\?["'])?\s{0,2}[=:]\s{0,2}(?:\\?["'])?(?i:(?:basic|bearer|digest|token)\s{1,2})?
      )
      (?:(?<=["'])[^"'\\\r\n]+ | [^\s"'\\&,;<>(){}\[\]]{2,})
    """,
    re.VERBOSE,
)


def without_secrets(text: str) -> str:
    """Return `text` with what has the shape of a secret replaced by `[secret]`.

    Known shapes: the keys of the common services, bearer tokens, JWTs, private keys, the password
    in a URL, and what is assigned to a name such as `password` or `api_key`.

    Args:
        text: Any text. The time it takes is linear in its length.
    """
    return _SHAPES.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    return (match["scheme"] or match["user"] or match["name"] or "") + SECRET
