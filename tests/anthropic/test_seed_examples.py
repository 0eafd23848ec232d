"""The examples that callspan began with: a logging handler, a prompt and Anthropic's model."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from messages_api import KEY, MessagesAPI

from callspan.anthropic import ChatAnthropic
from callspan.callbacks import BaseCallbackHandler, ConsoleCallbackHandler
from callspan.messages import BaseMessage
from callspan.outputs import LLMResult
from callspan.prompts import ChatPromptTemplate

README = Path(__file__).parents[2] / "README.md"


class LoggingHandler(BaseCallbackHandler):
    def __init__(self, prefix: str = "") -> None:
        self.prefix = prefix

    def on_chat_model_start(
        self, serialized: dict[str, Any], messages: list[list[BaseMessage]], **kwargs: Any
    ) -> None:
        self._say("Chat model started")

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:
        self._say(f"Chat model ended, response: {response}")

    def on_chain_start(
        self, serialized: dict[str, Any], inputs: dict[str, Any], **kwargs: Any
    ) -> None:
        self._say(f"Chain {serialized.get('name')} started")

    def on_chain_end(self, outputs: dict[str, Any], **kwargs: Any) -> None:
        self._say(f"Chain ended, outputs: {outputs}")

    def _say(self, line: str) -> None:
        print(f"{self.prefix}{line}")  # noqa: T201


ENDED = (
    "Chat model ended, response: generations=[[ChatGeneration(text='1 + 2 = 3', "
    "message=AIMessage(content='1 + 2 = 3'...)]]... "
    "llm_output={...'usage': {'input_tokens': 16, 'output_tokens': 13...}...}..."
)
MODEL_LINES = ["Chat model started", ENDED]
CHAIN_LINES = [
    "Chain RunnableSequence started",
    "Chain ChatPromptTemplate started",
    "Chain ended, outputs: messages=[HumanMessage(content='What is 1 + 2?'...)]",
    *MODEL_LINES,
    "Chain ended, outputs: content='1 + 2 = 3' ...",
]


def fits(printed: str, wanted: list[str]) -> bool:
    """Whether the lines printed are the wanted ones, where `...` stands for anything."""
    lines = printed.splitlines()
    patterns = [re.escape(line).replace(r"\.\.\.", ".*") for line in wanted]
    return len(lines) == len(patterns) and all(map(re.fullmatch, patterns, lines))


def chain(model: ChatAnthropic) -> Any:
    return ChatPromptTemplate.from_template("What is 1 + {number}?") | model


def test_handlers_passed_at_run_time(
    model: ChatAnthropic, capsys: pytest.CaptureFixture[str]
) -> None:
    """A request-time handler hears the run and everything nested in it, in order."""
    chain(model).invoke({"number": "2"}, config={"callbacks": [LoggingHandler()]})
    out = capsys.readouterr().out
    assert fits(out, CHAIN_LINES), out


def test_handlers_passed_to_the_constructor(
    api: MessagesAPI, capsys: pytest.CaptureFixture[str]
) -> None:
    """A constructor's handler hears the runs of that object alone."""
    model = ChatAnthropic(model="claude-haiku-4-5", callbacks=[LoggingHandler()])
    chain(model).invoke({"number": "2"})
    out = capsys.readouterr().out
    assert fits(out, MODEL_LINES), out


def test_both_at_once(api: MessagesAPI, capsys: pytest.CaptureFixture[str]) -> None:
    """Neither takes the other's place: both hear the model."""
    model = ChatAnthropic(model="claude-haiku-4-5", callbacks=[LoggingHandler("own: ")])
    chain(model).invoke({"number": "2"}, config={"callbacks": [LoggingHandler("all: ")]})
    lines = capsys.readouterr().out.splitlines()
    own = [line.removeprefix("own: ") for line in lines if line.startswith("own: ")]
    all_ = [line.removeprefix("all: ") for line in lines if line.startswith("all: ")]
    assert fits("\n".join(own), MODEL_LINES), own
    assert fits("\n".join(all_), CHAIN_LINES), all_
    assert len(lines) == len(own) + len(all_)


def test_the_console_handler(model: ChatAnthropic, capsys: pytest.CaptureFixture[str]) -> None:
    """The quickest look at a chain: every run as it starts and ends, with its place in the tree."""
    chain(model).invoke({"number": "2"}, config={"callbacks": [ConsoleCallbackHandler()]})
    out = capsys.readouterr().out
    heads = re.sub(r"\[\d+ms\]|\[\d+\.\d\ds\]", "[1ms]", out)
    sequence, prompt = "1:chain:RunnableSequence", "2:prompt:ChatPromptTemplate"
    asked = f"{sequence} > 3:llm:ChatAnthropic"
    assert [line for line in heads.splitlines() if line.startswith("[")] == [
        f"[chain/start] [{sequence}] Entering Chain run with input: {{",
        f"[chain/start] [{sequence} > {prompt}] Entering Prompt run with input: {{",
        f"[chain/end] [{sequence} > {prompt}] [1ms] Exiting Prompt run with output: {{",
        f"[llm/start] [{asked}] Entering LLM run with input: {{",
        f"[llm/end] [{asked}] [1ms] Exiting LLM run with output: {{",
        f"[chain/end] [{sequence}] [1ms] Exiting Chain run with output: {{",
    ]
    assert "Human: What is 1 + 2?" in out
    assert '"text": "1 + 2 = 3"' in out


def test_the_readme(api: MessagesAPI) -> None:
    """The first thing that anybody tries has to do what the page says."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    at = next(place for place, (language, _) in enumerate(blocks) if language == "python")
    (_, program), (_, printed) = blocks[at : at + 2]
    environment = {**os.environ, "ANTHROPIC_BASE_URL": api.url, "ANTHROPIC_API_KEY": KEY}
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, env=environment
    )
    assert run.returncode == 0, run.stderr
    assert fits(run.stdout, printed.splitlines()), run.stdout
