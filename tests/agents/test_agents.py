"""Agents."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from scripted import ScriptedModel, calls, endless, model

from callspan import AgentStepsError, AsyncOnlyError, CallspanError, OTelCallbackHandler, traced
from callspan.agents import create_agent
from callspan.errors import ConfigurationError, InputError
from callspan.language_models import GenericFakeChatModel
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from callspan.outputs import ChatGenerationChunk
from callspan.runnables import RunnableLambda
from callspan.tools import ToolException, tool
from support import SpanLog, recording

QUESTION: Any = {"messages": [("user", "what is 1 + 2?")]}


@tool
def add(a: int, b: int) -> int:
    """Add."""
    return a + b


@tool
def fail(text: str) -> str:
    """Fail."""
    raise KeyError(text)


ADD = ("add", {"a": 1, "b": 2})


async def ways(agent: Any, given: Any, config: Any = None) -> Any:
    """The agent's states in a stream, which end with what the other ways return."""
    return [state async for state in agent.astream(given, config)]


def texts(state: Any) -> list[str]:
    return [message.text for message in state["messages"]]


def results(state: Any) -> list[tuple[str, str]]:
    """Text and status of the tools' answers."""
    return [(one.text, one.status) for one in state["messages"] if isinstance(one, ToolMessage)]


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
async def test_an_agent_has_tools_called_until_it_has_an_answer(way: str, handler: Any) -> None:
    """All four ways to run an agent make the same conversation and the same events."""
    scripted = model(calls(ADD, said="let me see"), "it is 3")
    agent = create_agent(scripted, [add], system_prompt="be exact")
    config: Any = {"callbacks": [handler]}
    if way == "invoke":
        state = agent.invoke(QUESTION, config)
    elif way == "ainvoke":
        state = await agent.ainvoke(QUESTION, config)
    elif way == "stream":
        state = list(agent.stream(QUESTION, config))[-1]
    else:
        state = [one async for one in agent.astream(QUESTION, config)][-1]
    assert [type(message) for message in state["messages"]] == [
        HumanMessage,
        AIMessage,
        ToolMessage,
        AIMessage,
    ]
    assert results(state) == [("3", "success")]
    assert scripted.told == ["add"]
    assert scripted.asked[1][0] == SystemMessage("be exact")
    assert scripted.asked[1][1:] == state["messages"][:-1]
    heard = [method for method in handler.events.methods if method != "on_llm_new_token"]
    assert heard == [
        "on_chain_start",
        "on_chat_model_start",
        "on_llm_end",
        "on_agent_action",
        "on_tool_start",
        "on_tool_end",
        "on_chat_model_start",
        "on_llm_end",
        "on_agent_finish",
        "on_chain_end",
    ]
    assert ("on_llm_new_token" in handler.events.methods) is ("stream" in way)
    told = {method: args for method, args, _ in handler.events}
    (action,), (finish,) = told["on_agent_action"], told["on_agent_finish"]
    assert (action.tool, action.tool_input) == ADD
    assert "let me see" in action.log
    assert finish.return_values["output"] == "it is 3"
    assert handler.events.of("on_chain_start")[0]["run_type"] == "agent"
    agent_run = handler.events[0][2]["run_id"]
    parents = {kwargs["parent_run_id"] for _, _, kwargs in handler.events[1:-1]}
    assert parents == {agent_run, None}  # events of the agent's own run have its parent


def test_a_stream_tells_of_each_message(handler: Any) -> None:
    """A user interface shows `state["messages"][-1]` each time; the last state is the result."""
    both = calls(ADD, ("add", {"a": 5, "b": 5}))
    agent = create_agent(model(both, "done"), [add])
    states = list(agent.stream(QUESTION))
    assert [texts(state)[1:] for state in states] == [
        [""],
        ["", "3"],
        ["", "3", "10"],
        ["", "3", "10", "done"],
    ]
    whole = create_agent(model(both, "done"), [add]).invoke(QUESTION)
    assert texts(whole) == texts(states[-1])
    follows = create_agent(model(both, "done"), [add]) | RunnableLambda(texts)
    assert list(follows.stream(QUESTION)) == [texts(whole)]


