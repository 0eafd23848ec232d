"""Runs that a program starts and ends by hand, with the callback managers."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

from callspan.callbacks import AsyncCallbackManager, CallbackManager
from callspan.outputs import Generation, LLMResult

from .truth import RunTruth

_ENDS = {"agent": "chain", "chat_model": "llm"}


class Handle:
    """The handle on one run; without a manager, the same program without tracing.

    Args:
        run: What ought to be.
        manager: The run manager.
    """

    def __init__(self, run: RunTruth, manager: Any = None) -> None:
        self.run = run
        self.manager = manager
        self._end = _ENDS.get(run.kind, run.kind)

    @property
    def can_have_children(self) -> bool:
        return hasattr(self.manager, "get_child")

    def activate(self) -> AbstractContextManager[Any]:
        return nullcontext() if self.manager is None else self.manager.activate()

    def step(self, source: Any) -> Any:
        return source if self.manager is None else self.manager.step(source)

    def astep(self, source: Any) -> Any:
        return source if self.manager is None else self.manager.astep(source)

    async def end(self, output: Any) -> None:
        answer = LLMResult(generations=[[Generation(text="answer")]])
        await self._tell("end", answer if self._end == "llm" else output)

    async def fail(self, error: BaseException) -> None:
        await self._tell("error", error)

    async def _tell(self, how: str, argument: Any) -> None:
        if self.manager is not None:
            told = getattr(self.manager, f"on_{self._end}_{how}")(argument)
            if told is not None:
                await told


async def begin(
    run: RunTruth,
    given: Any,
    *,
    is_async: bool,
    direct: bool,
    local: list[Any],
    tag: str,
    metadata: dict[str, Any],
) -> Handle:
    """Start a run by hand.

    Args:
        run: What ought to be.
        given: Handlers passed at run time, or the manager that the run is started with.
        is_async: Whether its events are awaited.
        direct: Whether `given` itself starts it, without `configure`.
        local: The handlers of the object.
        tag: The object's tag for this run alone; one for descendants too is made of it.
        metadata: The object's metadata.
    """
    manager = given
    if not direct:
        kind = AsyncCallbackManager if is_async else CallbackManager
        manager = kind.configure(
            given,
            local,
            inheritable_tags=[f"{tag} inherited"],
            local_tags=[tag],
            inheritable_metadata=metadata,
        )
    serialized = {"name": run.name}
    if run.kind == "llm":
        started = manager.on_llm_start(serialized, ["prompt"], name=run.name)
    elif run.kind == "chat_model":
        started = manager.on_chat_model_start(serialized, [[]], name=run.name)
    else:
        event = _ENDS.get(run.kind, run.kind)
        started = getattr(manager, f"on_{event}_start")(serialized, "input", name=run.name)
    if is_async:
        started = await started
    return Handle(run, started[0] if isinstance(started, list) else started)
