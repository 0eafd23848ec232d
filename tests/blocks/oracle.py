"""langchain_core as the oracle: one program in either library, and what handlers hear of it.

A program is written once, against a small namespace of names that both libraries have. `heard`
gives what its handlers hear and what it returns or raises, in terms that are the same for both;
`DIFFERENCES` names what is another on purpose, and takes it out.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

import langchain_core.caches
import langchain_core.callbacks
import langchain_core.callbacks.manager
import langchain_core.documents
import langchain_core.globals
import langchain_core.language_models
import langchain_core.language_models.fake_chat_models
import langchain_core.messages
import langchain_core.output_parsers
import langchain_core.outputs
import langchain_core.prompts
import langchain_core.retrievers
import langchain_core.runnables
import langchain_core.tools
from pydantic import BaseModel

import callspan.caches
import callspan.callbacks
import callspan.documents
import callspan.language_models
import callspan.messages
import callspan.output_parsers
import callspan.outputs
import callspan.prompts
import callspan.retrievers
import callspan.runnables
import callspan.tools
from support import recording

_NAMES = {
    "caches": ["InMemoryCache"],
    "callbacks": [
        "AsyncCallbackManager",
        "BaseCallbackHandler",
        "CallbackManager",
        "adispatch_custom_event",
        "dispatch_custom_event",
    ],
    "documents": ["Document"],
    "language_models": [
        "BaseChatModel",
        "BaseLLM",
        "FakeListChatModel",
        "FakeListLLM",
        "GenericFakeChatModel",
    ],
    "messages": ["AIMessage", "AIMessageChunk", "HumanMessage", "SystemMessage", "ToolMessage"],
    "output_parsers": ["JsonOutputParser", "PydanticOutputParser", "StrOutputParser"],
    "outputs": [
        "ChatGeneration",
        "ChatGenerationChunk",
        "ChatResult",
        "Generation",
        "GenerationChunk",
        "LLMResult",
    ],
    "prompts": ["ChatPromptTemplate", "MessagesPlaceholder"],
    "retrievers": ["BaseRetriever"],
    "runnables": [
        "Runnable",
        "RunnableConfig",
        "RunnableGenerator",
        "RunnableLambda",
        "RunnableParallel",
        "RunnablePassthrough",
        "RunnableSequence",
        "chain",
    ],
    "tools": ["BaseTool", "StructuredTool", "ToolException", "tool"],
}


def _library(package: Any, groups: Any, set_llm_cache: Any) -> SimpleNamespace:
    library = SimpleNamespace(
        package=package.__name__,
        set_llm_cache=set_llm_cache,
        trace_as_chain_group=groups.trace_as_chain_group,
        atrace_as_chain_group=groups.atrace_as_chain_group,
    )
    for module, names in _NAMES.items():
        for name in names:
            setattr(library, name, getattr(getattr(package, module), name))
    return library


CALLSPAN = _library(callspan, callspan.callbacks.groups, callspan.caches.set_llm_cache)
LANGCHAIN = _library(
    langchain_core, langchain_core.callbacks.manager, langchain_core.globals.set_llm_cache
)


class Caller:
    """Calls blocks as a sync or as an async caller does, with a handler that records.

    Args:
        library: Whose blocks.
        is_async: Which caller it is.

    Attributes:
        handler: The handler; it is told inline.
        others: Further handlers that a program has asked for, by name.
    """

    def __init__(self, library: SimpleNamespace, *, is_async: bool) -> None:
        self.is_async = is_async
        self.told: list[tuple[str, str, Any, Any, Any, dict[str, Any]]] = []
        self._base = library.BaseCallbackHandler
        self.handler = self.another("", run_inline=True)

    def another(self, who: str, **attributes: Any) -> Any:
        """Return a further handler; what it hears is told under its name."""
        told = self.told

        class Heard(list[Any]):
            def append(self, event: Any) -> None:
                method, args, kwargs = event
                run, parent = kwargs.pop("run_id"), kwargs.pop("parent_run_id", None)
                told.append((who, method, run, parent, plain(args), plain(kwargs)))

        handler = recording(self._base, **attributes)
        handler.events = Heard()
        return handler

    async def invoke(self, block: Any, given: Any, **config: Any) -> Any:
        """Invoke a block, with the handler and a config."""
        config = {"callbacks": [self.handler], **config}
        return await self.plainly(block, given, config)

    async def plainly(self, block: Any, *args: Any) -> Any:
        """Invoke a block with what is given alone."""
        return await block.ainvoke(*args) if self.is_async else block.invoke(*args)

    async def stream(self, block: Any, given: Any, **config: Any) -> list[Any]:
        """Take all chunks of a block's stream."""
        config = {"callbacks": [self.handler], **config}
        if self.is_async:
            return [chunk async for chunk in block.astream(given, config)]
        return list(block.stream(given, config))

    async def batch(self, block: Any, given: Any, config: Any = None, **kwargs: Any) -> list[Any]:
        """Invoke a block with several inputs; they are told one at a time unless it says more."""
        config = config or {"callbacks": [self.handler]}
        if self.is_async:
            return list(await block.abatch(given, config, **kwargs))
        return list(block.batch(given, config, **kwargs))