def test_a_state_belongs_to_who_was_given_it() -> None:
    """What a consumer does with a state changes nothing of what the model is asked next."""
    scripted = model(calls(ADD), "3")
    for state in create_agent(scripted, [add]).stream(QUESTION):
        state["messages"].clear()
    assert [len(asked) for asked in scripted.asked] == [1, 3]


def test_what_an_agent_is_given_stays_as_it_was() -> None:
    """A conversation goes on by giving the state back with one more message."""
    agent = create_agent(model(calls(ADD), "3", "4"), [add])
    question = HumanMessage("1 + 2?")
    given: Any = {"messages": [question]}
    first = agent.invoke(given)
    assert given == {"messages": [HumanMessage("1 + 2?")]}
    before = list(first["messages"])
    second = agent.invoke({"messages": [*first["messages"], "and 3 + 1?"]})
    assert first["messages"] == before == second["messages"][:4]
    assert texts(second) == ["1 + 2?", "", "3", "3", "and 3 + 1?", "4"]


async def test_calls_of_one_message_run_at_the_same_time() -> None:
    """Three slow tools take the time of one; their answers come in the order of the calls."""
    meeting = threading.Barrier(3, timeout=20)

    @tool
    def meet(n: int) -> int:
        """Wait for the others."""
        meeting.wait()
        return n

    three = calls(*(("meet", {"n": n}) for n in (3, 1, 2)))
    state = create_agent(model(three, "met"), [meet]).invoke(QUESTION)
    assert results(state) == [("3", "success"), ("1", "success"), ("2", "success")]
    arrived: list[int] = []
    everybody = asyncio.Event()

    @tool("meet")
    async def ameet(n: int) -> int:
        """Wait for the others."""
        arrived.append(n)
        if len(arrived) == 3:
            everybody.set()
        await everybody.wait()
        return n

    state = await create_agent(model(three, "met"), [ameet]).ainvoke(QUESTION)
    assert results(state) == [("3", "success"), ("1", "success"), ("2", "success")]


async def test_max_concurrency_limits_the_calls() -> None:
    """A tool in front of a service with a limit is not to be called more often at a time."""
    open_calls, most = 0, 0

    @tool
    async def count(n: int) -> int:
        """Count."""
        nonlocal open_calls, most
        open_calls += 1
        most = max(most, open_calls)
        await asyncio.sleep(0)
        open_calls -= 1
        return n

    many = calls(*(("count", {"n": n}) for n in range(6)))
    await create_agent(model(many, "ok"), [count]).ainvoke(QUESTION, {"max_concurrency": 2})
    assert most == 2


INVALID = AIMessage(
    "", invalid_tool_calls=[{"name": "add", "args": "{a", "id": "c1", "error": "no JSON"}]
)


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        (calls(("nothing", {})), "InputError: there is no tool 'nothing'; there are: add, fail"),
        (calls(("fail", {"text": "x"})), "KeyError: 'x'"),
        (calls(("add", {"a": "x"})), "ToolInputError: the tool add was called with wrong"),
        (INVALID, "InputError: the arguments are no JSON object. no JSON"),
        (AIMessage("", tool_calls=[{"name": "fail", "args": {"text": ""}, "id": None}]), "KeyErr"),
    ],
)
async def test_what_goes_wrong_is_told_to_the_model(wanted: AIMessage, told: str) -> None:
    """A model mends its call, if it learns what was wrong with it."""
    for agent in (create_agent(model(wanted, "sorry"), [add, fail]) for _ in range(2)):
        state = agent.invoke(QUESTION) if wanted is INVALID else await agent.ainvoke(QUESTION)
        (result,) = [one for one in state["messages"] if isinstance(one, ToolMessage)]
        assert result.text.startswith(told)
        assert result.status == "error"
        assert result.name == (wanted.tool_calls or wanted.invalid_tool_calls)[0]["name"]
        assert texts(state)[-1] == "sorry"


