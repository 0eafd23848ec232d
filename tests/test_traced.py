"""`@traced`: a function of the user's own as a run, and as the function that it is."""

from __future__ import annotations

import asyncio
import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from opentelemetry.trace import SpanKind

from callspan import traced, use_config
from callspan.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from callspan.outputs import Generation, LLMResult
from support import SpanLog, current, parameters, recording


def heard(handler: Any) -> list[tuple[str, tuple[Any, ...]]]:
    return [(method, args) for method, args, _ in handler.events]


def test_a_function(spans: SpanLog, handler: Any) -> None:
    """The arguments by name, and the result: what `@traced` promises to handlers and spans."""

    @traced
    def add(a: int, b: int = 2, *rest: int, c: int = 3, **more: int) -> int:
        assert current() == "add"
        return a + b

    with use_config(callbacks=[handler]):
        assert add(1, c=5, d=6) == 3
        assert add(b=1, a=1) == 2
    serialized = {"name": "add", "id": [__name__, "add"]}
    assert heard(handler)[:2] == [
        ("on_chain_start", (serialized, {"a": 1, "c": 5, "more": {"d": 6}})),
        ("on_chain_end", (3,)),
    ]
    assert handler.events.of("on_chain_start")[0]["name"] == "add"
    assert spans.tree() == ["add", "add"]


KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "chain": ({"q": "x", "k": 1}, "result", {}),
    "agent": ({"q": "x", "k": 1}, "result", {"run_type": "agent"}),
    "tool": ("{'q': 'x', 'k': 1}", "result", {"inputs": {"q": "x", "k": 1}}),
    "retriever": ("x", "result", {}),
    "llm": (["x"], "result", {}),
}


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_kinds(kind: Any, is_async: bool, spans: SpanLog, handler: Any) -> None:
    """Each kind's events carry what handlers of that kind expect."""

    def body(q: str, k: int) -> str:
        return "result"

    async def abody(q: str, k: int) -> str:
        return "result"

    decorated: Any = traced(abody if is_async else body, kind=kind, name="mine")
    with use_config(callbacks=[handler]):
        assert (asyncio.run(decorated("x", 1)) if is_async else decorated("x", k=1)) == "result"
    (start, (_, given), told), (end, (result,), _) = handler.events
    event = "chain" if kind == "agent" else kind
    assert (start, end) == (f"on_{event}_start", f"on_{event}_end")
    expected, _, extra = KINDS[kind]
    assert given == expected
    assert {key: told.get(key) for key in extra} == extra
    assert told["name"] == "mine"
    assert (result.generations[0][0].text if kind == "llm" else result) == "result"
    assert spans.named("mine").attributes["callspan.run.type"] == kind


def test_tags_and_metadata(handler: Any) -> None:
    """Those of the decorator are the function's and its descendants', added to the ones around."""

    @traced
    def inner() -> None:
        pass

    @traced(name="named", tags=["t"], metadata={"k": 1})
    def outer() -> None:
        inner()

    with use_config(callbacks=[handler], tags=["u"], metadata={"l": 2}):
        outer()
        inner()
    told = [(k["name"], k["tags"], k["metadata"]) for k in handler.events.of("on_chain_start")]
    assert told == [
        ("named", ["u", "t"], {"l": 2, "k": 1}),
        ("inner", ["u", "t"], {"l": 2, "k": 1}),
        ("inner", ["u"], {"l": 2}),
    ]


class Methods:
    @traced
    def plain(self, x: int) -> int:
        return x

    @classmethod
    @traced
    def of_class(cls, x: int) -> int:
        return x

    @staticmethod
    @traced(kind="retriever")
    def static(x: int) -> int:
        return x

    @traced(kind="llm")
    async def model(self, prompt: str) -> str:
        return prompt.upper()

    def __repr__(self) -> str:
        raise RuntimeError("half made")


def test_methods(handler: Any, spans: SpanLog) -> None:
    """`self` and `cls` are no input: they would put whole objects onto spans."""
    with use_config(callbacks=[handler]):
        assert Methods().plain(1) == Methods.of_class(1) == Methods.static(1) == 1
        assert asyncio.run(Methods().model("p")) == "P"
    starts = [args[1] for method, args, _ in handler.events if "start" in method]
    assert starts == [{"x": 1}, {"x": 1}, "1", ["p"]]


