"""A stand-in for a language model: it copies the sentence that fits best, and says so."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, Final

from callspan.demo.corpus import words
from callspan.language_models import BaseChatModel
from callspan.messages import AIMessage, AIMessageChunk, BaseMessage, UsageMetadata
from callspan.outputs import ChatGeneration, ChatGenerationChunk, ChatResult

_SUM: Final = re.compile(r"What is (\d+) \+ (\d+)\?")
_SENTENCE_END: Final = re.compile(r"(?<=[.!?])\s+(?=[A-Z\"'`(])|\n\s*\n")
_NO_ANSWER: Final = "The documentation at hand does not say."


class ExtractiveChatModel(BaseChatModel):
    """Answers a question with a sentence of the passages in the prompt; it can also add.

    It is deterministic, needs no network and is no language model. Tokens are counted as words.
    The prompt is expected to hold passages that begin with `[name]`, and then `Question: ...`.
    """

    model_name: str = "extractive-demo"

    @property
    def _llm_type(self) -> str:
        return "extractive-demo"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {"model_name": self.model_name}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> ChatResult:
        answer = _answer(messages[-1].text)
        message = AIMessage(
            content=answer,
            usage_metadata=_usage(messages, answer),
            response_metadata={"model_name": self.model_name},
        )
        return ChatResult(generations=[ChatGeneration(message=message)])

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: Any = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        answer = _answer(messages[-1].text)
        for word in re.findall(r"\S+\s*", answer):
            yield ChatGenerationChunk(message=AIMessageChunk(content=word))
        yield ChatGenerationChunk(
            message=AIMessageChunk(
                content="",
                usage_metadata=_usage(messages, answer),
                response_metadata={"model_name": self.model_name},
            )
        )


def _answer(prompt: str) -> str:
    addition = _SUM.search(prompt)
    if addition:
        one, other = map(int, addition.groups())
        return f"{one} + {other} = {one + other}"
    text, _, question = prompt.rpartition("Question:")
    passages = [passage.strip() for passage in re.split(r"\n(?=\[)", text)]
    in_passages = Counter(word for passage in passages for word in set(words(passage)))
    wanted = set(words(question))
    best, best_score = _NO_ANSWER, 0.0
    for place, passage in enumerate(passages):
        name, _, body = passage.lstrip("[").partition("]")
        for sentence in _SENTENCE_END.split(body.strip()):
            # A word that few of the passages have says more. Of equals, the passage that the
            # search ranks higher, and then the shorter sentence.
            shared = wanted & set(words(f"{name} {sentence}"))
            score = sum(1 / in_passages[word] for word in shared)
            score -= 0.01 * place + 0.0001 * len(sentence)
            if len(sentence) > 20 and score > best_score:
                best, best_score = f"{name}: {' '.join(sentence.split())}", score
    return best


def _usage(messages: Sequence[BaseMessage], answer: str) -> UsageMetadata:
    asked = sum(len(message.text.split()) for message in messages)
    answered = len(answer.split())
    return UsageMetadata(input_tokens=asked, output_tokens=answered, total_tokens=asked + answered)