def test_one_wrong_call_does_not_keep_the_others(spans: SpanLog, handler: Any) -> None:
    """Every call has its answer, in its place: models refuse a conversation that lacks one."""
    mixed = calls(("nothing", {}), ADD, ("fail", {"text": "x"}))
    state = create_agent(model(mixed, "ok"), [add, fail]).invoke(QUESTION, {"callbacks": [handler]})
    answers = [one for one in state["messages"] if isinstance(one, ToolMessage)]
    assert [one.tool_call_id for one in answers] == ["c1", "c2", "c3"]
    assert [one.status for one in answers] == ["error", "success", "error"]
    actions = [args[0].tool for method, args, _ in handler.events if method == "on_agent_action"]
    assert actions == ["nothing", "add", "fail"]
    assert spans.outcomes() == {
        "ScriptedModel": "ok",
        "add": "ok",
        "fail": "error",
        "agent": "ok",
    }


@pytest.mark.parametrize("way", ["invoke", "astream"])
async def test_a_model_that_never_answers_is_stopped(way: str, spans: SpanLog) -> None:
    """A loop that goes on costs money; what it did so far is not lost."""
    agent = create_agent(endless(lambda: calls(ADD)), [add], max_steps=3, name="loop")
    with pytest.raises(AgentStepsError, match="loop has no answer after 3 steps") as raised:
        await ways(agent, QUESTION) if way == "astream" else agent.invoke(QUESTION)
    assert isinstance(raised.value, CallspanError)
    assert len(raised.value.messages) == 7
    assert results({"messages": raised.value.messages}) == [("3", "success")] * 3
    assert spans.outcomes()["loop"] == "error"
    assert spans.open == []


def test_tools_that_return_directly_end_the_loop(handler: Any) -> None:
    """Their answer is for the user, and no model is to put it into words."""

    @tool(return_direct=True)
    def show(text: str) -> str:
        """Show."""
        if text == "no":
            raise ToolException("cannot")
        return text.upper()

    direct = calls(("show", {"text": "a"}))
    state = create_agent(model(direct), [show, add]).invoke(QUESTION, {"callbacks": [handler]})
    assert texts(state)[1:] == ["", "A"]
    (finish,) = [args[0] for method, args, _ in handler.events if method == "on_agent_finish"]
    assert finish.return_values == {"output": "A"}
    beside = calls(("show", {"text": "a"}), ADD)
    assert texts(create_agent(model(beside, "so"), [show, add]).invoke(QUESTION))[-1] == "so"
    failed = calls(("show", {"text": "no"}))
    assert texts(create_agent(model(failed, "so"), [show, add]).invoke(QUESTION))[-1] == "so"


async def test_whose_handlers_hear_what() -> None:
    """Handlers of a call reach every part; the agent's own hear its own run alone."""
    own, passed = recording(), recording()
    agent = create_agent(model(calls(ADD), "3"), [add], callbacks=[own], name="sum")
    await agent.ainvoke(QUESTION, {"callbacks": [passed], "tags": ["t"], "metadata": {"k": 1}})
    assert own.events.methods == [
        "on_chain_start",
        "on_agent_action",
        "on_agent_finish",
        "on_chain_end",
    ]
    assert own.events.of("on_chain_start")[0]["name"] == "sum"
    starts = [kwargs for method, _, kwargs in passed.events if method.endswith("_start")]
    assert len(starts) == 4
    assert all(one["tags"] == ["t"] and one["metadata"]["k"] == 1 for one in starts)


def test_the_agents_span(spans: SpanLog) -> None:
    """One trace shows what an agent did, and what all of it cost."""
    content = OTelCallbackHandler(capture_content=True)
    agent = create_agent(model(calls(ADD, ADD), "3"), [add], name="sum")
    list(agent.stream(QUESTION, {"callbacks": [content]}))
    assert spans.tree()[0] == "sum"
    assert sorted(spans.tree()[1:]) == ["  ScriptedModel"] * 2 + ["  add"] * 2
    span = spans.named("sum")
    attributes: Any = span.attributes
    assert span.name == "invoke_agent sum"
    assert attributes["gen_ai.operation.name"] == "invoke_agent"
    assert attributes["gen_ai.agent.name"] == "sum"
    assert attributes["gen_ai.usage.input_tokens"] == 20
    assert attributes["gen_ai.usage.output_tokens"] == 4
    assert [event.name for event in span.events] == ["agent_action"] * 2 + ["agent_finish"]


