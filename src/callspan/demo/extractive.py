"""A stand-in for a language model: it copies the sentence that fits best, and says so."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from callspan.demo.corpus import words
from callspan.language_models import BaseChatModel
from callspan.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    ToolCall,
    ToolCallChunk,
    ToolMessage,
    UsageMetadata,
)
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from callspan.runnables import Runnable
from callspan.tools.schemas import tool_schema

_SUM: Final = re.compile(r"What is (\d+) \+ (\d+)\?")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'`(])|\n\s*\n")


class ExtractiveChatModel(BaseChatModel):
    """Answers a question with a sentence of the documentation; it can also add.

    It has `search_docs` and `signature` called, answers from what they say, and says where it
    found it. It is deterministic, needs no network and is no language model. Tokens are counted
    as words.
    """

    model_name: str = "extractive-demo"

    @property
    def _llm_type(self) -> str:
        return "extractive-demo"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def bind_tools(self, tools: Sequence[Any], **kwargs: Any) -> Runnable[Any, AIMessage]:
        """Return the model with tools that it may have called."""
        return self.bind(tools=[tool_schema(tool) for tool in tools], **kwargs)

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        message = _reply(messages)
        message.usage_metadata = _usage(messages, message)
        message.response_metadata = {"model_name": self.model_name}
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        message = _reply(messages)
        for word in re.findall(r"\S+\s*", message.text):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        calls = [
            ToolCallChunk(name=call["name"], args=json.dumps(call["args"]), id=call["id"], index=0)
            for call in message.tool_calls
        ]
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                tool_call_chunks=calls,
                usage_metadata=_usage(messages, message),
                response_metadata={"model_name": self.model_name},
            )
        )


def _reply(messages: list[BaseMessage]) -> AIMessage:
    """What comes next: a search, a look at the signature of what it found, or the answer."""
    question = next(one.text for one in reversed(messages) if isinstance(one, HumanMessage))
    addition = _SUM.search(question)
    if addition:
        one, other = map(int, addition.groups())
        return AIMessage(f"{one} + {other} = {one + other}")
    told = {one.name: one for one in messages if isinstance(one, ToolMessage)}
    if "search_docs" not in told:
        return _call("search_docs", {"query": question}, len(told))
    best = _best_sentence(told["search_docs"].text, question)
    if best is None:
        return AIMessage("The documentation at hand does not say.")
    name, sentence = best
    if "signature" not in told:
        return _call("signature", {"name": name}, len(told))
    shown = told["signature"]
    return AIMessage(f"{name if shown.status == 'error' else shown.text}: {sentence}")


def _call(name: str, arguments: dict[str, Any], number: int) -> AIMessage:
    return AIMessage("", tool_calls=[ToolCall(name=name, args=arguments, id=f"call-{number}")])


def _best_sentence(found: str, question: str) -> tuple[str, str] | None:
    """The name of a passage that was found, and the sentence of it that fits the question best."""
    passages = [passage.strip() for passage in re.split(r"\n(?=\[)", found)]
    in_passages = Counter(word for passage in passages for word in set(words(passage)))
    wanted = set(words(question))
    best, best_score = None, 0.0
    for place, passage in enumerate(passages):
        name, _, body = passage.lstrip("[").partition("]")
        for sentence in _SENTENCE_END.split(body.strip()):
            # A word that few of the passages have says more. Of equals, the passage that the
            # search ranks higher, and then the shorter sentence.
            shared = wanted & set(words(f"{name} {sentence}"))
            score = sum(1 / in_passages[word] for word in shared)
            score -= 0.01 * place + 0.0001 * len(sentence)
            if len(sentence) > 20 and score > best_score:
                best, best_score = (name, " ".join(sentence.split())), score
    return best


def _usage(messages: Sequence[BaseMessage], answer: AIMessage) -> UsageMetadata:
    asked = sum(len(message.text.split()) for message in messages)
    arguments = " ".join(str(call["args"]) for call in answer.tool_calls)
    answered = len(f"{answer.text} {arguments}".split())
    return UsageMetadata(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
