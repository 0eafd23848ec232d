"""What callspan does otherwise than langchain_core, on purpose: the one table of it.

Each row gives what was heard without the difference; it does nothing where there is none. A row
that no program needs any more fails a test.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, NamedTuple

from oracle import Line, Lines

_STARTS = "_start"


class Difference(NamedTuple):
    """One row.

    Attributes:
        subject: What is otherwise in callspan.
        without: Gives what was heard without it.
        of: In which library it is taken out: callspan, langchain or both.
    """

    subject: str
    without: Callable[[Lines], Lines]
    of: str = "both"


def _each(change: Callable[[Line], Line]) -> Callable[[Lines], Lines]:
    return lambda lines: [change(line) for line in lines]


def _but(line: Line, *keys: str) -> Line:
    return line._replace(kwargs={k: v for k, v in line.kwargs.items() if k not in keys})


def _named(line: Line) -> Line:
    if not _is_start(line):
        return line
    name = line.kwargs.get("name") or (line.args[0] or {}).get("name")
    return line._replace(args=line.args[1:], kwargs={**line.kwargs, "name": name})


def _saying(line: Line) -> Line:
    return _but(line, *(key for key, value in line.kwargs.items() if value is None))


def _sorted_tags(line: Line) -> Line:
    return line._replace(kwargs={**line.kwargs, "tags": sorted(line.kwargs.get("tags") or [])})


def _metadata(line: Line) -> Line:
    known = line.kwargs.get("metadata")
    if not known:
        return line
    own = {k: v for k, v in known.items() if k not in ("ls_integration", "lc_versions")}
    return line._replace(kwargs={**line.kwargs, "metadata": own})


def _defers(line: Line) -> Line:
    return _but(line, "defers_inputs")


def _token(line: Line) -> Line:
    if "token" not in line.kwargs:
        return line
    return _but(line._replace(args=(line.kwargs["token"],)), "token")


def _input_at_start(lines: Lines) -> Lines:
    late = {
        line.run: line.kwargs["inputs"]
        for line in lines
        if line.method in ("on_chain_end", "on_chain_error") and "inputs" in line.kwargs
    }

    def moved(line: Line) -> Line:
        if line.method == "on_chain_start" and line.run in late:
            return line._replace(args=(*line.args[:-1], late[line.run]))
        return _but(line, "inputs") if line.run in late else line

    return [moved(line) for line in lines]


def _input_of_failed_streams(lines: Lines) -> Lines:
    failed = {line.run for line in lines if line.method == "on_chain_error"}

    def without(line: Line) -> Line:
        if line.run not in failed or not line.method.startswith("on_chain"):
            return line
        if line.method == "on_chain_start":
            return line._replace(args=line.args[:-1])
        return _but(line, "inputs")

    return [without(line) for line in lines]


def _closed(line: Line) -> Line:
    if line.method == "on_chain_error" and line.args == ("GeneratorExit",):
        return line._replace(method="on_chain_end", args=(None,))
    return line


def _cancelled(lines: Lines) -> Lines:
    kinds = ("on_llm_error", "on_tool_error", "on_retriever_error")
    return [one for one in lines if one.method not in kinds or one.args != ("CancelledError",)]


def _fallbacks(lines: Lines) -> Lines:
    above = {
        line.run: line.parent
        for line in lines
        if line.method == "on_chain_start" and line.kwargs.get("name") == "RunnableWithFallbacks"
    }
    return [line._replace(parent=above.get(line.parent, line.parent)) for line in lines]


def _nested(lines: Lines) -> Lines:
    runs = {line.run for line in lines if line.who == "nested"}
    heard = [line for line in lines if line.run not in runs or line.who == "nested"]
    return [line._replace(parent=-1) if line.run in runs else line for line in heard]


def _once(lines: Lines) -> Lines:
    return [line for place, line in enumerate(lines) if line not in lines[place - 1 : place]]


def _raising(lines: Lines) -> Lines:
    return [line for line in lines if line.who not in ("raising", "after")]


def _beside(lines: Lines) -> Lines:
    return [one for one in lines if one.who != "beside" or one.method != "on_llm_start"]


def _retries(lines: Lines) -> Lines:
    return [one for one in lines if one.method != "on_retry"]


def _cached(line: Line) -> Line:
    if line.method == "on_chain_start" and isinstance(line.args[-1], tuple):
        kind, message = line.args[-1]
        return line._replace(args=(*line.args[:-1], (kind, _without_cost(message))))
    if line.method != "on_llm_end":
        return line
    return _but(_message(line, _without_cost), "cached")


def _without_cost(message: dict[str, Any]) -> dict[str, Any]:
    no_cost = {"usage_metadata": {"total_cost": 0}}
    return {key: one for key, one in message.items() if {key: one} != no_cost}


def _generated(line: Line) -> Line:
    own = line.kwargs.get("metadata") or {}
    if line.kwargs.get("batch_size", 1) == 1 or own.keys() - {"ls_provider", "ls_model_type"}:
        return line
    return line._replace(kwargs={**line.kwargs, "metadata": {}})


def _cached_texts(lines: Lines) -> Lines:
    texts = {line.run for line in lines if line.method == "on_llm_start"}
    hits = texts & {line.run for line in lines if line.kwargs.get("cached")}
    numbers: dict[int, int] = {}
    left = []
    for method, group in groupby(lines, lambda line: line.method):
        some = [line for line in group if line.run not in hits]
        for line in some:
            run = numbers.setdefault(line.run, len(numbers)) if hits else line.run
            if hits and method == "on_llm_start":
                line = line._replace(kwargs={**line.kwargs, "batch_size": len(some)})
            left.append(line._replace(run=run))
    return left


_STRUCTURED = ("PydanticToolsParser", "JsonOutputKeyToolsParser")


def _parser(line: Line) -> Line:
    if line.kwargs.get("name") not in _STRUCTURED:
        return line
    return line._replace(kwargs={**line.kwargs, "name": "StructuredOutput"})


def _parsed_at_once(lines: Lines) -> Lines:
    parsers = _called(lines, "StructuredOutput")
    starts = {line.run: line for line in lines if line.run in parsers if _is_start(line)}
    left = []
    for line in lines:
        if line.run not in parsers:
            left.append(line)
        elif not _is_start(line):
            left += [starts[line.run], line]
    return left


def _last_state(lines: Lines) -> Lines:
    parsers = _called(lines, "JsonOutputParser")
    around = {line.parent for line in lines if line.run in parsers}

    def without(line: Line) -> Line:
        is_end = line.method == "on_chain_end" and line.run in parsers | around
        return line._replace(args=()) if is_end and isinstance(line.args[0], list) else line

    return [without(line) for line in lines]


def _found_nothing(lines: Lines) -> Lines:
    parsers = _called(lines, "JsonOutputParser", "PydanticOutputParser")
    failed = {one.run for one in lines if one.run in parsers and "inputs" in one.kwargs} & {
        one.run for one in lines if one.method == "on_chain_error"
    }
    failed |= {line.parent for line in lines if line.run in failed}

    def without(line: Line) -> Line:
        if line.run not in failed or line.method != "on_chain_error":
            return line
        return line._replace(method="on_chain_end", args=(None,))

    return [without(line) for line in lines]


def _called(lines: Lines, *names: str) -> set[int]:
    return {line.run for line in lines if _is_start(line) and line.kwargs.get("name") in names}


def _is_start(line: Line) -> bool:
    return line.method.endswith(_STARTS)


def _configs(line: Line) -> Line:
    kwargs = dict(line.kwargs)
    if "replaced" in kwargs.get("tags", ()):
        kwargs["tags"] = [tag for tag in kwargs["tags"] if tag != "replaced"]
    if "replaced" in (kwargs.get("metadata") or {}):
        kwargs["metadata"] = {k: v for k, v in kwargs["metadata"].items() if k != "replaced"}
    return line._replace(kwargs=kwargs)


def _response(line: Line) -> Line:
    if line.method != "on_llm_error" or "response" not in line.kwargs:
        return line
    kind, fields = line.kwargs["response"]
    some = [one for one in fields.get("generations", []) if one]
    if not some:
        return _but(line, "response")
    return line._replace(
        kwargs={**line.kwargs, "response": (kind, {**fields, "generations": some})}
    )


def _last_chunk(line: Line) -> Line:
    return _message(line, _not_last) if line.method == "on_llm_end" else line


def _not_last(message: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in message.items() if key != "chunk_position"}


def _message(line: Line, change: Callable[[dict[str, Any]], dict[str, Any]]) -> Line:
    """Change the messages of a model's answer."""

    def changed(generation: Any) -> Any:
        kind, fields = generation
        if "message" not in fields:
            return generation
        name, message = fields["message"]
        return kind, {**fields, "message": (name, change(message))}

    kind, fields = line.args[0]
    generations = [[changed(one) for one in some] for some in fields["generations"]]
    return line._replace(args=((kind, {**fields, "generations": generations}),))


