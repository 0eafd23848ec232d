"""Batches of prompts for a text model, whose cache has the answers to some."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import repeat
from typing import TYPE_CHECKING, Any

from callspan.callbacks import BaseCallbackHandler
from callspan.outputs import Generation

from .block_programs import Texts
from .kinds import TOKENS, Cache, Writer, model_metadata
from .steps import finish, signature
from .truth import Place

if TYPE_CHECKING:
    from .interpreter import Interpreter


class _Listener(BaseCallbackHandler):
    """Is told of the ids of runs, in the order of their starts."""

    run_inline = True

    def __init__(self, tell: Callable[[Any], None]) -> None:
        self._tell = tell

    def on_llm_start(self, serialized: Any, prompts: Any, **kwargs: Any) -> None:
        self._tell(kwargs["run_id"])


async def texts(interpreter: Interpreter, item: Texts, here: Place) -> Any:
    """Ask a text model several prompts at once."""
    questions = _Questions(interpreter, item, here)
    if interpreter.traced:
        answers = await questions.asked()
    else:
        answers = await questions.plainly_asked()
    told = [signature(one) if isinstance(one, Exception) else one for one in answers]
    return [*questions.results, told]


class _Questions:
    def __init__(self, interpreter: Interpreter, item: Texts, here: Place) -> None:
        self.results: list[Any] = []
        self._interpreter = interpreter
        self._item = item
        self._here = here
        self._size = (not item.generates and item.limit) or len(item.kept)
        self._prompts = [str(place) for place in range(len(item.kept))]
        self._ids: list[Any] = []
        self._runs = [
            interpreter.truth.start(
                here.at(90 + place), "llm", local=item.local, local_metadata=model_metadata("llm")
            )
            for place in range(len(item.kept))
        ]

        for run in self._runs if item.generates else ():
            run.called = self._runs[0].name

    def _started(self, run_id: Any) -> None:
        self._interpreter.world.names[str(run_id)] = self._runs[len(self._ids)].name
        self._ids.append(run_id)

    def _has(self, prompt: str) -> bool:
        """Look a prompt up in the cache, in the run of the first that it is asked with."""
        place = int(prompt)
        first = place - place % self._size
        some = range(len(self._prompts))[first : first + self._size]
        if place == first:
            run = self._runs[first]
            self._interpreter.look(run, run.inside(self._here))
            for other, run_id in zip(some, self._ids[first:] or repeat(None), strict=False):
                self._runs[other].entered, self._runs[other].run_id = True, run_id
        if place == some[-1] and all(self._item.kept[one] for one in some):
            self._over(some, None)
        return self._item.kept[place]

    async def _body(self, prompts: list[str]) -> None:
        first = int(prompts[0]) - int(prompts[0]) % self._size
        some = range(len(self._prompts))[first : first + self._size]
        inside = self._runs[first].inside(self._here).at(first)
        try:
            self.results.append(await finish(self._interpreter.steps(self._item.body, inside)))
        except BaseException as error:
            self._over(some, error)
            raise
        self._over(some, None)

    def _over(self, some: Sequence[int], error: BaseException | None) -> None:
        """Note the end of the runs of prompts that are asked together."""
        for place in some:
            self._interpreter.truth.end(self._runs[place], error)
            if error is None and self._item.kept[place]:
                self._runs[place].attributes["callspan.run.cached"] = True
        fresh = [place for place in some if not self._item.kept[place]]
        if error is None and fresh:
            self._runs[fresh[0]].tokens = TOKENS

    async def asked(self) -> list[Any]:
        item = self._item
        model = Writer(
            body=self._body,
            cache=Cache(self._has, Generation(text="kept")),
            callbacks=[_Listener(self._started), *self._interpreter.handlers(item.local)],
        )
        if item.generates:
            generate = model.agenerate if item.is_async else model.generate
            result: Any = generate(self._prompts, run_name=self._runs[0].name)
            result = await result if item.is_async else result
            return [one.text for (one,) in result.generations]
        configs: Any = [{"run_name": run.name, "max_concurrency": item.limit} for run in self._runs]
        batch = model.abatch if item.is_async else model.batch
        answers: Any = batch(self._prompts, configs, return_exceptions=item.returns)
        return await answers if item.is_async else answers

    async def plainly_asked(self) -> list[Any]:
        answers: list[Any] = []
        for first in range(0, len(self._prompts), self._size):
            some = self._prompts[first : first + self._size]
            fresh = [prompt for prompt in some if not self._has(prompt)]
            try:
                if fresh:
                    await self._body(fresh)
                answers += [f"answer {one}" if one in fresh else "kept" for one in some]
            except Exception as error:
                if not self._item.returns or self._item.generates:
                    raise
                answers += [error] * len(some)
        return answers
