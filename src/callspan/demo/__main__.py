"""Ask the standard library's documentation, and look at the trace."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import callspan
from callspan.callbacks import BaseCallbackHandler, StreamingStdOutCallbackHandler
from callspan.demo.corpus import standard_library
from callspan.demo.extractive import ExtractiveChatModel
from callspan.language_models import BaseChatModel
from callspan.output_parsers import StrOutputParser
from callspan.outputs import LLMResult
from callspan.prompts import ChatPromptTemplate
from callspan.runnables import Runnable, RunnableParallel, RunnablePassthrough
from callspan.tools import tool

QUESTIONS = (
    "How do I find the n largest elements of a dataset?",
    "How do I find the median of some data?",
    "How can I match filenames against a shell pattern?",
)
JAEGER_UI = "http://localhost:16686"


@tool
def search_docs(query: str, limit: int = 4) -> str:
    """Search the documentation of the standard library for passages that fit a query."""
    passages = standard_library().search(query, limit)
    return "\n".join(f"[{passage.name}] {passage.text[:600]}" for passage in passages)


def documentation_chain(model: BaseChatModel) -> Runnable[str, str]:
    """Return the chain that answers a question from the passages that the search finds."""
    prompt = ChatPromptTemplate.from_messages(
        [
            ("system", "Answer in one sentence, from the passages alone. Name the function."),
            ("human", "{passages}\n\nQuestion: {question}"),
        ]
    )
    gather = RunnableParallel(question=RunnablePassthrough(), passages=_find_passages)
    return gather | prompt | model | StrOutputParser()


def _find_passages(question: str) -> str:
    found: str = search_docs.invoke({"query": question})
    return found


class Typewriter(StreamingStdOutCallbackHandler):
    """Prints the answer as it comes, and ends the line with it."""

    def on_llm_end(self, response: LLMResult, **kwargs: Any) -> None:  # noqa: D102
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


def main() -> None:
    """Answer the questions, run the first example, and say where the trace is."""
    endpoint = os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT") or "http://localhost:4318"
    delivers = _listens(endpoint)
    if not delivers:
        os.environ["OTEL_TRACES_EXPORTER"] = "none"
    tracing = callspan.configure("callspan-demo", console=True, capture_content=True)
    roots = _Roots()
    with (
        tracing,
        _model() as model,
        callspan.use_config(callbacks=[roots], session_id="demo", tags=["demo"]),
    ):
        chain = documentation_chain(model)
        print(f"{len(standard_library())} passages of the standard library's documentation")
        for question in QUESTIONS:
            print(f"\nQ: {question}\nA: ", end="")
            for _ in chain.stream(question, {"callbacks": [Typewriter()]}):
                pass  # the handler prints each token as it comes
        print("\nA handler that is passed at run time hears every run of the chain:")
        sum_up = ChatPromptTemplate.from_template("What is 1 + {number}?") | model
        sum_up.invoke({"number": "2"}, config={"callbacks": [LoggingHandler()]})
        trace_ids = list(_trace_ids(tracing.handler, roots.run_ids))
        delivered = tracing.force_flush()
    if delivers:
        _say_where(endpoint, trace_ids, delivered)
    else:
        _say_how(endpoint)


class _Roots(BaseCallbackHandler):
    """Remembers the runs that have no parent."""

    def __init__(self) -> None:
        self.run_ids: list[UUID] = []

    def on_chain_start(self, serialized, inputs, *, run_id, parent_run_id=None, **kwargs):  # type: ignore[no-untyped-def]
        if parent_run_id is None:
            self.run_ids.append(run_id)


def _trace_ids(handler: callspan.OTelCallbackHandler, run_ids: list[UUID]) -> Iterator[str]:
    for run_id in run_ids:
        context = handler.get_span_context(run_id)
        if context is not None:
            yield f"{context.trace_id:032x}"


@contextmanager
def _model() -> Iterator[BaseChatModel]:
    if os.environ.get("MODEL") != "local":
        yield _model_of_the_environment()
        return
    from callspan.demo.local import serving
    from callspan.openai import ChatOpenAI

    with serving() as server:
        print(f"Answers come from {server.name}, on this machine. It is small, and often wrong.\n")
        yield ChatOpenAI(
            model=server.name, base_url=server.url, api_key="none", temperature=0, max_tokens=128
        )


def _model_of_the_environment() -> BaseChatModel:
    if os.environ.get("ANTHROPIC_API_KEY"):
        from callspan.anthropic import ChatAnthropic

        model = ChatAnthropic(model=os.environ.get("ANTHROPIC_MODEL", "claude-haiku-4-5"))
        print(f"Answers come from {model.model}.\n")
        return model
    print(
        "No ANTHROPIC_API_KEY is set: answers come from a small extractive model, which copies\n"
        "the sentence of the documentation that fits best. It is no language model.\n"
    )
    return ExtractiveChatModel()


def _listens(url: str) -> bool:
    parts = urlsplit(url)
    address = (
        parts.hostname or "localhost",
        parts.port or (443 if parts.scheme == "https" else 80),
    )
    try:
        with socket.create_connection(address, timeout=1):
            return True
    except OSError:
        return False


def _say_where(endpoint: str, trace_ids: list[str], delivered: bool) -> None:
    if not delivered:
        print(f"\nThe traces could not be delivered to {endpoint}.", file=sys.stderr)
        return
    print(f"\n{len(trace_ids)} traces were sent to {endpoint}.")
    if _listens(JAEGER_UI):
        for trace_id in trace_ids:
            print(f"  {JAEGER_UI}/trace/{trace_id}")


def _say_how(endpoint: str) -> None:
    print(
        f"\nNothing listens on OTLP at {endpoint}, so the traces stay here.\n"
        "To look at them in Jaeger: docker compose up -d && make demo"
    )


if __name__ == "__main__":
    try:
        main()
        print(end="", flush=True)
    except callspan.ConfigurationError as error:
        sys.exit(f"{error}")
    except BrokenPipeError:  # who reads has seen enough, as `head` has
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
