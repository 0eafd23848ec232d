"""How a run ended, and what of an exception goes onto its span."""

from __future__ import annotations

import asyncio
import concurrent.futures
import traceback
from typing import Final, Literal

from opentelemetry.trace import Span, Status, StatusCode

from callspan.tracing.attributes import names
from callspan.tracing.content import ContentGate
from callspan.tracing.text import well_formed

Outcome = Literal["ok", "error", "cancelled", "abandoned", "interrupted", "unfinished"]

_CANCELLED: Final = (
    asyncio.CancelledError,
    concurrent.futures.CancelledError,
    KeyboardInterrupt,
    SystemExit,
)
_MAX_FRAMES: Final = 50
_FAILED: Final = Status(StatusCode.ERROR)


def outcome_of(error: BaseException) -> Outcome:
    """Return how a run ended that raised `error`."""
    if isinstance(error, _CANCELLED):
        return "cancelled"
    if isinstance(error, GeneratorExit):
        return "abandoned"
    return "error"


def error_type(error: BaseException) -> str:
    """Return the class of `error`, with its module unless it is a builtin (`error.type`)."""
    cls = type(error)
    module = cls.__module__
    return well_formed(cls.__qualname__ if module == "builtins" else f"{module}.{cls.__qualname__}")


def record_error(span: Span, error: BaseException, gate: ContentGate) -> None:
    """Put a failure onto `span`: status, `error.type` and the exception event.

    Where the text of exceptions is not captured, the event has the type, and file, line and
    function of each frame: no message, no line of source, nothing of the causes.
    """
    kind = error_type(error)
    text = gate.error_text(error) if gate.captures_errors else None
    event = {names.EXCEPTION_TYPE: kind}
    if text is None:
        event[names.EXCEPTION_STACKTRACE] = _frames_alone(error)
        span.set_status(_FAILED)
    else:
        event[names.EXCEPTION_MESSAGE] = text
        formatted = "".join(traceback.format_exception(error, limit=-_MAX_FRAMES))
        event[names.EXCEPTION_STACKTRACE] = gate.text(
            names.EXCEPTION_STACKTRACE, formatted
        ) or _frames_alone(error)
        span.set_status(Status(StatusCode.ERROR, text))
    span.set_attribute(names.ERROR_TYPE, kind)
    span.add_event("exception", event)


def _frames_alone(error: BaseException) -> str:
    frames = list(traceback.walk_tb(error.__traceback__))[-_MAX_FRAMES:]
    lines = [
        f'  File "{frame.f_code.co_filename}", line {line}, in {frame.f_code.co_name}'
        for frame, line in frames
    ]
    return well_formed("\n".join(["Traceback (most recent call last):", *lines, error_type(error)]))
