"""ConsoleCallbackHandler: what it says of runs, in which order, and what it survives."""

from __future__ import annotations

import asyncio
import contextlib
import io
import re
import sys
import threading
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callspan.callbacks import (
    AsyncCallbackManager,
    BaseCallbackHandler,
    CallbackManager,
    ConsoleCallbackHandler,
)
from callspan.messages import AIMessage, HumanMessage
from callspan.outputs import ChatGeneration, LLMResult

Captured = pytest.CaptureFixture[str]


class Unprintable:
    """A value whose repr fails."""

    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class Terminal(io.StringIO):
    """A standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


class UnprintableError(Unprintable, Exception):
    """An error whose text fails."""

    __str__ = Unprintable.__repr__


@pytest.fixture
def manager() -> CallbackManager:
    """A manager with a console handler."""
    return CallbackManager.configure([ConsoleCallbackHandler()])


def raised(error: Exception) -> Exception:
    """`error`, with a traceback."""
    try:
        raise error
    except type(error) as caught:
        return caught


def untimed(out: str) -> str:
    """`out` with all durations the same."""
    return re.sub(r"\[\d+ms\]|\[\d+\.\d\ds\]", "[1ms]", out)


def test_a_chain(manager: Any, capsys: Captured) -> None:
    """The lines that users of langchain look for: place in the tree, input, output."""
    chain = manager.on_chain_start({"name": "RunnableSequence"}, {"number": "2"})
    child = chain.get_child()
    prompt = child.on_chain_start(
        {"name": "ChatPromptTemplate"}, {"number": "2"}, run_type="prompt"
    )
    prompt.on_chain_end("What is 1 + 2?")
    (model,) = child.on_chat_model_start(
        {"name": "ChatAnthropic"}, [[HumanMessage("What is 1 + 2? ")]]
    )
    model.on_llm_end(LLMResult(generations=[[ChatGeneration(message=AIMessage("3"))]]))
    chain.on_chain_end({"answer": "3", "é": None})
    out = untimed(capsys.readouterr().out)
    assert '"content": "3"' in out
    out = re.sub(r'(?s)\{\n  "generations".*?\n\}', "{...}", out)
    assert out == (
        "[chain/start] [1:chain:RunnableSequence] Entering Chain run with input: {\n"
        '  "number": "2"\n'
        "}\n"
        "[chain/start] [1:chain:RunnableSequence > 2:prompt:ChatPromptTemplate] "
        "Entering Prompt run with input: {\n"
        '  "number": "2"\n'
        "}\n"
        "[chain/end] [1:chain:RunnableSequence > 2:prompt:ChatPromptTemplate] [1ms] "
        "Exiting Prompt run with output: {\n"
        '  "output": "What is 1 + 2?"\n'
        "}\n"
        "[llm/start] [1:chain:RunnableSequence > 3:llm:ChatAnthropic] "
        "Entering LLM run with input: {\n"
        '  "prompts": [\n'
        '    "Human: What is 1 + 2?"\n'
        "  ]\n"
        "}\n"
        "[llm/end] [1:chain:RunnableSequence > 3:llm:ChatAnthropic] [1ms] "
        "Exiting LLM run with output: {...}\n"
        "[chain/end] [1:chain:RunnableSequence] [1ms] Exiting Chain run with output: {\n"
        '  "answer": "3",\n'
        '  "é": null\n'
        "}\n"
    )


def test_tools_and_retrievers(manager: Any, capsys: Captured) -> None:
    """An agent's run is mostly these; langchain's own handler leaves retrievers out."""
    manager.on_tool_start({"name": "add"}, " 1 + 2 ").on_tool_end(" 3\n")
    manager.on_retriever_start({"name": "docs"}, "sum").on_retriever_end([])
    assert untimed(capsys.readouterr().out) == (
        '[tool/start] [1:tool:add] Entering Tool run with input: "1 + 2"\n'
        '[tool/end] [1:tool:add] [1ms] Exiting Tool run with output: "3"\n'
        "[retriever/start] [1:retriever:docs] Entering Retriever run with input: {\n"
        '  "query": "sum"\n'
        "}\n"
        "[retriever/end] [1:retriever:docs] [1ms] Exiting Retriever run with output: {\n"
        '  "documents": []\n'
        "}\n"
    )


def test_errors_of_every_kind_of_run(manager: Any, capsys: Captured) -> None:
    """The line that says which step failed is what the handler is switched on for."""
    error = raised(ValueError("boom"))
    manager.on_chain_start({"name": "p"}, {}, run_type="prompt").on_chain_error(error)
    manager.on_llm_start({"name": "m"}, ["x"])[0].on_llm_error(error)
    manager.on_tool_start({"name": "t"}, "x").on_tool_error(error)
    manager.on_retriever_start({"name": "r"}, "x").on_retriever_error(error)
    out = untimed(capsys.readouterr().out)
    for event, path, label in [
        ("chain", "prompt:p", "Prompt"),
        ("llm", "llm:m", "LLM"),
        ("tool", "tool:t", "Tool"),
        ("retriever", "retriever:r", "Retriever"),
    ]:
        line = f"[{event}/error] [1:{path}] [1ms] {label} run errored with error: "
        assert line + "ValueError('boom')\nTraceback (most recent call last):\n" in out
    assert out.count("\nValueError: boom\n") == 4


def test_order_counts_all_runs_of_a_tree(manager: Any, capsys: Captured) -> None:
    """The number is how a reader tells the third call of a tool from the first."""
    root = manager.on_chain_start({"name": "root"}, {})
    inner = root.get_child().on_chain_start({"name": "inner"}, {})
    for _ in range(2):
        inner.get_child().on_tool_start({"name": "tool"}, "").on_tool_end("")
    inner.on_chain_end({})
    root.get_child().on_tool_start({"name": "last"}, "").on_tool_end("")
    manager.on_chain_start({"name": "other"}, {}).on_chain_end({})
    starts = re.findall(r"/start\] \[(.*?)\]", capsys.readouterr().out)
    assert starts == [
        "1:chain:root",
        "1:chain:root > 2:chain:inner",
        "1:chain:root > 2:chain:inner > 3:tool:tool",
        "1:chain:root > 2:chain:inner > 4:tool:tool",
        "1:chain:root > 5:tool:last",
        "1:chain:other",
    ]


@pytest.mark.parametrize(
    ("serialized", "keywords", "name"),
    [
        ({"name": "given"}, {"name": "run name"}, "run name"),
        ({"name": "given"}, {}, "given"),
        ({"id": ["package", "Chain"]}, {}, "Chain"),
        ({}, {}, "Unnamed"),
        (None, {}, "Unnamed"),
    ],
)
def test_names(
    serialized: Any,
    keywords: Any,
    name: str,
    manager: Any,
    capsys: Captured,
) -> None:
    """A framework may say a run's name in any of langchain's ways, or not at all."""
    manager.on_chain_start(serialized, {}, **keywords)
    assert f"[1:chain:{name}]" in capsys.readouterr().out


def test_keywords_of_a_framework_are_no_concern(manager: Any, capsys: Captured) -> None:
    """Frameworks pass keywords of their own with a start; a clash would lose the run."""
    manager.on_chain_start({"name": "c"}, {}, kind="x", shown="y", order=3, path="z")
    manager.on_tool_start({"name": "t"}, "", run_type="x", kind="y")
    assert capsys.readouterr().out.count("/start]") == 2


def test_a_terminal_gets_colours(manager: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a terminal the coloured event and bold header are what the eye follows."""
    out = Terminal()
    monkeypatch.setattr(sys, "stdout", out)
    manager.on_tool_start({"name": "add"}, "1").on_tool_error(KeyError("x"))
    assert out.getvalue().startswith(
        "\033[32;1m\033[1;3m[tool/start]\033[0m "
        '\033[1m[1:tool:add] Entering Tool run with input:\033[0m "1"\n'
        "\033[31;1m\033[1;3m[tool/error]\033[0m \033[1m[1:tool:add] ["
    )


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0ms"), (0.0014, "1ms"), (0.25, "250ms"), (1.0, "1.00s"), (83.456, "83.46s")],
)
def test_durations(
    seconds: float,
    shown: str,
    manager: Any,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Captured,
) -> None:
    """A prompt takes a millisecond and a model a minute: each in a unit that can be read."""
    times = iter([100.0, 100.0 + seconds])
    monkeypatch.setattr("callspan.callbacks.console.perf_counter", lambda: next(times))
    manager.on_tool_start({"name": "t"}, "").on_tool_end("")
    assert f"[1:tool:t] [{shown}] Exiting" in capsys.readouterr().out


