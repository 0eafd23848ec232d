"""What chat models and text models share: how they are asked, in which runs, and their streams."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import suppress
from functools import cache, partial
from operator import itemgetter
from typing import Any, ClassVar, TypeAlias

from pydantic import Field

from callspan import caches
from callspan.callbacks.owned import Owned
from callspan.errors import InputError
from callspan.messages import MessageLikeRepresentation, PromptValue
from callspan.outputs import LLMResult, RunInfo
from callspan.runnables.aside import in_thread, pulled_in_thread
from callspan.runnables.base import Output
from callspan.runnables.block import Ask, Component
from callspan.runnables.calls import together
from callspan.runnables.config import RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC, Chunks

LanguageModelInput: TypeAlias = PromptValue | str | Sequence[MessageLikeRepresentation]
"""What a model takes: a prompt, a text of the user's, or messages."""


class BaseLanguageModel(Component[LanguageModelInput, Output]):
    """A model. Without `_agenerate` and `_astream`, async callers have the others run in a thread.

    A call takes `stop`, a list of texts that end the answer where they occur, and what else the
    model takes. It raises InputError where the input cannot be made into what the model takes.

    Attributes:
        cache: Where answers are kept and looked up; None: the cache of the process, if there is
            one; True: that one, which there has to be; False: no cache. Streams use none.
    """

    cache: caches.BaseCache | bool | None = Field(default=None, exclude=True, repr=False)

    _model_type: ClassVar[str]
    _takes_batches: ClassVar[bool] = False
    """Whether `_generate` takes several prompts."""

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
        return pulled_in_thread(self._stream(*args, **kwargs))

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
    def _prompt_of(self, given: Any) -> Any:
        """Return what the model takes of an input."""

    @abstractmethod
    def _answers_of(self, runs: list[Any], result: Any) -> list[LLMResult]:
        """Return the answers to each prompt, of what `_generate` returned."""

    def _from_cache(self, kept: list[Any], run: Any) -> list[Any]:
        """Return answers as this run's own, that cost nothing."""
        return kept

    @abstractmethod
    def _output_of(self, generation: Any) -> Any:
        """Return what a block gives: of an answer, or of a chunk of one."""

    def _chunks_of(self, pulled: Any, run: Any) -> Any:
        """Return a stream's chunks as handlers are told of them, an async iterator."""
        return pulled

    # What follows from it

    def _ask_of(self, given: Any, config: RunnableConfig, kwargs: dict[str, Any]) -> Ask:
        cache = caches.cache_of(self.cache)
        return Ask(self._prompt_of(given), config, {"stop": None, **kwargs}, cache)

    def _told_of(self, ask: Ask) -> tuple[list[Any], dict[str, Any]]:
        params = {**self._identifying_params, "_type": self._llm_type, **ask.kwargs}
        options = {"stop": ask.kwargs["stop"]}
        return [ask.given], {"invocation_params": params, "options": options, "batch_size": 1}

    def _own_metadata(self, ask: Ask) -> dict[str, Any]:
        return {**(self.metadata or {}), **self._get_ls_params(**ask.kwargs)}

    def _answer_to(self, io: IO, ask: Ask, run: Any) -> Any:
        return io.then(self._first_output, self._in_runs(io, [ask], run))

    def _first_output(self, answers: list[LLMResult]) -> Any:
        return self._output_of(answers[0].generations[0][0])

    async def _generate_in_runs(
        self, io: IO, prompts: Sequence[Any], kwargs: dict[str, Any]
    ) -> LLMResult:
        """What `generate` returns: its keywords are a config's and the model's, in one."""
        keys = kwargs.keys() & {"callbacks", "tags", "metadata", "run_name", "run_id"}
        config = checked({key: kwargs.pop(key) for key in keys})
        rest: RunnableConfig = {**config, "run_id": None}
        asks = [
            self._ask_of(prompt, rest if place else config, kwargs)
            for place, prompt in enumerate(prompts)
        ]
        batches = [asks] if self._takes_batches else [[ask] for ask in asks]
        calls = [partial(self._asked_in_runs, io, batch, len(asks)) for batch in batches]
        made = await together(io, calls, None) if io is ASYNC else [await one() for one in calls]
        runs, answers = zip(*[pair for batch in made for pair in batch], strict=True)
        return LLMResult(
            generations=[answer.generations[0] for answer in answers],
            llm_output=self._combine_llm_outputs([answer.llm_output for answer in answers]),
            run=[RunInfo(run_id=run.run_id) for run in runs],
        )

    def _combine_llm_outputs(self, llm_outputs: list[dict[str, Any] | None]) -> dict[str, Any]:
        """Return what `generate` says of several answers together."""
        return {}

    async def _asked_in_runs(
        self, io: IO, asks: list[Ask], batch_size: int
    ) -> list[tuple[Any, LLMResult]]:
        """Ask the model once; return each prompt's run, and the answers to it."""
        runs: list[Any] = []
        try:
            for ask in asks:
                runs += await io.done(self._start_run(io.manager, ask, batch_size=batch_size))
        except BaseException as error:  # every handler that was told of a start is told of an end
            for run in runs:
                with suppress(Exception):
                    await io.done(run.close(run.error_event, error, {}))
            raise
        answers = await io.done(self._in_runs(io, asks, runs)())
        return list(zip(runs, answers, strict=True))

    def _in_runs(self, io: IO, asks: list[Ask], runs: list[Any]) -> Callable[[], Any]:
        """A function that asks the model once, and gives the answers to all prompts."""
        hits = None if asks[0].cache is None else set[int]()
        body = self._request_of(io, asks, runs)
        if hits is not None:
            body = partial(io.function(self._looked_up), io, asks, runs, hits)
        for place, run in enumerate(runs):  # the first run is the innermost, and ends first
            extra = {} if hits is None else {"extra": partial(_of_hit, hits, place)}
            body = partial(io.call, run, body, report=itemgetter(place), **extra)
        return body

    def _request_of(self, io: IO, asks: list[Ask], runs: list[Any]) -> Callable[[], Any]:
        generate = self._generate if io is SYNC else self._agenerate
        given = [ask.given for ask in asks] if self._takes_batches else asks[0].given
        request = partial(generate, given, run_manager=runs[0], **asks[0].kwargs)
        return partial(io.then, partial(self._answers_of, runs), request)

    async def _looked_up(
        self, io: IO, asks: list[Ask], runs: list[Any], hits: set[int]
    ) -> list[LLMResult]:
        """The answers to all prompts, new ones, or from the cache: their places go into `hits`."""
        kept, answers = asks[0].cache, dict[int, LLMResult]()
        settings = caches.settings_of(self, asks[0].kwargs)
        keys = [(caches.as_text(ask.given), settings) for ask in asks]
        for place, key in enumerate(keys):
            own = partial(self._from_cache, run=runs[place])
            found = await caches.look_up(io, kept, key, own)
            if found:
                hits.add(place)
                answers[place] = LLMResult(generations=[found])
        new = [place for place in range(len(asks)) if place not in hits]
        if new:
            request = self._request_of(io, [asks[n] for n in new], [runs[n] for n in new])
            for place, answer in zip(new, await io.done(request()), strict=True):
                answers[place] = answer
                await caches.update(io, kept, keys[place], answer.generations[0])
        return [answers[place] for place in range(len(asks))]

    async def _streamed(
        self, io: IO, given: Any, config: RunnableConfig | None, kwargs: dict[str, Any]
    ) -> Chunks:
        cls, source = type(self), self._stream if io is SYNC else self._astream
        if cls._stream is BaseLanguageModel._stream and (
            io is SYNC or cls._astream is BaseLanguageModel._astream
        ):
            yield await io.done(io.invoke(self)(given, config, **kwargs))
            return
        ask = self._ask_of(given, checked(config, kwargs), kwargs)
        (run,) = await io.done(self._start_run(io.manager, ask))
        chunks: list[Any] = []

        async def body() -> Chunks:
            async with Owned(io.pull(source(ask.given, **ask.kwargs))) as pulled:
                async for chunk in self._chunks_of(pulled, run):
                    chunks.append(chunk)
                    output = self._output_of(chunk)
                    token = output if isinstance(output, str) else output.content
                    await io.done(run.on_llm_new_token(token, chunk=chunk))
                    yield output

        def whole() -> LLMResult:
            if not chunks:
                raise InputError("the model's stream ended without a chunk")
            first, *rest = chunks
            return LLMResult(generations=[[first + rest if rest else first]])

        def so_far(error: BaseException | None) -> dict[str, Any]:
            """What there is of an answer that broke off."""
            if error is None:
                return {}
            with suppress(Exception):  # chunks that cannot be added may be why it broke off
                return {"response": whole()}
            return {"response": LLMResult(generations=[])}

        output = io.in_run(run, body(), None, whole, so_far)
        async with Owned(io.pull(output)) as downstream:
            async for part in downstream:
                yield part


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