DIFFERENCES = [
    # api.md
    Difference("serialized is a dict with a name, never None; so is the name", _each(_named)),
    Difference(
        "handlers given to a nested call are added to the ambient ones", _nested, "callspan"
    ),
    Difference("a handler that comes by several ways is told once", _once, "langchain"),
    Difference("the children of with_fallbacks keep their parent", _fallbacks),
    Difference("raise_error=True propagates after every handler was told", _raising, "callspan"),
    Difference("inline handlers do not silence others", _beside),
    Difference("a cancelled model, tool or retriever gets its error event", _cancelled),
    # not in api.md
    Difference("with_retry tells of retries", _retries, "callspan"),
    Difference("a text model's answer from a cache is a run", _cached_texts, "callspan"),
    Difference("a cached answer is told as such, and has no usage made up", _each(_cached)),
    Difference("the parser of a structured answer is callspan's own", _each(_parser), "langchain"),
    Difference("a structured answer is parsed when all of it is there", _parsed_at_once),
    Difference("a stream of JSON lists has its last state as output, not all of them", _last_state),
    Difference("a stream in which there is no JSON fails", _found_nothing, "callspan"),
    Difference(
        "with_config adds to the config of an earlier with_config", _each(_configs), "callspan"
    ),
    Difference("keywords that say nothing, None, are left out or not", _each(_saying)),
    Difference("tags are in the order in which they came, not in a set's", _each(_sorted_tags)),
    Difference("a model's metadata do not say which library it is", _each(_metadata), "langchain"),
    Difference(
        "metadata tell of the model that is asked by generate without any", _each(_generated)
    ),
    Difference("tokens are told by position to sync callers too", _each(_token), "langchain"),
    Difference("a model's failure has no response where there was no answer", _each(_response)),
    Difference("a streamed answer has its last chunk, which is empty", _each(_last_chunk)),
    Difference("a sync stream that is closed ends with GeneratorExit", _each(_closed)),
    Difference("no keyword tells tracers to wait for the input", _each(_defers), "langchain"),
    Difference("a generator that is invoked tells its input at once", _input_at_start),
    Difference("a stream that fails tells all of the input that it took", _input_of_failed_streams),
]
