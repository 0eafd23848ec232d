"""Flushing, shutting down, exiting and forking, with receivers that work and some that do not."""

from __future__ import annotations

from typing import Any

import pytest

from .receiver import closed_endpoint, grpc_receiver, http_receiver, program, silent_receiver


def refuse(*numbers: int) -> Any:
    """Refuse the requests of these numbers for good."""
    return lambda number: (400 if number in numbers else 200, {})


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
@pytest.mark.parametrize("call", ["force_flush", "shutdown"])
def test_timeouts_hold_when_nothing_answers(protocol: str, call: str) -> None:
    """The SDK waits for 30 seconds and then says that all is well."""
    with silent_receiver() as endpoint:
        outcome = program(
            f"""
            tracing = configure(**arguments)
            step()
            told = [tracing.{call}(50), tracing.stats().waiting, tracing.stats().exported]
            tracing.shutdown(50)
            tell(told)
            """,
            endpoint=endpoint,
            protocol=protocol,
        )
    assert outcome.told == [False, 1, 0]
    assert outcome.stderr.count("Spans do not reach") == 1  # that, and no traceback
    assert f"{endpoint[7:]}" in outcome.stderr


@pytest.mark.parametrize("protocol", ["http/protobuf", "grpc"])
def test_a_program_ends_without_a_collector(protocol: str) -> None:
    """With the SDK's own exit a developer without a collector waits for up to half a minute."""
    endpoint = closed_endpoint()
    outcome = program(
        """
        configure(**arguments)
        for _ in range(600):  # more than a batch
            step()
        """,
        endpoint=endpoint,
        protocol=protocol,
    )
    (warning,) = outcome.stderr.splitlines()
    assert endpoint in warning
    assert "refused" in warning
    assert "configure(endpoint=...)" in warning


def test_a_program_that_configures_delivers_at_its_exit() -> None:
    """Nobody should have to remember a flush at the end of a script."""
    with http_receiver() as receiver:
        program(
            """
            configure(**arguments)
            step()
            callspan.callbacks.CallbackManager.configure().on_chain_start({"name": "open"}, {})
            """,
            endpoint=receiver.endpoint,
        )
    assert receiver.names == ["invoke_workflow step", "invoke_workflow open"]


def test_as_a_context_manager_it_shuts_down() -> None:
    """A script's spans are out when the block is left, with an exception too."""
    with http_receiver() as receiver:
        told = program(
            """
            try:
                with configure(**arguments) as tracing:
                    step()
                    raise KeyError
            except KeyError:
                step()
                told = tracing.stats()
                tell([told.exported, told.failed, told.dropped, told.waiting, told.open_runs,
                      tracing.force_flush(), tracing.shutdown()])
            """,
            endpoint=receiver.endpoint,
        ).told
    assert told == [1, 0, 0, 0, 0, False, True]
    assert receiver.names == ["invoke_workflow step"]


def test_shutdown_ends_open_runs_and_sends_what_the_collector_put_off() -> None:
    """A stream that nobody read to its end has a span as well."""
    with http_receiver() as receiver:
        told = program(
            """
            import gc

            @callspan.traced
            def stream():
                yield 1

            class Cycle: pass

            tracing = configure(**arguments)
            callspan.callbacks.CallbackManager.configure().on_chain_start({"name": "open"}, {})
            cycle = Cycle()
            cycle.self, cycle.stream = cycle, stream()
            next(cycle.stream)
            del cycle
            gc.collect()
            open_runs = tracing.stats().open_runs
            tell([open_runs, tracing.shutdown(), tracing.stats().open_runs])
            """,
            endpoint=receiver.endpoint,
        ).told
    assert told[1:] == [True, 0]
    outcomes = {
        span.name: attribute.value.string_value
        for span in receiver.spans
        for attribute in span.attributes
        if attribute.key == "callspan.run.outcome"
    }
    assert outcomes == {
        "invoke_workflow stream": "abandoned",
        "invoke_workflow open": "unfinished",
    }


