"""Printing finished traces as trees."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import OrderedDict
from threading import RLock
from typing import Any, Final

from opentelemetry.context import Context
from opentelemetry.sdk.trace import ReadableSpan, Span, SpanProcessor
from opentelemetry.trace import StatusCode

from callspan._fork import after_fork
from callspan.callbacks._print import write
from callspan.tracing.attributes import names

_MAX_SPANS: Final = 5_000
"""How many spans are kept for trees whose root is open; beyond that the oldest is printed."""

_MAX_NAME: Final = 80
_MAX_PADDING: Final = 60
_LINES: Final = str.maketrans({"├": "|", "─": "-", "└": "`", "│": "|", "→": ">"})
_DIM: Final = "2"
_RED: Final = "31"


class _Node:
    """What is printed of a span; the span itself can hold a lot of content."""

    __slots__ = ("children", "duration", "failed", "name", "notes")

    def __init__(self, span: ReadableSpan) -> None:
        self.name = _one_line(span.name)
        self.duration = "open"
        self.notes: list[str] = []
        self.failed = False
        self.children: dict[int, _Node] = {}

    def end(self, span: ReadableSpan) -> None:
        self.name = _one_line(span.name)
        self.duration = _duration((span.end_time or 0) - (span.start_time or 0))
        self.failed = span.status.status_code is StatusCode.ERROR
        found = span.attributes or {}
        tokens = [found.get(key) for key in (names.USAGE_INPUT_TOKENS, names.USAGE_OUTPUT_TOKENS)]
        if all(isinstance(count, int) for count in tokens):
            self.notes.append(f"{tokens[0]}→{tokens[1]} tokens")
        attempt, fallback = found.get(names.RUN_ATTEMPT, 1), found.get(names.RUN_FALLBACK, 0)
        if attempt != 1:
            self.notes.append(f"attempt {attempt}")
        if fallback != 0:
            self.notes.append(f"fallback {fallback}")
        if found.get(names.RUN_CACHED):
            self.notes.append("cached")
        if span.links:
            self.notes.append("linked")
        outcome = found.get(names.RUN_OUTCOME, "error" if self.failed else "ok")
        if outcome != "ok":
            self.notes.append(_one_line(f"{outcome} {found.get(names.ERROR_TYPE, '')}".rstrip()))


class ConsoleSpanProcessor(SpanProcessor):
    """Prints the spans of this process to standard output, as a tree once its root has ended.

    A line has a span's name, duration, tokens, whether it is another attempt, a fallback or an
    answer from the cache, whether it is linked to others, and, unless all is well, its outcome. A
    span that is open when its tree is printed gets a line of its own when it ends. A terminal is
    given colours, unless NO_COLOR is set.
    """

    def __init__(self) -> None:
        self._begin_anew()
        after_fork(self._begin_anew)

    def _begin_anew(self) -> None:
        # Reentrant, since the garbage collector may end a span anywhere.
        self._lock = RLock()
        self._kept: dict[int, _Node] = {}
        self._roots: OrderedDict[int, _Node] = OrderedDict()

    def on_start(self, span: Span, parent_context: Context | None = None) -> None:
        """Keep the place of a span in its tree."""
        parent, own = span.parent, _id(span)
        oldest = None
        with self._lock:
            above = None if parent is None else self._kept.get(parent.span_id)
            node = self._kept[own] = _Node(span)
            if above is None:
                self._roots[own] = node
            else:
                above.children[own] = node
            if len(self._kept) > _MAX_SPANS:
                oldest = self._take(next(iter(self._roots)))
        if oldest is not None:
            _print(oldest)

    def on_end(self, span: ReadableSpan) -> None:
        """Print the tree of a span that is a root."""
        own = _id(span)
        with self._lock:
            node = self._kept.get(own)
            is_last = node is None or own in self._roots
            if node is None:  # its tree was printed without waiting for it
                node = _Node(span)
            node.end(span)
            if own in self._roots:
                self._take(own)
        if is_last:
            _print(node)

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Do nothing: a tree is printed at once."""
        return True

    def shutdown(self) -> None:
        """Print the trees whose root has not ended."""
        with self._lock:
            roots = [self._take(root_id) for root_id in list(self._roots)]
        for root in roots:
            _print(root)

    def _take(self, root_id: int) -> _Node:
        root = self._roots.pop(root_id)
        waiting = [(root_id, root)]
        while waiting:
            span_id, node = waiting.pop()
            self._kept.pop(span_id, None)
            waiting.extend(node.children.items())
        return root


def _id(span: ReadableSpan) -> int:
    return span.context.span_id if span.context else 0


def _print(root: _Node) -> None:
    out = sys.stdout
    lines = _lines(root, colored=_is_terminal(out))
    text = "".join(f"{line}\n" for line in lines)
    try:
        text.encode(getattr(out, "encoding", None) or "utf-8")
    except UnicodeEncodeError:
        text = text.translate(_LINES)
    with contextlib.suppress(OSError, ValueError):  # nobody reads it any more
        write(text, out)


def _lines(root: _Node, *, colored: bool) -> list[str]:
    rows: list[tuple[str, _Node]] = []
    waiting = [("", "", root)]
    while waiting:
        before, branch, node = waiting.pop()
        rows.append((before + branch, node))
        below = before + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        children = list(node.children.values())
        branches = ["├─ "] * (len(children) - 1) + ["└─ "]
        waiting.extend(
            (below, branch, child)
            for branch, child in zip(reversed(branches), reversed(children), strict=False)
        )
    width = min(_MAX_PADDING, max(len(guide + node.name) for guide, node in rows))
    digits = max(len(node.duration) for _, node in rows)
    return [_line(guide, node, width, digits, colored=colored) for guide, node in rows]


def _line(guide: str, node: _Node, width: int, digits: int, *, colored: bool) -> str:
    def paint(text: str, code: str) -> str:
        return f"\033[{code}m{text}\033[0m" if colored and text else text

    padding = " " * (width - len(guide + node.name))
    notes = "".join(f"  {note}" for note in node.notes)
    return (
        paint(guide, _DIM)
        + (paint(node.name, _RED) if node.failed else node.name)
        + padding
        + paint(f"  {node.duration:>{digits}}", _DIM)
        + (paint(notes, _RED) if node.failed else notes)
    )


def _duration(nanoseconds: int) -> str:
    milliseconds = nanoseconds / 1e6
    if milliseconds < 1:
        return "<1ms"
    if milliseconds < 999.5:
        return f"{milliseconds:.0f}ms"
    if milliseconds < 59_950:
        return f"{milliseconds / 1000:.1f}s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    return f"{minutes}m{seconds:02}s"


def _one_line(value: Any) -> str:
    """Return `value` as text that moves no cursor and fits into a line."""
    text = str(value)
    if len(text) > _MAX_NAME:
        text = text[: _MAX_NAME - 3] + "..."
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _is_terminal(out: Any) -> bool:
    try:
        return not os.environ.get("NO_COLOR") and bool(out.isatty())
    except (AttributeError, ValueError):  # a stand-in, no console at all, a closed stream
        return False