@pytest.mark.parametrize("hole", ["inputs", "outputs", "dict", "nested", "key", "error"])
def test_a_value_that_cannot_be_shown(
    hole: str, caplog: pytest.LogCaptureFixture, capsys: Captured
) -> None:
    """A debugging aid that fails on odd values fails just when it is needed."""
    handler = ConsoleCallbackHandler()
    handler.raise_error = True
    manager = CallbackManager.configure([handler])
    circular: dict[Any, Any] = {"a": Unprintable()}
    circular["self"] = circular
    odd: dict[str, Any] = {
        "inputs": Unprintable(),
        "outputs": circular,
        "dict": {"a": Unprintable()},
        "nested": [AIMessage("x", additional_kwargs=circular)],
        "key": {(1, 2): Unprintable()},
        "error": "fine",
    }
    chain = manager.on_chain_start({"name": "chain"}, odd[hole])
    chain.get_child().on_tool_start({"name": "tool"}, odd[hole]).on_tool_end(odd[hole])
    if hole == "error":
        chain.on_chain_error(UnprintableError())
    else:
        chain.on_chain_end(odd[hole])
    events = re.findall(r"^\[(.*?)\]", capsys.readouterr().out, re.MULTILINE)
    assert events[:3] == ["chain/start", "tool/start", "tool/end"]
    assert events[3] == ("chain/error" if hole == "error" else "chain/end")
    assert not caplog.records


