"""Fixtures of all tests: spans, providers, and two checks that go with every test.

Every test must leave the OpenTelemetry Context as it was, and neither OpenTelemetry nor asyncio
may log a warning, unless the test takes it from `forbidden`.
"""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from opentelemetry.context import Context, attach, get_current
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Tracer

from support import Forbidden, SpanLog, global_provider, logged_provider, recording


@pytest.fixture
def spans() -> Iterator[SpanLog]:
    """The spans of the global provider, which is new in each test."""
    provider, log = logged_provider()
    with global_provider(provider):
        yield log
    provider.shutdown()


@pytest.fixture
def provider(spans: SpanLog) -> TracerProvider:
    """The global provider, whose spans are in `spans`."""
    assert spans.provider is not None
    return spans.provider


@pytest.fixture
def tracer(provider: TracerProvider) -> Tracer:
    """A tracer of the user's own; one from the API would stay with another test's provider."""
    return provider.get_tracer("user")


@pytest.fixture
def other_spans() -> Iterator[SpanLog]:
    """The spans of a provider that is not the global one."""
    provider, log = logged_provider()
    yield log
    provider.shutdown()


@pytest.fixture
def other_provider(other_spans: SpanLog) -> TracerProvider:
    """A provider that is not the global one; its spans are in `other_spans`."""
    assert other_spans.provider is not None
    return other_spans.provider


@pytest.fixture
def handler() -> Any:
    """A sync handler that keeps every event in `handler.events`."""
    return recording()


@pytest.fixture(autouse=True)
def forbidden() -> Iterator[Forbidden]:
    """What OpenTelemetry and asyncio complained about: the test fails if there is any left."""
    handler = Forbidden()
    loggers = [logging.getLogger(name) for name in Forbidden.LOGGERS]
    for logger in loggers:
        logger.addHandler(handler)
    yield handler
    for logger in loggers:
        logger.removeHandler(handler)
    assert handler.messages == []


@pytest.fixture(autouse=True)
def _no_global_provider() -> Iterator[None]:
    """No test sees a provider that another one has set."""
    with global_provider(None):
        yield


def pytest_itemcollected(item: pytest.Item) -> None:
    """Check the Context inside each test: an async one has a task, and so a Context, of its own."""
    if isinstance(item, pytest.Function):
        test = getattr(item.obj, "hypothesis", None)
        if test is None:
            item.obj = _keeping_context(item.obj)
        elif not hasattr(test.inner_test, "keeps_context"):
            test.inner_test = _keeping_context(test.inner_test)


def _keeping_context(test: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(test)
    def checked(*args: Any, **kwargs: Any) -> None:
        with _same_context():
            test(*args, **kwargs)

    @functools.wraps(test)
    async def achecked(*args: Any, **kwargs: Any) -> None:
        with _same_context():
            await test(*args, **kwargs)

    wrapped = achecked if inspect.iscoroutinefunction(test) else checked
    wrapped.keeps_context = True  # type: ignore[attr-defined]
    return wrapped


@contextmanager
def _same_context() -> Iterator[None]:
    before = get_current()
    yield
    after = get_current()
    # A live Context of LangChain's runs may stay, as long as it answers what was there before.
    if after is not before and (type(after) is Context or after != before):
        attach(before)  # one failure is enough
        pytest.fail(f"the test has left another OpenTelemetry Context behind: {after}")
