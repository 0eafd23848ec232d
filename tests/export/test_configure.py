"""configure: what it refuses, what it keeps, and what a second call does."""

from __future__ import annotations

import math
from typing import Any

import pytest
from opentelemetry.trace import get_tracer_provider

from callspan.errors import ConfigurationError
from callspan.export import configure
from callspan.tracing.implicit import implicit

from .receiver import closed_endpoint, http_receiver, program


@pytest.mark.parametrize(
    "arguments",
    [
        {"service_name": 1},
        {"service_name": " "},
        {"endpoint": "localhost:4318"},
        {"endpoint": "ftp://localhost:4318"},
        {"endpoint": "http://"},
        {"endpoint": "http://:4318"},
        {"endpoint": "//localhost:4318"},
        {"endpoint": "http://localhost:99999"},
        {"endpoint": "http://localhost:port"},
        {"endpoint": "http://[::1"},
        {"endpoint": "http://localhost:4318\n"},
        {"endpoint": ""},
        {"endpoint": 4318},
        {"protocol": "http"},
        {"protocol": "http/json"},
        {"protocol": ["grpc"]},
        {"headers": "x-api-key=a"},
        {"headers": [("x-api-key", "a")]},
        {"headers": {"x-api-key": 1}},
        {"headers": {"x-api-key": b"a"}},
        {"headers": {"x-api-key": "a\n"}},
        {"headers": {"x-api-key": "schlüssel"}},
        {"headers": {"x api key": "a"}},
        {"headers": {"": "a"}},
        {"headers": {1: "a"}},
        {"resource_attributes": "team=search"},
        {"resource_attributes": {"team": None}},
        {"resource_attributes": {"team": {"name": "search"}}},
        {"resource_attributes": {"team": [1, "a"]}},
        {"resource_attributes": {"": "a"}},
        {"resource_attributes": {1: "a"}},
        {"sampler": "always_on"},
        {"sampler": 0.5},
        {"console": "yes"},
        {"console": None},
        {"instrument_threads": 1},
        {"capture_content": "yes"},
        {"redact": "all"},
    ],
)
def test_bad_arguments_are_refused_before_anything_is_changed(arguments: dict[str, Any]) -> None:
    """A global provider can be set only once: after a mistake, the corrected call has to work."""
    before = get_tracer_provider(), implicit.handler
    with pytest.raises(ConfigurationError) as caught:
        configure(**arguments)
    (name,) = arguments
    assert name in str(caught.value)
    assert (get_tracer_provider(), implicit.handler) == before


@pytest.mark.parametrize("value", ["hunter2\n", b"hunter2", "hunter2é"])
def test_no_message_shows_a_header(value: Any) -> None:
    """Headers hold keys, and messages end up in logs."""
    with pytest.raises(ConfigurationError) as caught:
        configure(headers={"authorization": value})
    assert "hunter2" not in str(caught.value)


def test_headers_and_credentials_are_neither_logged_nor_shown() -> None:
    """What is said about an endpoint that does not answer is read by many."""
    endpoint = closed_endpoint().replace("://", "://user:hunter2@") + "/?key=hunter2"
    outcome = program(
        """
        import logging
        logging.basicConfig(level="DEBUG")
        tracing = configure(**arguments)
        step()
        tracing.shutdown(2000)
        print(tracing, vars(tracing))
        try:
            configure()
        except ConfigurationError as error:
            print(error)
        """,
        endpoint=endpoint,
        headers={"authorization": "hunter2"},
    )
    assert "Spans do not reach http://127.0.0.1" in outcome.stderr
    assert "hunter2" not in outcome.stdout + outcome.stderr


def test_the_same_arguments_give_the_same_tracing() -> None:
    """Two modules of a program, or a cell run twice, may both configure."""
    told = program(
        """
        def redact(key, value): return value
        def again(**arguments):
            try:
                return configure("shop", redact=redact, **arguments) is first
            except ConfigurationError as error:
                return str(error)

        headers = {"a": "1"}
        first = configure("shop", redact=redact, headers=headers)
        told = [again(headers={"a": "1"}), again(headers={"a": "2"}), again(console=True)]
        headers["a"] = "2"
        tell([*told, again(headers=headers), again(headers={"a": "1"})])
        """,
        {"OTEL_TRACES_EXPORTER": "none"},
    ).told
    assert told[0] is told[4] is True
    assert "another headers:" in told[1]
    assert "another headers, another console:" in told[2]
    assert "another headers:" in told[3]


def test_after_shutdown_it_says_why_it_cannot_be_configured_again() -> None:
    """The SDK would log a line and drop every span."""
    told = program(
        """
        configure("shop").shutdown()
        try:
            configure("shop")
        except ConfigurationError as error:
            tell(str(error))
        """,
        {"OTEL_TRACES_EXPORTER": "none"},
    ).told
    assert "one global tracer provider" in told
    assert "force_flush()" in told


def test_threads_that_configure_at_once_get_one_tracing() -> None:
    """Web servers load an application in several threads."""
    told = program(
        """
        from concurrent.futures import ThreadPoolExecutor
        from threading import Barrier, enumerate
        barrier = Barrier(8)
        def call(_):
            barrier.wait()
            return configure("shop")
        with ThreadPoolExecutor(8) as pool:
            found = list(pool.map(call, range(8)))
        tell([len(set(map(id, found))), [t.name for t in enumerate()].count("callspan-delivery")])
        """,
        {"OTEL_TRACES_EXPORTER": "none"},
    ).told
    assert told == [1, 1]


