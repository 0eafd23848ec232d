"""Agents: a model and its tools take turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any

from opentelemetry.context import get_current

from callspan.agents import create_agent
from callspan.errors import AgentStepsError

from .block_programs import Agent
from .blocks import config_of, settings, together
from .kinds import TOKENS, Calling, Talker, invoked, model_metadata, tool_of
from .steps import pulled
from .truth import Place, RunTruth

if TYPE_CHECKING:
    from .interpreter import Interpreter


async def agent(interpreter: Interpreter, item: Agent, here: Place) -> Any:
    """Run an agent; its result are the messages that its model and its tools have made."""
    turns = _Turns(interpreter, item, here)
    before, messages, closed = get_current(), [], False
    try:
        states = turns.states() if interpreter.traced else turns.plain_states()
        async with aclosing(states):
            async for state in states:
                messages = state
                interpreter.same_context(before, f"a state at {here.name}")
                if closed := item.takes == len(messages):
                    break
    except AgentStepsError as error:
        turns.over(error)
        return [*turns.results, "no answer"]
    except BaseException as error:
        turns.over(error)
        raise
    turns.over(GeneratorExit() if closed else None)
    return [*turns.results, messages]


class _Turns:
    def __init__(self, interpreter: Interpreter, item: Agent, here: Place) -> None:
        self.results: list[Any] = []
        """What the bodies of the model have returned."""
        self._interpreter = interpreter
        self._truth = interpreter.truth
        self._item = item
        self._here = here
        self.run = interpreter.truth.start(here, "agent", **settings(item, here))
        self._inner = self.run.inside(here)
        self._tools: dict[tuple[int, int], tuple[RunTruth, Place]] = {}
        self._steps = len(item.turns) + (item.answers or not item.turns)

    def over(self, error: BaseException | None) -> None:
        """Note how the agent has ended."""
        # What comes while handlers are told of the end, the caller alone sees.
        self.run.unsure = isinstance(error, asyncio.CancelledError) and not error.args
        self._truth.end(self.run, error)

    def _tool_name(self, turn: int, number: int) -> str:
        return f"tool {self._inner.at(turn).at(number + 1).name}"

    async def _model(self, turn: int, config: Any) -> Any:
        interpreter, place = self._interpreter, self._inner.at(turn).at(0)
        interpreter.look(self.run, self._inner)
        child = self._truth.start(place, "chat_model", local_metadata=model_metadata("chat_model"))
        is_last = turn == len(self._item.turns)

        async def body() -> None:
            items = () if is_last else self._item.turns[turn].model
            self.results.append(await interpreter.body(items, child, child.inside(place)))
            child.tokens = TOKENS
            if not is_last:
                self._note_tools(turn)

        if not interpreter.traced:
            return await body()
        count = 0 if is_last else len(self._item.turns[turn].tools)
        calls = tuple(
            {"name": self._tool_name(turn, number), "args": {}, "id": "", "type": "tool_call"}
            for number in range(count)
        )
        model = Talker(name=child.name, body=body, calls=calls)
        return await invoked(model, "go on", config, is_async=self._item.is_async)

    def _note_tools(self, turn: int) -> None:
        """Note that the tools are about to start that the model has asked for."""
        for number in range(len(self._item.turns[turn].tools)):
            place = self._inner.at(turn).at(number + 1)
            self._tools[turn, number] = self._truth.start(place, "tool"), place

    async def _tool(self, turn: int, number: int) -> str:
        child, place = self._tools[turn, number]
        items = self._item.turns[turn].tools[number]
        return repr(await self._interpreter.body(items, child, child.inside(place)))

    async def states(self) -> AsyncGenerator[list[Any], None]:
        """The messages so far, each time that there is a new one."""
        item, numbers = self._item, iter(range(self._steps))
        made = create_agent(
            Calling(lambda _, config: self._model(next(numbers), config)),
            [
                tool_of(
                    self._tool_name(turn, number),
                    partial(self._tool, turn, number),
                    is_async=item.is_async,
                )
                for turn, one in enumerate(item.turns)
                for number in range(len(one.tools))
            ],
            max_steps=self._steps,
        )
        given, config = (
            {"messages": []},
            config_of(self._interpreter, item, self._here, self.run.name),
        )
        if item.takes is None:
            state = await invoked(made, given, config, is_async=item.is_async)
            yield _told(state)
            return
        stream: Any = (
            made.astream(given, config) if item.is_async else pulled(made.stream(given, config))
        )
        async with aclosing(stream) as states:
            async for state in states:
                yield _told(state)

    async def plain_states(self) -> AsyncGenerator[list[Any], None]:
        """The same without callspan."""
        messages: list[Any] = []
        for turn in range(self._steps):
            await self._model(turn, None)
            messages.append(("ai", "answer"))
            yield [*messages]
            if turn == len(self._item.turns):
                return
            calls = [
                partial(self._tool, turn, number)
                for number in range(len(self._item.turns[turn].tools))
            ]
            for outcome in await together(calls, self._item.is_async, returns=True):
                messages.append(("tool", _answer(outcome)))
                yield [*messages]
        raise AgentStepsError("no answer", [])


def _answer(outcome: Any) -> str:
    if isinstance(outcome, Exception):
        return f"error: {type(outcome).__name__}: {outcome}"
    return f"success: {outcome}"


def _told(state: Any) -> list[Any]:
    return [
        (one.type, f"{one.status}: {one.text}" if one.type == "tool" else one.text)
        for one in state["messages"]
    ]