def test_below_the_decorators_of_methods(handler: Any) -> None:
    """The order of decorators is easily confused; a static method must not become a bound one."""

    class Reversed:
        @traced
        @staticmethod
        def static(x: int) -> int:
            return x

        @traced(name="named")
        @classmethod
        def of_class(cls, x: int) -> tuple[type, int]:
            return cls, x

    with use_config(callbacks=[handler]):
        assert Reversed().static(1) == Reversed.static(1) == 1
        assert Reversed().of_class(2) == (Reversed, 2)
    told = handler.events.of("on_chain_start")
    assert [k["name"] for k in told] == ["static", "static", "named"]


def test_it_stays_the_function_that_it_is() -> None:
    """Frameworks look at a function: whether it is a coroutine, its signature, its name."""

    def function(a: int, *, b: str = "") -> None:
        """Say what it does."""

    async def coroutine() -> None: ...

    def generator() -> Any:
        yield

    async def agenerator() -> Any:
        yield

    for fn, is_kind in (
        (function, lambda fn: not inspect.iscoroutinefunction(fn)),
        (coroutine, inspect.iscoroutinefunction),
        (generator, inspect.isgeneratorfunction),
        (agenerator, inspect.isasyncgenfunction),
        (functools.partial(coroutine), inspect.iscoroutinefunction),
    ):
        decorated: Callable[..., Any] = traced(fn)
        assert is_kind(decorated)
        assert parameters(decorated) == parameters(fn)
        assert decorated.__doc__ == fn.__doc__
    assert traced(function).__name__ == "function"


async def later(x: int) -> int:
    await asyncio.sleep(0)
    assert current() == "start"
    leaf()
    if x < 0:
        raise ValueError(x)
    return x


@traced
def leaf() -> None:
    pass


@traced
def start(x: int) -> Any:
    assert current() == "start"
    return later(x)


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_function_that_returns_a_coroutine(is_async: bool, spans: SpanLog) -> None:
    """A plain function around an async one is as long as that, and what it does is inside."""
    base: Any = AsyncCallbackHandler if is_async else BaseCallbackHandler
    handler = recording(base, is_async=is_async)
    with use_config(callbacks=[handler]):
        made = start(1)
    assert inspect.iscoroutine(made)
    assert made.__qualname__ == "later"
    assert spans.open == ["start"]
    assert await asyncio.create_task(made) == 1
    assert spans.tree() == ["start", "  leaf"]
    assert heard(handler)[-1] == ("on_chain_end", (1,))
    with pytest.raises(ValueError, match="-1"):
        await start(-1)
    assert current() == "nothing"
    assert [span.attributes["callspan.run.outcome"] for span in spans.ended] == [
        *["ok", "ok"],
        *["ok", "error"],
    ]


async def test_a_returned_coroutine_that_does_not_come_to_its_end(spans: SpanLog) -> None:
    """Cancelled, closed or forgotten: its run ends all the same."""
    task = asyncio.create_task(start(1))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    begun = start(1)
    begun.send(None)
    begun.close()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "coroutine 'later' was never awaited")
        start(1)
    outcomes = [span.attributes["callspan.run.outcome"] for span in spans.ended]
    assert outcomes == ["cancelled", "abandoned", "abandoned"]


def test_a_model_behind_a_function(spans: SpanLog) -> None:
    """Costs are counted by model and tokens, also for a vendor that has no block here."""

    @traced(kind="llm", metadata={"ls_model_name": "m-1", "ls_provider": "mistral"})
    def ask(prompt: str) -> LLMResult:
        counts = {"prompt_tokens": 3, "completion_tokens": 2}
        answer = Generation(text=prompt.upper())
        return LLMResult(generations=[[answer]], llm_output={"token_usage": counts})

    assert ask("hi").generations[0][0].text == "HI"
    (span,) = spans.ended
    assert (span.name, span.kind) == ("text_completion m-1", SpanKind.CLIENT)
    wanted = {
        "gen_ai.provider.name": "mistral_ai",
        "gen_ai.request.model": "m-1",
        "gen_ai.usage.input_tokens": 3,
        "gen_ai.usage.output_tokens": 2,
    }
    assert {key: span.attributes.get(key) for key in wanted} == wanted
