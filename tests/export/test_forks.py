"""Processes that fork while runs are open, with the SDK's own processors and exporters."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from .receiver import http_receiver, program

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="the system cannot fork")

PRELUDE = """
import os, signal
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor
from callspan import OTelCallbackHandler, traced, use_config

first = os.getpid()
signal.alarm(60)  # a deadlock is to fail

def line(span):
    return json.dumps({
        "name": span.attributes.get("callspan.run.name", span.name),
        "in_child": os.getpid() != first,
        "outcome": span.attributes.get("callspan.run.outcome"),
        "id": span.context.span_id,
        "parent": span.parent and span.parent.span_id,
        "remote": bool(span.parent and span.parent.is_remote),
    }) + chr(10)

provider = TracerProvider()
if "path" in arguments:
    out = open(arguments["path"], "a")
    provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter(out=out, formatter=line)))
handler = OTelCallbackHandler(tracer_provider=provider)

def forked():
    "As os.fork; the parent returns once the child has ended well."
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 0
    else:
        signal.alarm(60)
    return child

@traced
def inner():
    pass
"""


def exported(code: str, tmp_path: Path) -> list[dict[str, Any]]:
    """What a program and its children wrote of their spans to a file, with the parents' names."""
    path = tmp_path / "spans"
    program(PRELUDE + code, path=str(path))
    spans = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    names = {span["id"]: span["name"] for span in spans}
    return [{**span, "parent": names.get(span["parent"])} for span in spans]


def places(spans: list[dict[str, Any]]) -> list[tuple[str, bool, str | None]]:
    """The name of each span, whether it is of a forked process, and its parent's name."""
    return [(span["name"], span["in_child"], span["parent"]) for span in spans]


@pytest.mark.parametrize("way", ["a config", "use_config", "the global provider"])
@pytest.mark.parametrize("end", ["return", "sys.exit", "raise"])
def test_an_open_run_ends_in_the_parent_only(way: str, end: str, tmp_path: Path) -> None:
    """No backend can make sense of two spans with the same id and different ends."""
    spans = exported(
        f"way, end = {way!r}, {end!r}"
        """
from callspan.runnables import RunnableLambda

def fork(given):
    if not forked():
        inner()
        if end == "sys.exit":
            sys.exit()
        if end == "raise":
            raise LookupError
    return given

def after(given):
    return given

if way == "the global provider":
    trace.set_tracer_provider(provider)
chain = RunnableLambda(fork) | RunnableLambda(after)
config = {"callbacks": [handler]} if way == "a config" else {}
with use_config(callbacks=[handler] if way == "use_config" else []):
    try:
        chain.invoke(1, config)
    except LookupError:
        pass
""",
        tmp_path,
    )
    goes_on = [("after", True, "RunnableSequence")] if end == "return" else []
    assert places(spans) == [
        ("inner", True, "fork"),
        *goes_on,
        ("fork", False, "RunnableSequence"),
        ("after", False, "RunnableSequence"),
        ("RunnableSequence", False, None),
    ]
    assert {span["outcome"] for span in spans} == {"ok"}
    assert [span["remote"] for span in spans] == [span["in_child"] for span in spans]


def test_streams_that_are_open(tmp_path: Path) -> None:
    """A child may read on in a stream of its parent's, or drop it: neither ends its run."""
    spans = exported(
        """
from callspan.language_models import FakeListChatModel

model = FakeListChatModel(responses=["abc", "abc"])
read, dropped = [model.stream("?", {"callbacks": [handler]}) for _ in range(2)]
next(read), next(dropped)
if forked():
    read.close(), dropped.close()
else:
    assert "".join(chunk.text for chunk in read) == "bc"
    del dropped
""",
        tmp_path,
    )
    assert [(span["in_child"], span["outcome"]) for span in spans] == [
        (False, "abandoned"),
        (False, "abandoned"),
    ]


def test_below_a_span_of_the_user_s_own(tmp_path: Path) -> None:
    """The user's span inside a run is the parent of what is below it, in whichever process."""
    spans = exported(
        """
@traced
def outer():
    with provider.get_tracer("user").start_as_current_span("user"):
        if not forked():
            inner()
            os._exit(0)

with use_config(callbacks=[handler]):
    outer()
""",
        tmp_path,
    )
    assert places(spans) == [
        ("inner", True, "user"),
        ("user", False, "outer"),
        ("outer", False, None),
    ]


def test_children_of_children(tmp_path: Path) -> None:
    """However many forks lie between, a run's place is known and each process ends its own."""
    spans = exported(
        """
def level(depth):
    if depth and not forked():
        traced(level, name=f"level {depth - 1}")(depth - 1)

with use_config(callbacks=[handler]):
    traced(level, name="level 2")(2)
""",
        tmp_path,
    )
    assert places(spans) == [
        ("level 0", True, "level 1"),
        ("level 1", True, "level 2"),
        ("level 2", False, None),
    ]
    assert [span["remote"] for span in spans] == [True, True, False]


