"""Printing every run to standard output, with its input, output, duration and place in the tree."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from time import perf_counter
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from pydantic import BaseModel
from typing_extensions import Self

from callspan._fork import RLock
from callspan._text import as_text
from callspan.callbacks._print import bold, colored, run_name, write
from callspan.callbacks.handlers import BaseCallbackHandler

if TYPE_CHECKING:
    from callspan.documents import Document
    from callspan.outputs import LLMResult

_MAX_OPEN_RUNS: Final = 10_000
_COLORS: Final = {"start": "green", "end": "blue", "error": "red"}


class _OpenRun:
    """What is kept of a run until it ends; `last` is the order of the latest run started in it."""

    __slots__ = ("crumb", "kind", "label", "last", "parent", "path", "started")

    def __init__(
        self, kind: str, run_type: str, name: str, parent: _OpenRun | None, order: int
    ) -> None:
        self.kind = kind
        self.label = "LLM" if run_type == "llm" else run_type.capitalize()
        self.crumb = f"{order}:{run_type}:{name}"
        self.parent = parent
        self.last = order
        self.path = " > ".join([one.crumb for one in self._lineage()][::-1])
        self.started = perf_counter()

    def _lineage(self) -> Iterator[_OpenRun]:
        run: _OpenRun | None = self
        while run is not None:
            yield run
            run = run.parent

    def close(self) -> None:
        """Tell the parent how far the count has come, and let go of it.

        Otherwise a chain of background tasks, each started by the one before, would be kept whole.
        """
        if self.parent is not None:
            self.parent.last = max(self.parent.last, self.last)
            self.parent = None

    def elapsed(self) -> str:
        """How long the run has been open."""
        seconds = perf_counter() - self.started
        return f"{seconds * 1000:.0f}ms" if seconds < 1 else f"{seconds:.2f}s"


class ConsoleCallbackHandler(BaseCallbackHandler):
    """Prints every run as it starts, ends or fails.

    A line begins with what happened, such as `[chain/start]`, and with the runs from the
    outermost to this one, each as order, type and name: `[1:chain:RunnableSequence >
    2:prompt:ChatPromptTemplate]`. The order counts the runs of a tree as they start. Inputs and
    outputs follow as indented JSON, an error with its traceback. A terminal is given colours,
    a pipe or a file plain text.

    A run that never ends is forgotten once 10,000 later ones are open. The end of a run whose
    start was not heard, or is forgotten, is not printed.
    """

    def __init__(self) -> None:
        # Reentrant, since the garbage collector may close a stream, and so end its run, anywhere.
        self._lock = RLock()
        self._open: dict[UUID, _OpenRun] = {}

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        # A copied config is to go on with the same count.
        return self

    def on_chain_start(
        self,
        serialized: dict[str, Any],
        inputs: dict[str, Any],
        *,
        run_type: str | None = None,
        **kwargs: Any,
    ) -> None:
        """Print the start of a chain, or of what `run_type` names, such as a prompt."""
        self._start("chain", run_type or "chain", serialized, _json(inputs, "input"), **kwargs)

    def on_llm_start(self, serialized: dict[str, Any], prompts: list[str], **kwargs: Any) -> None:
        """Print the start of a text model, or of a chat model with its messages as one text."""
        stripped = [as_text(prompt).strip() for prompt in prompts]
        self._start("llm", "llm", serialized, _json({"prompts": stripped}), **kwargs)

    def on_tool_start(self, serialized: dict[str, Any], input_str: str, **kwargs: Any) -> None:
        """Print the start of a tool."""
        self._start("tool", "tool", serialized, _quoted(input_str), **kwargs)

    def on_retriever_start(self, serialized: dict[str, Any], query: str, **kwargs: Any) -> None:
        """Print the start of a retriever."""
        self._start("retriever", "retriever", serialized, _json({"query": query}), **kwargs)

    def on_chain_end(self, outputs: dict[str, Any], *, run_id: UUID, **kwargs: Any) -> None:
        """Print the end of a chain."""
        self._end(run_id, lambda: _json(outputs, "output"))

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """Print the end of a text or chat model."""
        self._end(run_id, lambda: _json(response))

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """Print the end of a tool."""
        self._end(run_id, lambda: _quoted(output))

    def on_retriever_end(
        self, documents: Sequence[Document], *, run_id: UUID, **kwargs: Any
    ) -> None:
        """Print the end of a retriever."""
        self._end(run_id, lambda: _json({"documents": documents}))

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """Print the failure of a run."""
        run = self._close(run_id)
        if run is not None:
            what = f"[{run.elapsed()}] {run.label} run errored with error:"
            _show(run, "error", what, _traced(error))

    on_llm_error = on_tool_error = on_retriever_error = on_chain_error

    def _start(
        self,
        kind: str,
        run_type: str,
        serialized: dict[str, Any],
        shown: str,
        /,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        name: str | None = None,
        **kwargs: Any,
    ) -> None:
        known = name or run_name(serialized) or "Unnamed"
        with self._lock:
            parent = None if parent_run_id is None else self._open.get(parent_run_id)
            order = 1 if parent is None else parent.last + 1
            run = self._open[run_id] = _OpenRun(kind, run_type, known, parent, order)
            if parent is not None:
                parent.last = order
            if len(self._open) > _MAX_OPEN_RUNS:
                self._close(next(iter(self._open)))
        _show(run, "start", f"Entering {run.label} run with input:", shown)

    def _end(self, run_id: UUID, shown: Callable[[], str]) -> None:
        run = self._close(run_id)
        if run is not None:
            what = f"[{run.elapsed()}] Exiting {run.label} run with output:"
            _show(run, "end", what, shown())

    def _close(self, run_id: UUID) -> _OpenRun | None:
        with self._lock:
            run = self._open.pop(run_id, None)
            if run is not None:
                run.close()
        return run


def _show(run: _OpenRun, phase: str, what: str, shown: str) -> None:
    event, text = f"[{run.kind}/{phase}]", f"[{run.path}] {what}"
    if _is_terminal(sys.stdout):
        event, text = colored(event, _COLORS[phase]), bold(text)
    write(f"{event} {text} {shown}\n")


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):  # a stand-in, no console at all, a closed stream
        return False


def _json(value: Any, name: str | None = None) -> str:
    """Return `value` as JSON, under `name` where it is no dict, or its repr where JSON cannot."""
    try:
        if name is not None and not isinstance(value, dict):
            value = {name: value}
        return json.dumps(value, indent=2, ensure_ascii=False, default=_plain)
    except Exception:  # values refer to themselves, keys are no strings, foreign code fails
        return as_text(value, repr)


def _plain(value: Any) -> Any:
    # Not pydantic_core.to_json: it would use up the generators among the values.
    if isinstance(value, BaseModel):
        try:
            return value.model_dump(warnings=False)
        except Exception:
            return as_text(value, repr)
    return as_text(value, repr)


def _quoted(value: Any) -> str:
    return f'"{as_text(value).strip()}"'


def _traced(error: BaseException) -> str:
    """Return the error on one line and its traceback after it."""
    try:
        lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    except Exception:  # an exception may override what the traceback module reads
        lines = ""
    return f"{as_text(error, repr)}\n{lines}".rstrip()