def test_each_loss_is_told_once_and_each_outage_warned_of_once() -> None:
    """False for ever after one failure would be as useless as the SDK's True."""
    with http_receiver(refuse(0, 1, 4)) as receiver:
        outcome = program(
            """
            from dataclasses import astuple
            tracing = configure(**arguments)
            flushed = []
            for _ in range(6):
                step()
                flushed.append(tracing.force_flush())
            flushed.append(tracing.force_flush())
            tell([flushed, astuple(tracing.stats()), tracing.shutdown()])
            """,
            endpoint=receiver.endpoint,
        )
    flushed = [False, False, True, True, False, True, True]
    assert outcome.told == [flushed, [3, 3, 0, 0, 0], True]
    assert outcome.stderr.count("Spans do not reach") == len(outcome.stderr.splitlines()) == 2
    assert "400" in outcome.stderr


def test_a_redirect_is_no_delivery() -> None:
    """The SDK takes any 3xx for a success: a login page would swallow every trace."""
    with http_receiver(lambda _number: (302, {"location": "/login"})) as receiver:
        outcome = program(
            """
            tracing = configure(**arguments)
            step()
            tell([tracing.force_flush(), tracing.stats().failed])
            """,
            endpoint=receiver.endpoint,
        )
    assert outcome.told == [False, 1]
    assert "/login" in outcome.stderr


def test_what_a_full_queue_drops_is_counted() -> None:
    """Lost spans that nobody counts look like a program that did less."""
    told = program(
        """
        from threading import Event
        from export.receiver import http_receiver

        arrived, released = Event(), Event()
        def answer(number):
            arrived.set()
            released.wait()
            return 200, {}

        with http_receiver(answer) as receiver:
            tracing = configure(endpoint=receiver.endpoint)
            step()
            arrived.wait()  # the first is on its way, and the queue has room for one
            for _ in range(5):
                step()
            before = tracing.stats()
            released.set()
            flushed = tracing.force_flush()
            after = tracing.stats()
            tell([before.waiting, flushed, after.exported, after.dropped, after.waiting])
        """,
        {"OTEL_BSP_MAX_QUEUE_SIZE": "1", "OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"},
    ).told
    assert told == [6, False, 2, 4, 0]


def test_spans_that_are_recorded_but_not_sampled_are_not_missed() -> None:
    """Such a sampler serves other processors: what is not to be sent is not lost either."""
    with http_receiver() as receiver:
        outcome = program(
            """
            from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult

            class RecordOnly(Sampler):
                def should_sample(self, *args, **kwargs):
                    return SamplingResult(Decision.RECORD_ONLY)

                def get_description(self):
                    return "RecordOnly"

            tracing = configure(**arguments, sampler=RecordOnly())
            step()
            stats = tracing.stats()
            tell([stats.waiting, tracing.force_flush(), tracing.stats().dropped])
            """,
            endpoint=receiver.endpoint,
        )
    assert outcome.told == [0, True, 0]
    assert outcome.stderr == ""


def test_other_exporters_keep_their_log() -> None:
    """The lines of the SDK's exporter are held back for callspan's own exports only."""
    with http_receiver(refuse(*range(9))) as receiver:
        stderr = program(
            """
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import SimpleSpanProcessor
            tracing = configure(**arguments)
            step()
            tracing.force_flush()
            other = TracerProvider()
            url = arguments["endpoint"] + "/other"
            other.add_span_processor(SimpleSpanProcessor(OTLPSpanExporter(url)))
            other.get_tracer("t").start_span("theirs").end()
            """,
            endpoint=receiver.endpoint,
        ).stderr
    assert [line.split(" ", 2)[0] for line in stderr.splitlines()] == ["Spans", "Failed"]