OWN = """
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
exporter = InMemorySpanExporter()
own = TracerProvider()
own.add_span_processor(SimpleSpanProcessor(exporter))
trace.set_tracer_provider(own)
def names():
    return [span.name for span in exporter.get_finished_spans()]
"""


def test_a_provider_of_the_applications_own_is_kept_and_used() -> None:
    """The application knows where its spans go; two pipelines would send each span twice."""
    with http_receiver() as receiver:
        outcome = program(
            OWN
            + """
tracing = configure("shop", capture_content=True, **arguments)
step("question")
assert tracing.tracer_provider is trace.get_tracer_provider() is own
span, = exporter.get_finished_spans()
tell([tracing.force_flush(), span.name, "question" in span.attributes["input.value"]])
            """,
            endpoint=receiver.endpoint,
            console=True,
        )
    assert outcome.told == [True, "invoke_workflow step", True]
    assert receiver.requests == []
    assert "service_name, endpoint, console given to configure had no effect" in outcome.stderr
    assert "invoke_workflow" not in outcome.stdout.splitlines()[:-1]


def test_shutdown_leaves_the_applications_provider_alone() -> None:
    """It is not ours to close: the application's other spans still have to go out."""
    outcome = program(
        OWN
        + """
tracing = configure()
run = callspan.callbacks.CallbackManager.configure().on_chain_start({"name": "open"}, {})
assert tracing.stats().open_runs == 1
first = tracing.shutdown()
with own.get_tracer("t").start_as_current_span("later"):
    step()
second = configure()
tell([first, second is tracing, names()])
"""
    )
    assert outcome.told == [
        True,
        False,
        ["invoke_workflow open", "invoke_workflow step", "later"],
    ]
    assert outcome.stderr == ""


def test_open_runs_end_at_exit_in_the_applications_provider() -> None:
    """What was going on when a program ended is what one looks for in its last trace."""
    outcome = program(
        """
        from opentelemetry import trace
        from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
        from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

        class Flushed(SpanProcessor):
            def force_flush(self, timeout_millis=30000):
                print("flushed")
                return True

        own = TracerProvider()
        own.add_span_processor(Flushed())
        own.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
        trace.set_tracer_provider(own)
        configure()
        callspan.callbacks.CallbackManager.configure().on_chain_start({"name": "open"}, {})
        """
    )
    assert '"callspan.run.outcome": "unfinished"' in outcome.stdout
    assert "flushed" not in outcome.stdout, "that provider delivers at its own exit"


def test_a_disabled_sdk_changes_nothing() -> None:
    """OTEL_SDK_DISABLED is the switch to take tracing out of a running system."""
    outcome = program(
        """
        tracing = configure("shop", console=True, endpoint="http://127.0.0.1:9")
        assert step("answer") == "answer"
        tell([tracing.force_flush(), tracing.shutdown(), tracing.stats().exported])
        """,
        {"OTEL_SDK_DISABLED": "True"},
    )
    assert outcome.told == [True, True, 0]
    assert outcome.stdout.count("\n") == 1
    assert outcome.stderr == ""


def test_a_provider_that_is_not_installed_costs_the_spans_alone() -> None:
    """The variable may be meant for another program: runs go on, and configure names it."""
    told = program(
        """
        results = [step("answer")]
        try:
            configure("shop")
        except callspan.ConfigurationError as error:
            results.append(str(error))
        tell(results)
        """,
        {"OTEL_PYTHON_TRACER_PROVIDER": "zzz"},
    ).told
    assert told[0] == "answer"
    assert told[1].startswith("OTEL_PYTHON_TRACER_PROVIDER names no tracer provider")


def test_numbers_and_lists_describe_a_resource() -> None:
    """OpenTelemetry's attributes are more than text."""
    attributes = {"a": 1, "b": math.pi, "c": True, "d": ["x", "y"], "e": []}
    told = program(
        """
        resource = configure(**arguments).tracer_provider.resource.attributes
        tell({key: resource[key] for key in arguments["resource_attributes"]})
        """,
        {"OTEL_TRACES_EXPORTER": "none"},
        resource_attributes=attributes,
    ).told
    assert told == attributes


def test_threads_are_instrumented_when_that_is_asked_for() -> None:
    """One argument more is what a program has to change so that its threads are in the trace."""
    told = program(
        """
        from threading import Thread
        from opentelemetry import trace
        from opentelemetry.sdk.trace import TracerProvider
        before, current = Thread.start, []

        @callspan.traced
        def outer():
            thread = Thread(target=lambda: current.append(trace.get_current_span()))
            thread.start()
            thread.join()
            return current[-1] is trace.get_current_span()

        trace.set_tracer_provider(TracerProvider())
        tracing = configure(instrument_threads=True)
        told = [outer()]
        callspan.uninstrument_threads()
        tell([*told, outer(), Thread.start is before])
        """
    )
    assert told.told == [True, False, True]
    assert told.stderr == ""
