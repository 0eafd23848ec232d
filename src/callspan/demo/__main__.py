"""Ask the standard library's documentation, and look at the trace."""

from __future__ import annotations

import argparse
import os
import sys
from typing import Any
from uuid import UUID

import callspan
from callspan.callbacks import BaseCallbackHandler, StreamingStdOutCallbackHandler
from callspan.demo.librarian import librarian
from callspan.demo.models import chosen
from callspan.demo.where import Destination
from callspan.errors import MissingDependencyError
from callspan.language_models import BaseChatModel
from callspan.outputs import LLMResult
from callspan.prompts import ChatPromptTemplate

QUESTIONS = (
    "How do I find the n largest elements of a dataset?",
    "Which list-like sequence is optimized for accesses near its endpoints?",
)


class Typewriter(StreamingStdOutCallbackHandler):
    """Prints the answer as it comes, and ends the line with it."""

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:  # noqa: D102
        if response.generations[0][0].text:
            print()


class LoggingHandler(BaseCallbackHandler):
    """The handler of the README's first example."""

    def on_chat_model_start(self, serialized, messages, **kwargs):  # type: ignore[no-untyped-def]  # noqa: D102
        print("  Chat model started")

    def on_llm_end(self, response, **kwargs):  # type: ignore[no-untyped-def]  # noqa: D102
        print(f"  Chat model ended, response: {response}")

    def on_chain_start(self, serialized, inputs, **kwargs):  # type: ignore[no-untyped-def]  # noqa: D102
        print(f"  Chain {serialized.get('name')} started")

    def on_chain_end(self, outputs, **kwargs):  # type: ignore[no-untyped-def]  # noqa: D102
        print(f"  Chain ended, outputs: {outputs}")


class _Roots(BaseCallbackHandler):
    """Remembers the runs that have no parent."""

    def __init__(self) -> None:
        self.run_ids: list[UUID] = []

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):  # type: ignore[no-untyped-def]
        if parent_run_id is None:
            self.run_ids.append(run_id)


def main() -> None:
    """Answer the questions, run the first example, and say where the trace is."""
    argparse.ArgumentParser(
        prog="python -m callspan.demo",
        description=f"{__doc__} MODEL=local, anthropic, openai or own says which model answers.",
    ).parse_args()
    destination, roots = Destination(), _Roots()
    destination.keep_quiet()
    with (
        callspan.configure("callspan-demo", console=True, capture_content=True) as tracing,
        chosen() as (model, about, calls_tools),
        callspan.use_config(callbacks=[roots], session_id="demo", tags=["demo"]),
    ):
        print(about)
        if calls_tools:
            ask_librarian(model)
        print("\nA handler that is passed at run time hears every run of the chain:")
        add(model)
        contexts = map(tracing.handler.get_span_context, roots.run_ids)
        trace_ids = [f"{context.trace_id:032x}" for context in contexts if context is not None]
        delivered = tracing.force_flush()
    destination.say(trace_ids, delivered)


def ask_librarian(model: BaseChatModel) -> None:
    """Have the agent answer the questions, token by token."""
    agent = librarian(model)
    for question in QUESTIONS:
        print(f"\nQ: {question}\nA: ", end="", flush=True)
        for _ in agent.stream({"messages": [question]}, {"callbacks": [Typewriter()]}):
            pass  # the handler prints each token as it comes


def add(model: BaseChatModel) -> None:
    """Run the README's first example, below a run whose tree is printed when it is over."""
    chain = ChatPromptTemplate.from_template("What is 1 + {number}?") | model

    @callspan.traced(name="add")
    def called() -> None:
        chain.invoke({"number": "2"}, config={"callbacks": [LoggingHandler()]})

    called()


if __name__ == "__main__":
    try:
        main()
        print(end="", flush=True)
    except (callspan.ConfigurationError, MissingDependencyError) as error:
        sys.exit(f"{error}")
    except BrokenPipeError:  # who reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
