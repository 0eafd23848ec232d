"""What a call can say about its run, and what a block says on every call."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from callspan.callbacks import CallbackManager
from callspan.errors import CallbackError, ConfigurationError
from callspan.language_models import FakeListChatModel
from callspan.prompts import ChatPromptTemplate
from callspan.runnables import (
    Runnable,
    RunnableLambda,
    RunnablePassthrough,
    RunnableSequence,
    ensure_config,
    merge_configs,
)
from support import recording


def same(x: Any) -> Any:
    return x


BAD: list[tuple[Any, type[Exception], str]] = [
    ([recording()], ConfigurationError, "config takes a dict such as"),
    ({"tags": "one"}, ConfigurationError, "tags takes a list of strings, not 'one'"),
    ({"tags": [1]}, ConfigurationError, "list of strings"),
    ({"metadata": ["k"]}, ConfigurationError, "metadata takes a dict, not"),
    ({"run_name": 5}, ConfigurationError, "run_name takes a string, not 5"),
    ({"run_id": "5"}, ConfigurationError, r"run_id takes a UUID, such as uuid4\(\) returns"),
    ({"max_concurrency": "a"}, ConfigurationError, "takes a positive whole number, not 'a'"),
    ({"recursion_limit": "9"}, ConfigurationError, "recursion_limit takes a whole number"),
    ({"configurable": 5}, ConfigurationError, "configurable takes a dict, not 5"),
    ({"callback": []}, ConfigurationError, "no key 'callback': 'callbacks' is meant"),
    ({"max_concurency": 1}, ConfigurationError, "'max_concurrency' is meant"),
    ({"callbacks": recording()}, CallbackError, "takes a list of handlers"),
    ({"callbacks": [type(recording())]}, CallbackError, "not the class"),
    ({"callbacks": [3]}, CallbackError, "int is no callback handler"),
]


@pytest.mark.parametrize(("config", "error", "message"), BAD)
async def test_a_wrong_config_is_named_before_anything_runs(
    config: Any, error: type[Exception], message: str
) -> None:
    """A handler in the wrong place would otherwise be a trace that is missing without a word."""
    ran: list[Any] = []
    block = RunnableLambda(ran.append)
    with pytest.raises(error, match=message):
        block.invoke(1, config)
    with pytest.raises(error, match=message):
        list((block | block).stream(1, config))
    with pytest.raises(error, match=message):
        await block.ainvoke(1, config)
    with pytest.raises(error, match=message):
        block.batch([1], [config])
    assert ran == []


BLOCKS: list[Runnable] = [
    RunnableLambda(same),
    RunnableLambda(same) | same,
    RunnablePassthrough(),
    RunnableLambda(same).with_retry(),
    RunnableLambda(same).with_fallbacks([same]),
    ChatPromptTemplate.from_template("{x}") | FakeListChatModel(responses=["a"]),
    FakeListChatModel(responses=["a"]),
]


@pytest.mark.parametrize("block", BLOCKS)
async def test_callbacks_beside_the_config_are_no_argument_to_be_ignored(block: Any) -> None:
    """Who forgets the config's braces would look for a trace in vain: nobody reads them there."""
    wrong = {"callbacks": [recording()]}
    message = "callbacks are part of the config"
    with pytest.raises(ConfigurationError, match=message):
        block.invoke("x", **wrong)
    with pytest.raises(ConfigurationError, match=message):
        await block.ainvoke("x", **wrong)
    with pytest.raises(ConfigurationError, match=message):
        list(block.stream("x", **wrong))
    with pytest.raises(ConfigurationError, match=message):
        block.batch(["x"], **wrong)


def test_unknown_keys_are_left_alone() -> None:
    """As in langchain_core, whose users put their own values there."""
    assert RunnableLambda(same).invoke(1, {"mine": 1}) == 1  # type: ignore[typeddict-unknown-key]


def test_none_is_as_good_as_nothing(handler: Any) -> None:
    """Configs are put together by programs, with None for what there is not."""
    config: Any = dict.fromkeys(
        ("tags", "metadata", "callbacks", "run_name", "run_id", "max_concurrency")
    )
    assert RunnableLambda(same).batch([1, 2], config) == [1, 2]


def test_name_and_id_are_the_runs_own(handler: Any) -> None:
    """They name one run, not everything below it."""
    run_id = uuid.uuid4()
    chain = RunnableLambda(same) | same
    chain.invoke(1, {"callbacks": [handler], "run_id": run_id, "run_name": "mine"})
    starts = handler.events.of("on_chain_start")
    assert [kw["name"] for kw in starts] == ["mine", "same", "same"]
    assert [kw["run_id"] == run_id for kw in starts] == [True, False, False]


def test_a_config_is_not_changed() -> None:
    """It belongs to the caller, who uses it again."""
    config: Any = {"tags": ["t"], "metadata": {"k": 1}, "callbacks": [], "run_id": uuid.uuid4()}
    before = {
        key: value.copy() if hasattr(value, "copy") else value for key, value in config.items()
    }
    chain = RunnableLambda(same) | {"a": same}
    chain.invoke(1, config)
    list(chain.stream(1, config))
    assert config == before


def test_ensure_config_fills_in_what_is_missing() -> None:
    """Code that reads a config need not ask whether a key is there."""
    assert ensure_config({"tags": ["t"], "mine": 1}) == {  # type: ignore[typeddict-unknown-key]
        "tags": ["t"],
        "metadata": {},
        "callbacks": None,
        "recursion_limit": 25,
        "configurable": {"mine": 1},
    }