async def test_nothing_is_counted_twice(spans: SpanLog) -> None:
    """The agents of a trace add up to its models: not the history, not what an inner one used."""
    inner = create_agent(model("inner"), [], name="inner")

    @tool
    async def ask(text: str) -> str:
        """Ask another agent."""
        state = await inner.ainvoke({"messages": [text]})
        return str(state["messages"][-1].text)

    outer = create_agent(
        model(calls(("ask", {"text": "a"}), said="x"), "outer", "again"), [ask], name="outer"
    )
    state = await outer.ainvoke(QUESTION)
    await outer.ainvoke({"messages": state["messages"]}, {"run_name": "second"})

    @traced(kind="agent")
    def by_hand() -> None:
        RunnableLambda(lambda _: model("a").invoke("b")).invoke(None)
        with pytest.raises(KeyError):
            model(KeyError("k")).invoke("b")

    by_hand()
    used = {
        label: (spans.named(label).attributes or {})["gen_ai.usage.input_tokens"]
        for label in ("outer", "inner", "second", "by_hand")
    }
    assert used == {"outer": 20, "inner": 10, "second": 10, "by_hand": 10}


class Interrupted(BaseException):
    """What no `except Exception` catches."""


@pytest.mark.parametrize("error", [Interrupted("now"), KeyboardInterrupt()])
def test_an_interruption_is_no_answer(error: BaseException, spans: SpanLog) -> None:
    """Ctrl-C in a tool stops the program; the model is not asked to mend it."""

    @tool
    def stop(n: int) -> int:
        """Stop."""
        raise error

    scripted = model(calls(("stop", {"n": 1}), ADD), "never")
    with pytest.raises(type(error)) as raised:
        create_agent(scripted, [stop, add]).invoke(QUESTION)
    assert raised.value is error
    assert len(scripted.asked) == 1
    assert spans.open == []


async def test_cancellation_ends_all_runs(spans: SpanLog) -> None:
    """A request that is given up leaves nothing open, however deep the agent is."""
    running = asyncio.Event()

    @tool
    async def hang(n: int) -> int:
        """Hang."""
        if n:
            running.set()
        await asyncio.Event().wait()
        return n

    agent = create_agent(model(calls(("hang", {"n": 0}), ("hang", {"n": 1})), "never"), [hang])
    task = asyncio.ensure_future(agent.ainvoke(QUESTION))
    await running.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert spans.open == []
    assert spans.outcomes() == {"ScriptedModel": "ok", "hang": "cancelled", "agent": "cancelled"}


@pytest.mark.parametrize("taken", [1, 2])
async def test_an_abandoned_stream_ends_all_runs(taken: int, spans: SpanLog) -> None:
    """Who stops listening does not leave an agent behind."""
    agent = create_agent(model(calls(ADD), "3"), [add])
    stream = agent.stream(QUESTION)
    for _ in range(taken):
        next(stream)
    stream.close()
    astream = create_agent(model(calls(ADD), "3"), [add]).astream(QUESTION)
    for _ in range(taken):
        await anext(astream)
    await astream.aclose()
    assert spans.open == []
    assert spans.outcomes()["agent"] == "abandoned"


def test_errors_of_the_model_are_the_agents(spans: SpanLog) -> None:
    """A vendor's error is not hidden in a conversation."""
    error = RuntimeError("overloaded")
    with pytest.raises(RuntimeError) as raised:
        create_agent(model(calls(ADD), error), [add]).invoke(QUESTION)
    assert raised.value is error
    assert spans.outcomes() == {"ScriptedModel": "error", "add": "ok", "agent": "error"}


def test_an_agent_without_tools_answers() -> None:
    """It needs no model that knows tools, and an unknown tool is no reason to fail."""
    plain = GenericFakeChatModel(messages=iter([calls(ADD), "hello"]))
    state = create_agent(plain, []).invoke({"messages": "hi"})
    assert results(state) == [("InputError: there is no tool 'add'; there are: none", "error")]
    assert texts(state)[-1] == "hello"


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_further_arguments_go_to_the_model(way: str, handler: Any) -> None:
    """An argument that nobody takes would be left out in silence."""
    agent = create_agent(model(calls(ADD), "3"), [add])
    list(getattr(agent, way)(QUESTION, {"callbacks": [handler]}, stop=["."]))
    told = [one["invocation_params"] for one in handler.events.of("on_chat_model_start")]
    assert [(one["stop"], one["told"]) for one in told] == [(["."], 1)] * 2