def test_what_a_child_is_told_of_its_parent_s_runs(tmp_path: Path) -> None:
    """An attribute set on a span that is not the child's own would be lost in silence."""
    exported(
        """
from callspan.callbacks import CallbackManager

run = CallbackManager.configure([handler]).on_chain_start({"name": "outer"}, {})
span = handler.get_span(run.run_id)
if not forked():
    assert handler.get_span(run.run_id) is None
    found = handler.get_span_context(run.run_id)
    assert (found.trace_id, found.span_id) == (span.context.trace_id, span.context.span_id)
    with run.activate():
        inner()
    run.get_child().on_chain_start({"name": "late"}, {}).on_chain_end({})
    os._exit(0)
run.on_chain_end({})
""",
        tmp_path,
    )
    spans = [json.loads(one) for one in (tmp_path / "spans").read_text().splitlines()]
    inner, late, outer = spans
    assert inner["parent"] == late["parent"] == outer["id"]
    assert inner["remote"]
    assert late["remote"]


def test_locks_that_another_thread_holds(tmp_path: Path) -> None:
    """The thread that would let go of a lock is not there in the child."""
    spans = exported(
        """
from threading import Event, Thread
from callspan.callbacks import UsageMetadataCallbackHandler
from callspan.tracing.registry import registry_of

class Slow(TracerProvider):
    def get_tracer(self, *args, **kwargs):
        inside.set()
        go_on.wait()
        return super().get_tracer(*args, **kwargs)

inside, go_on = Event(), Event()
thread = Thread(target=lambda: registry_of(Slow()))
thread.start()
inside.wait()
if not forked():
    with use_config(callbacks=[handler]):
        inner()
    os._exit(0)
go_on.set()
thread.join()
""",
        tmp_path,
    )
    assert places(spans) == [("inner", True, None)]


def test_another_thread_adds_up_an_agents_tokens(tmp_path: Path) -> None:
    """A server that forks while an agent works would have workers whose agents never end."""
    spans = exported(
        """
from threading import Event, Thread
from callspan.language_models import GenericFakeChatModel
from callspan.messages import AIMessage
from callspan.tracing import ending

def add_up():
    with ending._usage_lock:
        inside.set()
        go_on.wait()

@traced(kind="agent")
def agent():
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    GenericFakeChatModel(messages=iter([AIMessage("a", usage_metadata=usage)])).invoke("q")

inside, go_on = Event(), Event()
thread = Thread(target=add_up)
thread.start()
inside.wait()
if not forked():
    with use_config(callbacks=[handler]):
        agent()
    os._exit(0)
go_on.set()
thread.join()
""",
        tmp_path,
    )
    assert [(span["name"], span["in_child"]) for span in spans] == [
        ("GenericFakeChatModel", True),
        ("agent", True),
    ]


def test_processes_of_multiprocessing(tmp_path: Path) -> None:
    """Work spread over processes belongs to the run that spread it."""
    spans = exported(
        """
import multiprocessing

@traced
def outer():
    context = multiprocessing.get_context("fork")
    process = context.Process(target=inner)
    process.start()
    process.join()
    with context.Pool(1) as pool:
        pool.apply(inner)
        pool.close()
        pool.join()

with use_config(callbacks=[handler]):
    outer()
""",
        tmp_path,
    )
    assert places(spans) == [
        ("inner", True, "outer"),
        ("inner", True, "outer"),
        ("outer", False, None),
    ]


def test_workers_over_otlp() -> None:
    """A server loads the application, forks its workers, and goes on: as gunicorn does it."""
    with http_receiver() as receiver:
        told = program(
            PRELUDE
            + """
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace.export import BatchSpanProcessor

exporter = OTLPSpanExporter(endpoint=arguments["endpoint"] + "/v1/traces")
provider.add_span_processor(BatchSpanProcessor(exporter))

@traced
def load():
    inner()
    assert provider.force_flush()  # the worker thread and a connection are there
    return [fork_worker() for _ in range(2)]

def fork_worker():
    child = os.fork()
    if not child:
        for _ in range(3):
            traced(inner, name="request")()
        sys.exit()  # through the frames of load, and the SDK's own exit
    return child

with use_config(callbacks=[handler]):
    children = load()
tell([os.waitpid(child, 0)[1] for child in children])
""",
            endpoint=receiver.endpoint,
        ).told
    assert told == [0, 0]
    ids = [span.span_id for span in receiver.spans]
    assert len(ids) == len(set(ids))
    names = sorted(name.removeprefix("invoke_workflow ") for name in receiver.names)
    assert names == ["inner"] * 7 + ["load"] + ["request"] * 6
    (load,) = [span for span in receiver.spans if "load" in span.name]
    below = [span for span in receiver.spans if span.parent_span_id == load.span_id]
    assert len(below) == 7
