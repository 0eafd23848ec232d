"""The gate that content passes before it is recorded: captured or not, redacted, cut."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, cast

from callspan._text import as_text
from callspan.errors import ConfigurationError
from callspan.tracing.attributes.names import EXCEPTION_MESSAGE
from callspan.tracing.plain import plain
from callspan.tracing.secrets import MASK, is_secret_key
from callspan.tracing.serialize import cut_text, to_json
from callspan.tracing.suppress import suppress_tracing

log = logging.getLogger("callspan")

ENV: Final = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
_ON: Final = frozenset({"span_only", "span_and_event", "true", "1"})
_OFF: Final = frozenset({"", "no_content", "event_only", "false", "0"})
_INT64: Final = 2**63
_SHORT: Final = 128
_WITHHELD: Final = "<withheld: redact failed>"


class ContentGate:
    """Decides what of content is recorded, and in which form.

    Args:
        capture_content: Whether prompts, answers, arguments and documents are recorded. None: as
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT says now; off when it is unset.
        capture_error_text: Whether the text of exceptions is; None: as `capture_content`.
        redact: Called with an attribute's key and the Python value before it is serialised;
            returns what is recorded in its place, None for nothing. It must not change the value,
            which is the program's own. What has the shape of a secret is taken out afterwards,
            with or without it.
        content_limit: The most bytes of UTF-8 that an attribute may have.

    Attributes:
        captures: Whether content is recorded on spans.
        captures_errors: Whether the text of exceptions is.

    Raises:
        ConfigurationError: An argument has the wrong type, or the limit is below 1.
    """

    def __init__(
        self,
        *,
        capture_content: bool | None = None,
        capture_error_text: bool | None = None,
        redact: Callable[[str, Any], Any] | None = None,
        content_limit: int = 65536,
    ) -> None:
        if redact is not None and not callable(redact):
            raise ConfigurationError(
                f"redact is called with a key and a value and returns the value to record: "
                f"pass a function, not {redact!r}"
            )
        if isinstance(content_limit, bool) or not isinstance(content_limit, int):
            raise ConfigurationError(
                f"content_limit is a number of bytes: pass a whole number, not {content_limit!r}"
            )
        if content_limit < 1:
            raise ConfigurationError(f"content_limit must be 1 byte or more, not {content_limit}")
        captures = _checked("capture_content", capture_content)
        self.captures: bool = _captures_by_environment() if captures is None else captures
        errors = _checked("capture_error_text", capture_error_text)
        self.captures_errors: bool = self.captures if errors is None else errors
        self._redact = redact
        self._limit = content_limit
        self._failed = False

    def text(self, key: str, value: str) -> str | None:
        """Return what is recorded of a plain text.

        Args:
            key: The attribute that it is for.
            value: The text.

        Returns:
            At most `content_limit` bytes of it; None if nothing of it is to be recorded.
        """
        redacted = self._redacted(key, value)
        if redacted is None:
            return None
        if not isinstance(redacted, str):
            return to_json(redacted, self._limit)
        return cut_text(redacted, self._limit)

    def json(self, key: str, value: Any) -> str | None:
        """Return what is recorded of any value, as JSON.

        Args:
            key: The attribute that it is for.
            value: Anything: what JSON does not know is shown as near to it as possible.

        Returns:
            Valid JSON of at most `content_limit` bytes of UTF-8; None if nothing of the value is
            to be recorded. What was cut says so, and how much there was.
        """
        redacted = self._redacted(key, value)
        if redacted is None and value is not None:
            return None
        return to_json(redacted, self._limit)

    def recorded(self, keys: tuple[str, ...], value: Any) -> dict[str, str]:
        """Return what several attributes record of one value: text as it is, the rest as JSON.

        Args:
            keys: The attributes; `redact` is asked about each.
            value: Anything.

        Returns:
            Text by key, without the keys of which nothing is to be recorded.
        """
        shows = self.text if isinstance(value, str) else self.json
        if self._redact is None:
            shown = dict.fromkeys(keys, shows(keys[0], value))
        else:
            shown = {key: shows(key, value) for key in keys}
        return {key: text for key, text in shown.items() if text is not None}

    def value(self, key: str, value: Any) -> str | bool | int | float | list[str] | None:
        """Return what is recorded of a tag or of a value in a run's metadata.

        Args:
            key: The attribute that it is for; a secret if it names one.
            value: Anything.

        Returns:
            Scalars and lists of strings as they are, anything else as JSON; None for nothing.
        """
        if is_secret_key(key) and not isinstance(value, bool | None):
            return MASK
        redacted = self._redacted(key, value)
        if redacted is None or isinstance(redacted, bool | float):
            return redacted
        if isinstance(redacted, int) and abs(redacted) < _INT64:
            return int(redacted)
        if _is_short(redacted):
            return _shown_once(redacted, self._limit)
        return _shown(redacted, self._limit)

    def error_text(self, error: BaseException) -> str | None:
        """Return what is recorded of an exception's message.

        Args:
            error: The exception.

        Returns:
            The message; None if the text of exceptions is not recorded.
        """
        if not self.captures_errors:
            return None
        return self.text(EXCEPTION_MESSAGE, as_text(error))

    def _redacted(self, key: str, value: Any) -> Any:
        if self._redact is None:
            return value
        try:
            with suppress_tracing():  # a chain that redacts would be redacted itself, and so on
                return self._redact(key, value)
        except Exception as error:
            if not self._failed:
                self._failed = True
                log.warning(
                    "redact raised %s for %s: the value is withheld; this is said only once",
                    type(error).__name__,
                    key,
                )
            return _WITHHELD


def _shown(value: Any, limit: int) -> str | list[str] | None:
    if type(value) is str:
        return cut_text(value, limit)
    shown = plain(value, limit)
    if isinstance(shown, str):
        return cut_text(shown, limit)
    texts = isinstance(shown, list) and all(isinstance(item, str) for item in shown)
    if texts and sum(map(len, shown)) <= limit:
        return cast("list[str]", shown)
    return to_json(shown, limit)


_shown_once: Final = lru_cache(maxsize=512)(_shown)
"""The same for short texts, which many runs have in common."""


def _is_short(value: Any) -> bool:
    if type(value) is tuple and len(value) < 8:
        return all(type(item) is str and len(item) < _SHORT for item in value)
    return type(value) is str and len(value) < _SHORT


def _checked(name: str, value: bool | None) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise ConfigurationError(f"{name} takes True, False or None, not {value!r}")
    return value


def _captures_by_environment() -> bool:
    said = os.environ.get(ENV, "").strip().lower()
    if said not in _ON and said not in _OFF:
        log.warning(
            "%s=%s is not known: content is not recorded. Use NO_CONTENT, SPAN_ONLY, EVENT_ONLY, "
            "SPAN_AND_EVENT, true or false",
            ENV,
            said,
        )
    return said in _ON
