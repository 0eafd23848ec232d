"""The same program in callspan and in langchain_core, and what a handler hears of each."""

from __future__ import annotations

import inspect
import re
from types import SimpleNamespace
from typing import Any

import langchain_core.callbacks
import langchain_core.documents
import langchain_core.language_models
import langchain_core.language_models.fake_chat_models
import langchain_core.messages
import langchain_core.output_parsers
import langchain_core.prompts
import langchain_core.retrievers
import langchain_core.runnables
import langchain_core.tools

import callspan.callbacks
import callspan.documents
import callspan.language_models
import callspan.messages
import callspan.output_parsers
import callspan.prompts
import callspan.retrievers
import callspan.runnables
import callspan.tools
from support import Events, recording

_NAMES = {
    "callbacks": ["BaseCallbackHandler"],
    "documents": ["Document"],
    "language_models": ["BaseChatModel", "FakeListChatModel", "GenericFakeChatModel"],
    "messages": ["AIMessage", "HumanMessage", "ToolMessage"],
    "output_parsers": ["JsonOutputParser", "PydanticOutputParser", "StrOutputParser"],
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


def _library(package: Any) -> SimpleNamespace:
    library = SimpleNamespace(package=package.__name__)
    for module, names in _NAMES.items():
        for name in names:
            setattr(library, name, getattr(getattr(package, module), name))
    return library


CALLSPAN = _library(callspan)
LANGCHAIN = _library(langchain_core)

_MADE_IDS = re.compile(r"lc_run-[-0-9a-f]*")
_OUR_OWN = {"ls_integration", "lc_versions", "ls_provider"}
"""Metadata that langchain_core gives every model, or that say which library it is."""


async def heard(library: SimpleNamespace, program: Any) -> list[tuple[Any, ...]]:
    """What a handler hears of a program, with runs numbered in the order of their starts.

    A program is a function of the library and a handler; what it raises is part of the answer.
    """
    handler = recording(library.BaseCallbackHandler, run_inline=True)
    raised = None
    try:
        result = program(library, handler)
        if inspect.isawaitable(result):
            await result
    except Exception as error:
        raised = _builtin(error)
    return [*_told(handler.events), ("raised", raised)]


def _builtin(error: BaseException) -> str:
    """The builtin that an error is: callspan's are also the ones that langchain_core raises."""
    kinds = (KeyError, TypeError, RecursionError, ValueError)
    return next((kind.__name__ for kind in kinds if isinstance(error, kind)), type(error).__name__)


def _told(events: Events) -> list[tuple[Any, ...]]:
    numbers: dict[Any, int] = {None: -1}
    lines: list[tuple[Any, ...]] = []
    for method, args, kwargs in events:
        run = numbers.setdefault(kwargs["run_id"], len(numbers) - 1)
        parent = numbers.get(kwargs.get("parent_run_id"), "of others")
        line: tuple[Any, ...] = (method, run, parent, sorted(kwargs["tags"]))
        if method.endswith("_start"):
            metadata = {k: v for k, v in kwargs["metadata"].items() if k not in _OUR_OWN}
            line += (metadata, kwargs.get("run_type"), kwargs.get("batch_size"))
            line += (kwargs["name"] if method == "on_chain_start" else "",)
            line += (str(kwargs.get("inputs")), kwargs.get("tool_call_id"), kwargs.get("options"))
        elif method == "on_llm_new_token":
            line += (args[0] if args else kwargs["token"],)
        elif method.endswith("_error"):
            line += (_builtin(args[0]), kwargs.get("tool_call_id"))
        else:
            inputs = _MADE_IDS.sub("", str(kwargs.get("inputs")))
            line += (inputs, kwargs.get("color"), kwargs.get("name"))
        lines.append(line)
    return lines


def as_tree(lines: list[tuple[Any, ...]]) -> Any:
    """The same without the order between siblings, for those that run at the same time."""

    def node(run: int) -> Any:
        own = [(line[0], *line[3:]) for line in lines if line[1] == run and line[0] != "raised"]
        starts = [line for line in lines if line[0].endswith("_start") and line[2] == run]
        return own, sorted((node(line[1]) for line in starts), key=repr)

    return node(-1), lines[-1]
