"""The base class of text models."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

from callspan.callbacks.run_managers import CallbackManagerForLLMRun
from callspan.errors import InputError
from callspan.language_models.base import BaseLanguageModel
from callspan.messages import ChatPromptValue, PromptValue, convert_to_messages
from callspan.outputs import Generation, LLMResult
from callspan.runnables.calls import Items
from callspan.runnables.io import ASYNC, IO, SYNC, finish


class BaseLLM(BaseLanguageModel[str]):
    """A text model: a text in, a text out. Its fields are pydantic's.

    A class of one's own has `_generate` and `_llm_type`, and if it streams `_stream`, which yields
    the chunks of the answer to one prompt. Without `_agenerate` and `_astream` async callers have
    these run in a thread. In a batch the model is asked once, with all prompts; with
    `max_concurrency` several times, each time with so many, and `return_exceptions` puts an
    exception in the place of each answer that was asked for with it.

    Attributes:
        cache: Where answers are kept; None: the cache of the process, if there is one; True: that
            one, which there has to be; False: no cache. Streams use none.
    """

    _start_method: ClassVar[str] = "on_llm_start"
    _model_type: ClassVar[str] = "llm"
    _takes_batches: ClassVar[bool] = True

    @abstractmethod
    def _generate(
        self,
        prompts: list[str],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> LLMResult:
        """Return the model's answers to each of several prompts.

        Args:
            prompts: The prompts.
            stop: Texts that end an answer where they occur.
            run_manager: The handle on the first prompt's run.
            kwargs: Further arguments of the call.
        """

    def generate(
        self, prompts: Sequence[Any], stop: list[str] | None = None, **kwargs: Any
    ) -> LLMResult:
        """Return the answers to several prompts: one run each, and the model is asked once.

        Args:
            prompts: The prompts.
            stop: Texts that end an answer where they occur.
            kwargs: `callbacks`, `tags`, `metadata`, `run_name` and `run_id` (of the first run)
                as in a config, and what else the model takes.
        """
        return finish(self._generate_in_runs, SYNC, prompts, {**kwargs, "stop": stop})

    async def agenerate(
        self, prompts: Sequence[Any], stop: list[str] | None = None, **kwargs: Any
    ) -> LLMResult:
        """As `generate`, awaited."""
        return await self._generate_in_runs(ASYNC, prompts, {**kwargs, "stop": stop})

    async def _batched(
        self, io: IO, items: Items, return_exceptions: bool, kwargs: dict[str, Any]
    ) -> list[Any]:
        outputs: list[Any] = []
        size = (items[0][1].get("max_concurrency") if items else None) or len(items) or 1
        for first in range(0, len(items), size):
            some = items[first : first + size]
            try:
                asks = [self._ask_of(given, config, kwargs) for given, config in some]
                for _, answer in await self._asked_in_runs(io, asks, len(asks)):
                    outputs.append(self._first_output([answer]))
            except Exception as error:
                if not return_exceptions:
                    raise
                outputs += [error] * len(some)
        return outputs

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        return next((one for one in llm_outputs if one), {})  # the first has what was said of all

    def _prompt_of(self, given: Any) -> str:
        if isinstance(given, str):
            return given
        if not isinstance(given, PromptValue):
            given = ChatPromptValue(messages=convert_to_messages(given))
        return given.to_string()  # type: ignore[no-any-return]

    def _answers_of(self, runs: list[Any], result: LLMResult) -> list[LLMResult]:
        answers = result.flatten()
        given = sum(bool(one.generations[0]) for one in answers)
        if not len(answers) == given == len(runs):
            raise InputError(f"the model gave {given} answers to {len(runs)} prompts")
        return answers

    def _output_of(self, generation: Generation) -> Any:
        return generation.text