def test_functions_are_made_tools() -> None:
    """The smallest agent is a model and a function."""

    def double(n: int) -> int:
        """Double a number."""
        return 2 * n

    scripted = model(calls(("double", {"n": 2})), "4")
    assert results(create_agent(scripted, [double]).invoke(QUESTION)) == [("4", "success")]


@pytest.mark.parametrize(
    ("tools", "settings", "wrong"),
    [
        ([add, add], {}, "two tools are called add: give one"),
        ([3], {}, "a tool is made of a function, not int"),
        (add, {}, "an agent takes a list of tools, not StructuredTool"),
        ("add", {}, "an agent takes a list of tools, not 'add'"),
        ([], {"model": "gpt"}, "an agent's model is an object such as ChatOpenAI"),
        ([], {"model": ScriptedModel}, "an agent's model is an object such as ChatOpenAI"),
        (["add"], {}, "a tool is made of a function, not str"),
        ([add], {"max_steps": 0}, "max_steps takes a positive whole number, not 0"),
        ([add], {"max_steps": "3"}, "max_steps takes a positive whole number, not '3'"),
        ([add], {"model": RunnableLambda(str)}, "needs bind_tools, which RunnableLambda has not"),
        ([add], {"callbacks": [3]}, "int is no callback handler"),
        ([add], {"system_prompt": 3}, "cannot make a message of a int"),
    ],
)
def test_mistakes_are_named_where_they_are_made(tools: Any, settings: Any, wrong: str) -> None:
    """An agent that is put together wrongly says so before it costs anything."""
    settings = {"model": ScriptedModel(script=[]), **settings}
    with pytest.raises(CallspanError, match=wrong):
        create_agent(tools=tools, **settings)


@pytest.mark.parametrize("given", ["text", {}, {"message": []}, None, [HumanMessage("a")]])
def test_wrong_input_is_named(given: Any) -> None:
    """People give the messages alone."""
    with pytest.raises(InputError, match=r"an agent takes \{'messages': \[...\]\}"):
        create_agent(model("a"), []).invoke(given)


def test_a_model_that_answers_no_message_is_named() -> None:
    """A text model cannot lead a conversation."""
    with pytest.raises(ConfigurationError, match="answers with an AIMessage, not str"):
        create_agent(RunnableLambda(lambda _: "text"), []).invoke(QUESTION)


@pytest.mark.parametrize("way", ["stream", "astream"])
async def test_half_an_argument_is_not_acted_upon(way: str) -> None:
    """A stream ends in the middle of a call at max_tokens: of a path only a part above is left."""

    class Cut(ScriptedModel):
        def _stream(self, *args: Any, **kwargs: Any) -> Any:
            if self.asked:
                yield from super()._stream(*args, **kwargs)
                return
            self.asked.append([])
            for name, text in (("delete", '{"path": "/home'), (None, "/ada")):
                part = {"name": name, "args": text, "id": name and "c1", "index": 0}
                message = AIMessageChunk(content="", tool_call_chunks=[part])
                yield ChatGenerationChunk(message=message)

    deleted: list[str] = []

    @tool
    def delete(path: str) -> None:
        """Delete."""
        deleted.append(path)

    agent = create_agent(Cut(script=[None, "sorry"]), [delete])
    if way == "stream":
        state = list(agent.stream(QUESTION))[-1]
    else:
        state = [one async for one in agent.astream(QUESTION)][-1]
    assert not deleted
    ((told, status),) = results(state)
    assert status == "error"
    assert "the arguments are no JSON" in told
    assert texts(state)[-1] == "sorry"


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_a_tool_that_only_async_callers_can_use_ends_a_sync_agent(way: str) -> None:
    """The model would ask for it until its steps are used up, at the user's cost."""

    @tool
    async def later(a: int) -> int:
        """Add later."""
        return a

    agent = create_agent(endless(lambda: calls(("later", {"a": 1}))), [later])
    with pytest.raises(AsyncOnlyError, match="the tool later is async"):
        agent.invoke(QUESTION) if way == "invoke" else list(agent.stream(QUESTION))