def test_configs_add_up() -> None:
    """A block's own settings and a call's are both there; where only one can be, the later one."""
    first, second, third = recording(), recording(), recording()
    merged = merge_configs(
        {"tags": ["a", "b"], "metadata": {"k": 1, "l": 1}, "callbacks": [first], "run_name": "one"},
        None,
        {"tags": ["b", "c"], "metadata": {"k": 2}, "callbacks": [second], "run_name": "two"},
    )
    assert merged["tags"] == ["a", "b", "c"]
    assert merged["metadata"] == {"k": 2, "l": 1}
    assert merged["callbacks"] == [first, second]
    assert merged["run_name"] == "two"
    manager = CallbackManager([], inheritable_handlers=[third])
    for configs in ([merged, {"callbacks": manager}], [{"callbacks": manager}, merged]):
        both: Any = merge_configs(*configs)["callbacks"]  # type: ignore[arg-type]
        assert set(both.inheritable_handlers) == {first, second, third}
    assert manager.inheritable_handlers == [third]
    two: Any = merge_configs({"callbacks": manager}, {"callbacks": CallbackManager([first])})
    assert set(two["callbacks"].handlers) == {first}


async def test_with_config_and_bind_count_for_every_kind_of_call(handler: Any) -> None:
    """What a block is bound to must not depend on how it is called."""
    block = (
        RunnableLambda(lambda x, y: x + y)
        .bind(y=1)
        .with_config({"run_name": "mine"}, callbacks=[handler])
        .bind(z=0)
        .with_config(tags=["own"])
    )
    block = block.bound.bind(**{**block.kwargs, "y": 2}).with_config(block.config)
    block.kwargs.pop("z")
    config: Any = {"tags": ["call"]}
    assert block.invoke(1, config) == 3
    assert await block.ainvoke(1, config) == 3
    assert list(block.stream(1, config)) == [3]
    assert [c async for c in block.astream(1, config)] == [3]
    assert list(block.transform(iter([1]), config)) == [3]
    source = RunnableLambda(same).astream(1)
    assert [c async for c in block.atransform(source, config)] == [3]
    assert block.batch([1], config) == [3]
    assert await block.abatch([1], config) == [3]
    assert block.invoke(1, y=5) == 6
    starts = handler.events.of("on_chain_start")
    assert len(starts) == 9
    assert {kw["name"] for kw in starts} == {"mine"}
    assert [kw["tags"] for kw in starts] == [["own", "call"]] * 8 + [["own"]]


def test_a_name_of_ones_own() -> None:
    """The name is what a trace shows; it can be given wherever a block is made."""
    named = RunnableSequence(RunnableLambda(same), same, name="both")
    assert named.get_name() == "both"
    assert (named | same).get_name() == "both"
    assert (same | named).get_name() == "both"
    assert RunnableLambda(same).pipe(same, name="piped").get_name() == "piped"
    assert RunnableLambda(same, name="mine").get_name() == "mine"
    assert RunnableLambda(same).with_config(run_name="bound").get_name() == "bound"
    assert (RunnableLambda(same) | same).get_name() == "RunnableSequence"


def test_serialized_is_a_dict_with_a_name(handler: Any) -> None:
    """Handlers read serialized["name"], which langchain_core's None breaks."""
    chain = RunnableLambda(same) | {"a": same}
    chain.invoke(1, {"callbacks": [handler], "run_name": "another"})
    told = [args[0] for method, args, _ in handler.events if method == "on_chain_start"]
    assert [one["name"] for one in told] == [
        "RunnableSequence",
        "same",
        "RunnableParallel<a>",
        "same",
    ]
    assert told[0]["id"][-1] == "RunnableSequence"


def test_sequences_are_made_of_what_stands_beside_a_bar() -> None:
    """Functions, dicts and runnables of other libraries are blocks without being wrapped."""
    from langchain_core.runnables import RunnableLambda as Theirs

    class Other:
        def invoke(self, input: Any, config: Any = None) -> Any:  # noqa: A002
            return ("other", input)

    block = RunnableLambda(same)
    assert (block | Theirs(lambda x: x + 1) | Other()).invoke(1) == ("other", 2)
    assert list((block | Theirs(lambda x: x + 1)).stream(1)) == [2]
    assert ((lambda x: x + 1) | block).invoke(1) == 2
    with pytest.raises(ConfigurationError, match="made of runnables, functions and dicts"):
        block | 3  # type: ignore[operator]
    with pytest.raises(ConfigurationError, match="two steps at least, not 1"):
        RunnableSequence(block)


async def test_a_class_with_invoke_alone_is_a_whole_block() -> None:
    """Everything else follows from it."""

    class Own(Runnable[int, int]):
        def invoke(self, input: int, config: Any = None, **kwargs: Any) -> int:  # noqa: A002
            return input + 1

    own = Own()
    assert own.get_name() == "Own"
    assert await own.ainvoke(1) == 2
    assert list(own.stream(1)) == [2]
    assert [c async for c in own.astream(1)] == [2]
    assert own.batch([1, 2]) == [2, 3]
    assert await own.abatch([1, 2]) == [2, 3]
    assert list(own.transform(iter([1, 2]))) == [4]
    assert (own | own).invoke(1) == 3
    assert await (own | own).ainvoke(1) == 3