def test_other_threads_keep_their_log_while_spans_are_sent() -> None:
    """An exporter of the program's own may fail at the same time, and says so by the same name."""
    stderr = program(
        """
        import logging
        from threading import Event
        from export.receiver import http_receiver

        arrived, released = Event(), Event()
        def answer(number):
            arrived.set()
            released.wait()
            return 200, {}

        with http_receiver(answer) as receiver:
            tracing = configure(endpoint=receiver.endpoint)
            step()
            arrived.wait()
            name = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
            logging.getLogger(name).warning("theirs")
            released.set()
            assert tracing.force_flush()
        """,
        {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE": "1"},
    ).stderr
    assert stderr == "theirs\n"


def test_runs_after_shutdown_make_no_spans() -> None:
    """They would be taken for spans that wait, and whoever wants them would wait for them."""
    with http_receiver() as receiver:
        outcome = program(
            """
            from opentelemetry.trace import get_current_span
            from callspan import traced

            tracing = configure(**arguments)
            tracing.shutdown()
            recording = traced(lambda: get_current_span().is_recording())()
            tell([recording, tracing.stats().waiting])
            """,
            endpoint=receiver.endpoint,
        )
    assert outcome.told == [False, 0]


def test_what_is_held_back_can_be_read_at_debug_level() -> None:
    """Whoever looks for the cause needs the SDK's own words."""
    with http_receiver(refuse(0)) as receiver:
        stderr = program(
            """
            import logging
            logging.basicConfig(format="%(levelname)s %(name)s %(message)s")
            logging.getLogger("callspan").setLevel("DEBUG")
            tracing = configure(**arguments)
            step()
            tracing.force_flush()
            """,
            endpoint=receiver.endpoint,
        ).stderr
    assert "DEBUG callspan Failed to export" in stderr


def test_a_processor_that_raises_is_survived() -> None:
    """Applications add processors of their own to the provider."""
    with http_receiver() as receiver:
        told = program(
            """
            from opentelemetry.sdk.trace import SpanProcessor

            class Broken(SpanProcessor):
                def force_flush(self, timeout_millis=30000):
                    raise RuntimeError("broken")

            tracing = configure(**arguments)
            tracing.tracer_provider.add_span_processor(Broken())
            step()
            tell([tracing.force_flush(), tracing.shutdown()])
            """,
            endpoint=receiver.endpoint,
        ).told
    assert told == [False, True]
    assert receiver.names == ["invoke_workflow step"]


@pytest.mark.parametrize(
    ("receiving", "protocol"), [(http_receiver, "http/protobuf"), (grpc_receiver, "grpc")]
)
def test_a_forked_process_delivers_its_own_spans(receiving: Any, protocol: str) -> None:
    """Servers fork their workers: each span goes out once, and from the right process."""
    with receiving() as receiver:
        told = program(
            """
            import os
            tracing = configure(**arguments)
            step()
            assert tracing.force_flush()  # a connection is open, which the child must not use

            @callspan.traced
            def parent():
                child = os.fork()
                if child:
                    return os.waitpid(child, 0)[1]
                step()
                stats = tracing.stats()
                assert (stats.exported, stats.waiting, stats.open_runs) == (0, 1, 0), stats
                assert tracing.force_flush()
                sys.exit()  # through the child's own exit

            status = parent()
            tell([status, tracing.force_flush(), tracing.stats().exported])
            """,
            endpoint=receiver.endpoint,
            protocol=protocol,
        ).told
    assert told == [0, True, 2]
    assert receiver.names == ["invoke_workflow step", "step", "invoke_workflow parent"]
    before, inside, _ = receiver.requests
    assert before.peer != inside.peer
    _, child, parent = receiver.spans
    assert child.parent_span_id == parent.span_id


def test_a_forked_process_ends_when_nothing_answers() -> None:
    """A child has none of its parent's threads: waiting for one of them is waiting for ever."""
    with silent_receiver() as endpoint:
        told = program(
            """
            import os
            tracing = configure(**arguments)
            step()
            tracing.force_flush(10)  # the parent's threads are busy now
            child = os.fork()
            step()
            if child:
                tell([os.waitpid(child, 0)[1], tracing.shutdown(10)])
            else:
                assert not tracing.shutdown(10)
            """,
            endpoint=endpoint,
        ).told
    assert told == [0, False]
