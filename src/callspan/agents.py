"""Agents: models that have tools called until they have an answer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from callspan._options import check
from callspan._text import as_text
from callspan.callbacks.base_manager import own_handlers
from callspan.callbacks.managers import Callbacks
from callspan.errors import AgentStepsError, AsyncOnlyError, ConfigurationError, InputError
from callspan.messages import AIMessage, BaseMessage, SystemMessage, ToolMessage
from callspan.messages.convert import convert_to_messages, whole_message
from callspan.outputs import AgentAction, AgentFinish
from callspan.runnables import Runnable
from callspan.runnables.block import Frame, StreamingBlock
from callspan.runnables.calls import Call, together
from callspan.runnables.config import RunnableConfig
from callspan.runnables.io import Chunks, again
from callspan.runnables.total import total_of
from callspan.tools import BaseTool, StructuredTool

__all__ = ["create_agent"]

State = dict[str, Any]
"""`{"messages": [...]}`: the conversation so far."""


def create_agent(
    model: Runnable[Any, Any],
    tools: Sequence[BaseTool | Callable[..., Any]],
    *,
    system_prompt: str | SystemMessage | None = None,
    name: str | None = None,
    max_steps: int = 25,
    callbacks: Callbacks = None,
) -> Runnable[Mapping[str, Any], State]:
    """Make an agent: a model that has tools called until it has an answer.

    The agent takes `{"messages": [...]}` and returns that with its own messages appended; what it
    was given stays as it was. Its stream yields the conversation so far each time that a message
    was appended: `state["messages"][-1]` is the new one. In a stream the model streams too, so
    that handlers hear its tokens. Further arguments of a call go to the model.

    The tools that a message of the model asks for run at the same time, `max_concurrency` of the
    config at most. Their answers are in the order of the calls. A tool that raises, or does not
    exist, or whose arguments cannot be read, is answered with the error, `status="error"`; but an
    async tool in a sync call raises AsyncOnlyError. If all of them have `return_direct`, and none
    failed, theirs are the last messages.

    Args:
        model: A chat model that has `bind_tools`, if there are tools.
        tools: Tools, or functions to be made into tools.
        system_prompt: What the model is told before the conversation, which has no part in it.
        name: The agent's name; "agent" if left out.
        max_steps: How many times the model may be asked.
        callbacks: Handlers that hear the agent's own run; those in a config hear its parts too.

    Raises:
        ConfigurationError: Two tools have one name, something is no tool, the model cannot be
            told of tools, or `max_steps` is not positive.
    """
    check({"max_steps": max_steps})
    if not isinstance(tools, Sequence) or isinstance(tools, str):
        raise ConfigurationError(f"an agent takes a list of tools, not {tools!r}")
    by_name: dict[str, BaseTool] = {}
    for one in tools:
        made = one if isinstance(one, BaseTool) else StructuredTool.from_function(one)
        if made.name in by_name:
            raise ConfigurationError(
                f"two tools are called {made.name}: give one of them another name, so that the "
                "model can tell them apart"
            )
        by_name[made.name] = made
    if isinstance(model, type) or not hasattr(model, "invoke"):
        raise ConfigurationError(
            f"an agent's model is an object such as ChatOpenAI(model=...), not {model!r}"
        )
    if by_name and not hasattr(model, "bind_tools"):
        raise ConfigurationError(
            f"an agent's model needs bind_tools, which {type(model).__name__} has not"
        )
    prompt = SystemMessage(system_prompt) if isinstance(system_prompt, str) else system_prompt
    return _Agent(
        model=model.bind_tools([*by_name.values()]) if by_name else model,  # type: ignore[attr-defined]
        tools=by_name,
        prompt=convert_to_messages([prompt] if prompt else []),
        name=name or "agent",
        max_steps=max_steps,
        callbacks=own_handlers(callbacks),
    )


@dataclass(eq=False, repr=False, kw_only=True)
class _Agent(StreamingBlock[Mapping[str, Any], State]):
    """The agent that `create_agent` makes; its model has been told of the tools."""

    run_type = "agent"

    model: Runnable[Any, Any]
    tools: dict[str, BaseTool]
    prompt: list[BaseMessage]
    name: str
    max_steps: int
    callbacks: Callbacks

    async def _invoke(self, given: Any, frame: Frame) -> Any:
        # States cannot be added: their total is the last one.
        return (await total_of(self._states(again([given]), frame, _asked))).value()

    def _stream(self, source: Chunks, frame: Frame) -> Chunks:
        return self._states(source, frame, _asked_for_stream)

    async def _states(self, source: Chunks, frame: Frame, ask: Callable[..., Any]) -> Chunks:
        """Yield the conversation after each message of the model and each answer of a tool."""
        given = (await total_of(source)).value()
        if not isinstance(given, Mapping) or "messages" not in given:
            raise InputError(
                "an agent takes {'messages': [...]}, and there are no messages in the "
                f"{type(given).__name__} that it was given"
            )
        messages: list[BaseMessage] = [*convert_to_messages(given["messages"])]
        for _ in range(self.max_steps):
            answer = await ask(self.model, [*self.prompt, *messages], frame)
            if not isinstance(answer, AIMessage):
                raise ConfigurationError(
                    f"an agent's model answers with an AIMessage, not {type(answer).__name__}"
                )
            messages.append(answer)
            done = not answer.tool_calls and not answer.invalid_tool_calls
            if done:
                await _tell_finish(answer.text, answer.text, frame)
            yield {"messages": [*messages]}
            if done:
                return
            results = await self._results(answer, frame)
            done = self._is_final(answer, results)
            if done:
                await _tell_finish(results[-1].content, "", frame)
            for result in results:
                messages.append(result)
                yield {"messages": [*messages]}
            if done:
                return
        raise AgentStepsError(
            f"{self.name} has no answer after {self.max_steps} steps: the error's `messages` tell "
            "what it did; max_steps may be too low",
            messages,
        )

    async def _results(self, answer: AIMessage, frame: Frame) -> list[ToolMessage]:
        """Have the tools called that a message asks for; return their answers, in its order."""
        io, calls = frame.io, list[Call]()
        for call in answer.tool_calls:
            said = f"{answer.text}\n" if answer.text else ""
            log = f"\nCalling {call['name']} with {call['args']}\n{said}"  # handlers print it
            await io.done(frame.run.on_agent_action(AgentAction(call["name"], call["args"], log)))
            tool = self.tools.get(call["name"])
            # Not every server gives its calls an id; tools answer a call with a message.
            given = {**call, "type": "tool_call", "id": call["id"] or ""}
            function = io.invoke(tool) if tool else io.function(self._unknown)
            calls.append(partial(function, given, frame.child()))
        limit = frame.config.get("max_concurrency") or len(calls) or None
        outcomes = await together(io, calls, limit, return_exceptions=True)
        results = [*map(_answer_to, answer.tool_calls, outcomes)]
        for invalid in answer.invalid_tool_calls:
            error = f"the arguments are no JSON object. {invalid['error'] or ''}".strip()
            results.append(_answer_to(invalid, InputError(error)))
        return results

    async def _unknown(self, call: Mapping[str, Any], config: RunnableConfig) -> ToolMessage:
        """Stands in for a tool that is not there."""
        raise InputError(
            f"there is no tool {call['name']!r}; there are: {', '.join(self.tools) or 'none'}"
        )

    def _is_final(self, answer: AIMessage, results: list[ToolMessage]) -> bool:
        """Whether the tools' answers are the agent's own."""
        return all(one.status == "success" for one in results) and all(
            self.tools[call["name"]].return_direct for call in answer.tool_calls
        )


def _answer_to(call: Mapping[str, Any], outcome: Any) -> ToolMessage:
    """What a tool returned for a call, or a message about what went wrong."""
    if isinstance(outcome, AsyncOnlyError):  # no model can do better with another call
        raise outcome
    if not isinstance(outcome, Exception):
        return outcome  # type: ignore[no-any-return]
    return ToolMessage(
        f"{type(outcome).__name__}: {as_text(outcome)}",
        name=call["name"],
        tool_call_id=call["id"] or "",
        status="error",
    )


async def _tell_finish(output: Any, log: str, frame: Frame) -> None:
    await frame.io.done(frame.run.on_agent_finish(AgentFinish({"output": output}, log)))


async def _asked(model: Any, messages: list[BaseMessage], frame: Frame) -> Any:
    return await frame.io.done(frame.io.invoke(model)(messages, frame.child(), **frame.kwargs))


async def _asked_for_stream(model: Any, messages: list[BaseMessage], frame: Frame) -> Any:
    stream = frame.io.stream(model)(messages, frame.child(), **frame.kwargs)
    return whole_message((await total_of(frame.io.pull(stream))).value())
