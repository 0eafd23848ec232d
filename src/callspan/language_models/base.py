"""What chat models and text models share: how they are asked, in which runs, and their streams."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import cache, cached_property, partial
from operator import itemgetter
from typing import Any, ClassVar, Generic, NamedTuple, TypeAlias

from pydantic import Field
from typing_extensions import TypeVar

from callspan.caches import BaseCache
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.callbacks.owned import Owned
from callspan.errors import InputError
from callspan.language_models import cached
from callspan.messages import MessageLikeRepresentation, PromptValue
from callspan.outputs import LLMResult, RunInfo
from callspan.runnables.aside import in_thread
from callspan.runnables.base import Output
from callspan.runnables.block import serialized
from callspan.runnables.component import Component
from callspan.runnables.config import RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC, drained

LanguageModelInput: TypeAlias = PromptValue | str | Sequence[MessageLikeRepresentation]
"""What a model takes: a prompt, a text of the user's, or messages."""


Chunk = TypeVar("Chunk", covariant=True, default=Any)


class Ask(NamedTuple):
    """One question to a model; `stop` is among the further arguments."""

    prompt: Any
    config: RunnableConfig
    kwargs: dict[str, Any]
    batch_size: int
    cache: BaseCache | None


class BaseLanguageModel(Component[LanguageModelInput, Output], Generic[Output, Chunk]):
    """A model. Without `_agenerate` and `_astream`, async callers have the others run in a thread.

    Attributes:
        cache: Where answers are kept and looked up; None: the cache of the process, if there is
            one; True: that one, which there has to be; False: no cache. Streams use none.
    """

    cache: BaseCache | bool | None = Field(default=None, exclude=True, repr=False)

    _start_method: ClassVar[str]
    _model_type: ClassVar[str]

    @abstractmethod
    def _generate(self, *args: Any, **kwargs: Any) -> Any:
        """Return the model's answers."""

    async def _agenerate(self, *args: Any, **kwargs: Any) -> Any:
        """As `_generate`, awaited."""
        run = kwargs.pop("run_manager", None)
        sync = None if run is None else run.get_sync()
        return await in_thread(self._generate, *args, run_manager=sync, **kwargs)

    def _stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """Yield the model's answer to one prompt in chunks; arguments else as for `_generate`."""
        raise NotImplementedError

    def _astream(self, *args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        """As `_stream`, for `async for`."""
        raise NotImplementedError

    @property
    @abstractmethod
    def _llm_type(self) -> str:
        """The kind of model, for handlers."""

    @property
    def _identifying_params(self) -> dict[str, Any]:
        """The parameters that a call is made with, for handlers."""
        return {}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        """Return what tracers are told of a call, as metadata: provider, model, parameters."""
        params: dict[str, Any] = {
            "ls_provider": _provider(type(self)),
            "ls_model_type": self._model_type,
        }
        fields = self.__dict__
        for key, name, kind in _LS_PARAMS:
            value = kwargs[name] if name in kwargs else fields.get(name)
            if value is not None and key not in params and isinstance(value, kind):
                params[key] = value
        if stop:
            params["ls_stop"] = stop
        return params

    # What a kind of model says of itself

    @abstractmethod
    def _prompt(self, given: Any) -> Any:
        """Return what the model takes of an input."""

    @abstractmethod
    def _as_text(self, prompt: Any) -> str:
        """Return a prompt as a cache knows it."""

    @abstractmethod
    async def _asked(self, io: IO, asks: Sequence[Ask], runs: list[Any]) -> list[LLMResult]:
        """Ask the model; return the answers to each prompt."""

    @abstractmethod
    def _from_cache(self, kept: list[Any], run: Any) -> list[Any]:
        """Return answers as this run's own, that cost nothing."""

    @abstractmethod
    def _output(self, generation: Any) -> Any:
        """Return what a block gives: of an answer, or of a chunk of one."""

    @abstractmethod
    def _chunks(self, pulled: Any, run: Any) -> Any:
        """Return a stream's chunks as handlers are told of them, an async iterator."""

    @abstractmethod
    def _sum(self, chunks: list[Any]) -> Any:
        """Return chunks as one."""

    # What follows from it

    def invoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        """Return the model's answer.

        Args:
            input: A prompt, a text of the user's, or messages.
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: `stop`, a list of texts that end the answer where they occur, and what else
                the model takes.

        Raises:
            InputError: The input cannot be made into what the model takes.
        """
        ask = self._ask(input, config, kwargs)
        (answer,) = self._in_runs(SYNC, [ask], self._start(CallbackManager, ask))()
        return self._output(answer.generations[0][0])  # type: ignore[no-any-return]

    async def ainvoke(
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Output:
        """As `invoke`, awaited."""
        ask = self._ask(input, config, kwargs)
        runs = await self._start(AsyncCallbackManager, ask)
        (answer,) = await self._in_runs(ASYNC, [ask], runs)()
        return self._output(answer.generations[0][0])  # type: ignore[no-any-return]

    def stream(  # type: ignore[override]  # a chunk may be of another class
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Generator[Chunk, None, None]:
        """Yield the model's answer as it comes; whole, if the model does not stream."""
        return drained(self._streamed(SYNC, input, config, kwargs))

    def astream(  # type: ignore[override]
        self, input: LanguageModelInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> AsyncGenerator[Chunk, None]:
        """As `stream`, for `async for`."""
        return self._streamed(ASYNC, input, config, kwargs)

    def _ask(self, given: Any, config: Any, kwargs: dict[str, Any], batch_size: int = 1) -> Ask:
        kept = cached.cache_of(self.cache)
        kwargs = {"stop": None, **kwargs}
        return Ask(self._prompt(given), checked(config), kwargs, batch_size, kept)

    def _generate_asks(self, inputs: Sequence[Any], kwargs: dict[str, Any]) -> list[Ask]:
        """What `generate` asks: its keywords are a config's and the model's, in one."""
        keys = kwargs.keys() & {"callbacks", "tags", "metadata", "run_name", "run_id"}
        config = {key: kwargs.pop(key) for key in keys}
        rest = {**config, "run_id": None}
        return [
            self._ask(one, rest if place else config, kwargs, len(inputs))
            for place, one in enumerate(inputs)
        ]

    async def _answers(self, io: IO, asks: Sequence[Ask]) -> list[tuple[Any, LLMResult]]:
        """Ask the model once; each prompt has a run, which ends with the answers to it."""
        runs: list[Any] = []
        try:
            for ask in asks:
                runs += await io.done(self._start(io.manager, ask))
        except BaseException as error:  # every handler that was told of a start is told of an end
            for run in runs:
                with suppress(Exception):
                    await io.done(run.close(run.error_event, error, {}))
            raise
        answers = await io.done(self._in_runs(io, asks, runs)())
        return list(zip(runs, answers, strict=True))

    def _in_runs(self, io: IO, asks: Sequence[Ask], runs: list[Any]) -> Callable[[], Any]:
        """A function that asks the model once, and gives the answers to all prompts."""
        hits: set[int] | None = None if asks[0].cache is None else set()
        if hits is None:
            body: Any = partial(io.function(self._asked), io, asks, runs)
        else:
            body = partial(io.function(self._looked_up), io, asks, runs, hits)
        for place, run in enumerate(runs):  # the first run is the innermost, and ends first
            how: dict[str, Any] = {"report": itemgetter(place)}
            if hits is not None:
                how["extra"] = partial(_of_hit, hits, place)
            body = partial(io.call, run, body, **how)
        return body  # type: ignore[no-any-return]

    async def _looked_up(
        self, io: IO, asks: Sequence[Ask], runs: list[Any], hits: set[int]
    ) -> list[LLMResult]:
        """The answers to all prompts, new ones, or from the cache: their places go into `hits`."""
        kept: Any = asks[0].cache
        settings = cached.settings_of(self, asks[0].kwargs)
        texts = [self._as_text(ask.prompt) for ask in asks]
        answers: dict[int, LLMResult] = {}
        for place, text in enumerate(texts):
            own = partial(self._from_cache, run=runs[place])
            found = await cached.look_up(io, kept, text, settings, own)
            if found is not None:
                hits.add(place)
                answers[place] = llm_result(found)
        new = [place for place in range(len(asks)) if place not in hits]
        if new:
            fresh = await self._asked(io, [asks[n] for n in new], [runs[n] for n in new])
            for place, answer in zip(new, fresh, strict=True):
                answers[place] = answer
                await cached.update(io, kept, texts[place], settings, answer.generations[0])
        return [answers[place] for place in range(len(asks))]

    async def _streamed(
        self,
        io: IO,
        given: LanguageModelInput,
        config: RunnableConfig | None,
        kwargs: dict[str, Any],
    ) -> AsyncGenerator[Any, None]:
        cls, source = type(self), None
        if io is ASYNC and cls._astream is not BaseLanguageModel._astream:
            source = self._astream
        elif cls._stream is not BaseLanguageModel._stream:
            source = self._stream  # type: ignore[assignment]
        if source is None:
            yield await io.done(io.invoke(self)(given, config, **kwargs))
            return
        ask = self._ask(given, config, kwargs)
        (run,) = await io.done(self._start(io.manager, ask))
        chunks: list[Any] = []
        whole: list[Any] = []

        async def body() -> AsyncGenerator[Any, None]:
            async with Owned(io.pull(source(ask.prompt, **ask.kwargs))) as pulled:
                async for chunk in self._chunks(pulled, run):
                    chunks.append(chunk)
                    output = self._output(chunk)
                    token = output if isinstance(output, str) else output.content
                    await io.done(run.on_llm_new_token(token, chunk=chunk))
                    yield output
            if not chunks:
                raise InputError("the model's stream ended without a chunk")
            whole.append(self._sum(chunks))

        def so_far(error: BaseException | None) -> dict[str, Any]:
            """What there is of an answer that broke off."""
            if error is None:
                return {}
            made: list[Any] = []
            with suppress(Exception):  # chunks that cannot be added may be why it broke off
                made = [[self._sum(chunks)]] if chunks else []
            return {"response": LLMResult(generations=made)}

        output = io.in_run(run, body(), None, lambda: LLMResult(generations=[whole]), so_far)
        async with Owned(io.pull(output)) as downstream:
            async for part in downstream:
                yield part

    def _start(self, manager: Any, ask: Ask) -> Any:
        """Start the run; return its manager in a list, or what gives that when awaited."""
        told = self._serialized
        own = {**(self.metadata or {}), **self._get_ls_params(**ask.kwargs)}
        start = getattr(self._configured(manager, ask.config, own), self._start_method)
        return start(
            told,
            [ask.prompt],
            ask.config.get("run_id"),
            name=ask.config.get("run_name") or told["name"],
            invocation_params={**self._identifying_params, "_type": self._llm_type, **ask.kwargs},
            options={"stop": ask.kwargs["stop"]},
            batch_size=ask.batch_size,
        )

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        return serialized(self)

    @abstractmethod
    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """Return what `generate` says of several answers together."""

    def _together(self, answers: Sequence[tuple[Any, LLMResult]]) -> LLMResult:
        return LLMResult(
            generations=[answer.generations[0] for _, answer in answers],
            llm_output=self._combine_llm_outputs([answer.llm_output for _, answer in answers]),
            run=[RunInfo(run_id=run.run_id) for run, _ in answers],
        )


def llm_result(generations: list[Any], llm_output: dict[str, Any] | None = None) -> LLMResult:
    """Return one prompt's answers, which have been checked, for handlers."""
    return LLMResult(generations=[generations], llm_output=llm_output)


def _of_hit(hits: set[int], place: int, error: BaseException | None) -> dict[str, Any]:
    """What the end event says of an answer from the cache."""
    return {"cached": True} if place in hits else {}


_LS_PARAMS: tuple[tuple[str, str, Any], ...] = (
    ("ls_model_name", "model", str),
    ("ls_model_name", "model_name", str),
    ("ls_temperature", "temperature", (int, float)),
    ("ls_max_tokens", "max_tokens", int),
)


@cache
def _provider(cls: type) -> str:
    name = cls.__name__.removesuffix("LLM")
    return (name[4:] if name.startswith("Chat") else name.removesuffix("Chat")).lower()
