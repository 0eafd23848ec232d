"""The registry against a model: any order of starts, ends and questions, by two handlers."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple
from uuid import UUID

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from callspan import OTelCallbackHandler
from callspan.outputs import LLMResult
from support import logged_provider

KINDS = ["chain", "llm", "tool", "retriever"]
BOUNDS = [3, 6]
"""The most open runs that each of the two handlers puts up with."""
OUTCOMES: dict[str, BaseException | None] = {
    "ok": None,
    "error": ValueError(),
    "cancelled": asyncio.CancelledError(),
    "abandoned": GeneratorExit(),
}


class Run(NamedTuple):
    """What the model knows of an open run."""

    name: str
    may_be_lost_with: str | None
    """The parent, if it was open when this model, retriever or tool started."""


class RegistryMachine(RuleBasedStateMachine):
    """One provider, two handlers, and a dict of open runs that says what has to be."""

    ids = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        provider, self.log = logged_provider()
        self.handlers = [
            OTelCallbackHandler(tracer_provider=provider, max_open_runs=bound) for bound in BOUNDS
        ]
        self.count = 0
        self.open: dict[UUID, Run] = {}
        self.parents: dict[str, str | None] = {}
        self.outcomes: dict[str, str] = {}
        self.last: dict[UUID, str] = {}

    @rule(target=ids)
    def new_id(self) -> UUID:
        """A run id, before any run has it."""
        self.count += 1
        return UUID(int=self.count)

    @rule(
        run_id=ids,
        parent=st.none() | ids,
        kind=st.sampled_from(KINDS),
        handler=st.sampled_from([0, 1]),
        both=st.booleans(),
    )
    def start(self, run_id: UUID, parent: UUID | None, kind: str, handler: int, both: bool) -> None:
        """A start, told to one handler or to both; an open run is not started again."""
        self.count += 1
        name = f"run {self.count}"
        given: Any = ["prompt"] if kind == "llm" else "input"
        for told in (handler, 1 - handler) if both else (handler,):
            getattr(self.handlers[told], f"on_{kind}_start")(
                {}, given, run_id=run_id, parent_run_id=parent, name=name
            )
        if run_id in self.open:
            return
        self.parents[name] = None if parent is None else self.last.get(parent)
        above = None if kind == "chain" or parent is None else self.open.get(parent)
        self.open[run_id] = Run(name, above and above.name)
        self.last[run_id] = name
        while len(self.open) > BOUNDS[handler]:
            self.close(next(iter(self.open)), "unfinished")

    def close(self, run_id: UUID, outcome: str) -> None:
        """What an end does: a cancelled run takes its models, retrievers and tools along."""
        run = self.open.pop(run_id)
        self.outcomes[run.name] = outcome
        if outcome == "cancelled":
            for child, found in list(self.open.items()):
                if found.may_be_lost_with == run.name and child in self.open:
                    self.close(child, "cancelled")

    @rule(
        run_id=ids,
        handler=st.sampled_from([0, 1]),
        kind=st.sampled_from(KINDS),
        outcome=st.sampled_from(list(OUTCOMES)),
    )
    def end(self, run_id: UUID, handler: int, kind: str, outcome: str) -> None:
        """An end, of a run that is open, has ended, or never was, told to either handler."""
        error = OUTCOMES[outcome]
        result = LLMResult(generations=[]) if kind == "llm" else []
        method, argument = ("end", result) if error is None else ("error", error)
        getattr(self.handlers[handler], f"on_{kind}_{method}")(argument, run_id=run_id)
        if run_id in self.open:
            self.close(run_id, outcome)

    @rule(run_id=ids, handler=st.sampled_from([0, 1]))
    def ask(self, run_id: UUID, handler: int) -> None:
        """What is known of a run, from either handler."""
        span = self.handlers[handler].get_span(run_id)
        context = self.handlers[handler].get_span_context(run_id)
        if run_id in self.last:
            assert context == self.log.named(self.last[run_id]).context
        else:
            assert context is None
        if run_id in self.open:
            assert span is self.log.named(self.open[run_id].name)
        else:
            assert span is None

    @rule(run_id=ids, handler=st.sampled_from([0, 1]))
    def event(self, run_id: UUID, handler: int) -> None:
        """Something happens to a run, which may have ended long ago."""
        before = sum(len(span.events) for span in self.log.started)
        self.handlers[handler].on_text("text", run_id=run_id)
        after = sum(len(span.events) for span in self.log.started)
        assert after - before == (run_id in self.open)

    @invariant()
    def as_the_model_says(self) -> None:
        """The same runs are open, ended as they did, and hang together as they do."""
        assert self.log.open == [run.name for run in self.open.values()]
        assert self.log.outcomes() == self.outcomes
        assert {name: self.log.parent_of(name) for name in self.parents} == self.parents


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