class Program(NamedTuple):
    """A function of a library and a caller, and whether its parts run at the same time."""

    run: Callable[[Any, Caller], Any]
    at_once: bool

    def __str__(self) -> str:
        return self.run.__name__


PROGRAMS: list[Program] = []


def program(run: Any) -> Any:
    """Add a program that does one thing after the other."""
    PROGRAMS.append(Program(run, at_once=False))
    return run


def program_at_once(run: Any) -> Any:
    """Add a program whose parts run in threads or tasks: the order of these is nobody's to say."""
    PROGRAMS.append(Program(run, at_once=True))
    return run


class Line(NamedTuple):
    """One event; runs are numbered in the order of their starts."""

    who: str
    method: str
    run: int
    parent: int
    args: tuple[Any, ...]
    kwargs: dict[str, Any]


Lines = list[Line]


async def _outcome(run: Any, library: Any, caller: Caller) -> Any:
    try:
        return "returned", await run(library, caller)
    except (Exception, asyncio.CancelledError) as error:
        return "raised", error


@cache
def heard(library_name: str, one: Program, *, is_async: bool) -> tuple[Lines, Any]:
    """What the handlers hear of a program, and what it returns or raises."""
    library = CALLSPAN if library_name == "callspan" else LANGCHAIN
    caller = Caller(library, is_async=is_async)
    outcome = asyncio.run(_outcome(one.run, library, caller))
    numbers: dict[Any, int] = {None: -1}
    lines = []
    for who, method, run_id, parent_id, args, kwargs in caller.told:
        run = numbers.setdefault(run_id, len(numbers) - 1)
        lines.append(Line(who, method, run, numbers.get(parent_id, -2), args, kwargs))
    return lines, plain(outcome)


_MADE_IDS = re.compile(r"lc_run-[-0-9a-f]*")


def plain(value: Any) -> Any:
    """A value as what it says, whichever library's class it is of, without ids and empty fields."""
    if isinstance(value, BaseException):
        return _builtin(value)
    if isinstance(value, BaseModel):
        fields = {key: plain(one) for key, one in value}
        said = {key: one for key, one in fields.items() if one not in (None, "", [], {}, ())}
        return type(value).__name__, said
    if isinstance(value, Mapping):
        return {key: plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(plain(one) for one in value)  # type: ignore[call-arg]
    if isinstance(value, str):
        return _MADE_IDS.sub("made", value)
    return "id" if isinstance(value, UUID) else value


def _builtin(error: BaseException) -> str:
    """The builtin that an error is: callspan's are also the ones that langchain_core raises."""
    kinds = (KeyError, TypeError, RecursionError, ValueError)
    return next((kind.__name__ for kind in kinds if isinstance(error, kind)), type(error).__name__)


def as_tree(lines: Lines) -> Any:
    """The same without the order between siblings, for those that run at the same time."""

    def node(run: int) -> Any:
        own = [(*line[:2], *line[4:]) for line in lines if line.run == run]
        starts = [one.run for one in lines if one.method.endswith("_start") and one.parent == run]
        return own, sorted((node(start) for start in starts), key=repr)

    return node(-1)
