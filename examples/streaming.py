"""Streaming: chunks as they come, and a span of the program's own between two of them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from opentelemetry import trace

import callspan
from callspan.callbacks import AsyncCallbackHandler
from callspan.language_models import GenericFakeChatModel
from callspan.output_parsers import StrOutputParser
from callspan.prompts import ChatPromptTemplate

POEM = "Roses are red\nviolets are blue"


class Counter(AsyncCallbackHandler):
    """Passed at run time: hears every token of the model."""

    tokens = 0

    async def on_llm_new_token(self, token: Any, **kwargs: Any) -> None:
        self.tokens += bool(token)


@callspan.traced(kind="chain")
async def lines(words: AsyncIterator[str]) -> AsyncIterator[str]:
    """Put the words of a stream together to lines."""
    line = ""
    async for word in words:
        line += word
        if line.endswith("\n"):
            yield line.strip()
            line = ""
    yield line


async def main() -> None:
    tracer = trace.get_tracer("example")
    model = GenericFakeChatModel(messages=iter([POEM]))
    chain = ChatPromptTemplate.from_template("A poem on {subject}") | model | StrOutputParser()
    counter = Counter()
    with tracer.start_as_current_span("read a poem"), callspan.use_config(callbacks=[counter]):
        async for line in lines(chain.astream({"subject": "flowers"})):
            # Between two chunks the caller's context is current, not the stream's.
            with tracer.start_as_current_span("print the line"):
                print(line)
    print(f"{counter.tokens} tokens")


if __name__ == "__main__":
    with callspan.configure("example-streaming", console=True):
        asyncio.run(main())