@given(
    value=st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers(), inner),
    )
)
def test_any_value(value: Any) -> None:
    """Inputs are whatever users pass, lone surrogates and NaN among them."""
    raw = io.BytesIO()
    handler = ConsoleCallbackHandler()
    handler.raise_error = True
    manager = CallbackManager.configure([handler])
    out = io.TextIOWrapper(raw, encoding="utf-8", newline="")
    with contextlib.redirect_stdout(out):
        manager.on_chain_start({"name": "chain"}, value).on_chain_end(value)
    assert raw.getvalue().startswith(b"[chain/start] [1:chain:chain] Entering Chain run")
    assert b"\n[chain/end] [1:chain:chain] [" in raw.getvalue()


def test_a_generator_is_not_used_up(manager: Any, capsys: Captured) -> None:
    """Streaming input is a generator: to print what is in it would take it from the chain."""
    generator = (number for number in range(3))
    manager.on_chain_start({"name": "c"}, {"stream": generator, "message": generator})
    manager.on_chain_start({"name": "c"}, generator)
    assert list(generator) == [0, 1, 2]
    assert "<generator object" in capsys.readouterr().out


def test_threads_neither_mix_lines_nor_numbers(
    manager: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools of one agent run in parallel threads; torn lines would be unreadable."""
    writes: list[str] = []
    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=writes.append, flush=lambda: None))
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        child = manager.on_chain_start({"name": "root"}, {}).get_child()

        def work() -> None:
            for _ in range(50):
                child.on_tool_start({"name": "tool"}, "x").on_tool_end("y")

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert len(writes) == 1 + 2 * 400
    assert all(line.startswith("[") and line.endswith("\n") for line in writes)
    starts = re.findall(r"tool/start\] \[1:chain:root > (\d+):", "".join(writes))
    assert sorted(map(int, starts)) == list(range(2, 402))


async def test_async_runs(capsys: Captured) -> None:
    """Async runs tell this handler in worker threads; the tree must come out the same."""
    manager = AsyncCallbackManager.configure([ConsoleCallbackHandler()])
    root = await manager.on_chain_start({"name": "root"}, {})

    async def tool() -> None:
        run = await root.get_child().on_tool_start({"name": "tool"}, "x")
        await run.on_tool_end("y")

    await asyncio.gather(tool(), tool())
    await root.on_chain_end({})
    paths = re.findall(r"^\[(\w+/\w+)\] \[(.*?)\]", capsys.readouterr().out, re.MULTILINE)
    assert sorted(paths) == [
        ("chain/end", "1:chain:root"),
        ("chain/start", "1:chain:root"),
        ("tool/end", "1:chain:root > 2:tool:tool"),
        ("tool/end", "1:chain:root > 3:tool:tool"),
        ("tool/start", "1:chain:root > 2:tool:tool"),
        ("tool/start", "1:chain:root > 3:tool:tool"),
    ]


def test_runs_that_never_end_are_forgotten(manager: Any, capsys: Captured) -> None:
    """A server whose streams are abandoned must not fill its memory with open runs."""
    first = manager.on_chain_start({"name": "first"}, {})
    second = manager.on_chain_start({"name": "second"}, {})
    for _ in range(9_999):
        manager.on_chain_start({"name": "leak"}, {})
    capsys.readouterr()
    first.on_chain_end({})
    assert capsys.readouterr().out == ""
    second.on_chain_end({})
    assert capsys.readouterr().out.startswith("[chain/end] [1:chain:second]")


def test_a_chain_of_background_tasks_keeps_no_history(manager: Any, capsys: Captured) -> None:
    """Each task starts the next and ends: the path, kept with the run, must not grow."""
    run = manager.on_chain_start({"name": "task"}, {})
    for _ in range(20):
        following = run.get_child().on_chain_start({"name": "task"}, {})
        run.on_chain_end({})
        run = following
    last = re.findall(r"chain/start\] \[(.*?)\]", capsys.readouterr().out)[-1]
    assert last.count(" > ") <= 2


def test_an_end_that_comes_alone_prints_nothing(capsys: Captured) -> None:
    """A handler that is added to a run half-way knows neither its name nor its start."""
    handler = ConsoleCallbackHandler()
    manager = CallbackManager.configure([BaseCallbackHandler()])
    run = manager.on_chain_start({"name": "c"}, {})
    handler.on_chain_end({}, run_id=run.run_id)
    handler.on_tool_error(ValueError(), run_id=run.run_id)
    assert capsys.readouterr().out == ""
