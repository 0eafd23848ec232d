"""What tracing adds to LangChain, measured side by side: `python -m benchmarks.langchain`.

All tracers take turns in one process, a slot of some milliseconds each, for many rounds: a change
of the machine's speed meets them all. A figure is the median over the rounds of the CPU time that
a tracer adds to the program. OpenInference and OpenLLMetry take part where they are installed:
`make bench` does that. They, and callspan "with content", record prompts and answers.
"""

from __future__ import annotations

import asyncio
import gc
import statistics
import sys
import time
from typing import Any

from langchain_core.callbacks import CallbackManager
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks.core import memory_after
from benchmarks.lc_programs import PROGRAMS, Config, Program
from benchmarks.lc_tracers import OURS, PEERS, TRACERS, add_peers, provider
from benchmarks.minimal import Minimal
from callspan.langchain import OTelCallbackHandler
from callspan.langchain.runs import open_runs

ROUNDS = 25
SECONDS_A_SLOT = 0.012
VARIES = ("callspan.run.id", "gen_ai.response.time_to_first_chunk", "checkpoint_ns")


def measure(program: Program) -> dict[str, float]:
    """Return the microseconds a call: the whole without a tracer, what each tracer adds to it."""
    with TRACERS["untraced"]() as config:
        calls = max(5, int(SECONDS_A_SLOT * 1e6 / repeat(program, config, 50)))
    rounds = []
    for _ in range(ROUNDS):
        took = {}
        for name, tracer in TRACERS.items():
            with tracer() as config:
                repeat(program, config, calls // 3 + 1)  # the interpreter adapts to what is patched
                gc.collect()
                took[name] = repeat(program, config, calls)
        rounds.append(took)
    added = {
        name: statistics.median(took[name] - took["untraced"] for took in rounds)
        for name in TRACERS
    }
    return {**added, "untraced": statistics.median(took["untraced"] for took in rounds)}


def repeat(program: Program, config: Config, calls: int) -> float:
    """Return the microseconds of CPU time that a call takes."""

    async def run() -> float:
        start = time.process_time()
        for _ in range(calls):
            result = program(config)
            if asyncio.iscoroutine(result):
                await result
        return (time.process_time() - start) / calls * 1e6

    if asyncio.iscoroutinefunction(program):
        return asyncio.run(run())
    start = time.process_time()
    for _ in range(calls):
        program(config)
    return (time.process_time() - start) / calls * 1e6


def spans_of(program: Program, tracer: type) -> list[Any]:
    """The spans that a handler makes of a program, without what differs from call to call."""
    exporter = InMemorySpanExporter()
    repeat(program, {"callbacks": [tracer(tracer_provider=provider(exporter))]}, 1)
    spans = sorted(exporter.get_finished_spans(), key=lambda span: span.start_time or 0)
    names = {span.context.span_id: span.name for span in spans}
    return [
        (
            span.name,
            span.kind,
            span.parent and names[span.parent.span_id],
            {k: v for k, v in (span.attributes or {}).items() if not k.endswith(VARIES)},
            [event.name for event in span.events],
        )
        for span in spans
    ]


def never_ended(runs: int, bound: int) -> int:
    """Return how many runs are open, of which no end is sent, with a bound on them."""
    handler = OTelCallbackHandler(tracer_provider=provider(), max_open_runs=bound)
    managers = [
        CallbackManager.configure([handler]).on_chain_start({}, {}, name="lost")
        for _ in range(runs)
    ]
    left = len(open_runs)
    del managers
    return left


def main() -> None:
    """Print every figure."""
    add_peers()
    for name, program in PROGRAMS.items():
        ours, minimal = spans_of(program, OTelCallbackHandler), spans_of(program, Minimal)
        assert ours == minimal, f"{name}: the minimal handler makes other spans:\n{minimal}\n{ours}"
    gc.collect()
    gc.freeze()  # a collection before each slot is to look at its leavings alone

    print("Microseconds a call, and what each tracer adds to them")
    for peer in PEERS:
        if peer not in TRACERS:
            print(f"  {peer} is not installed")
    print(" " * 24 + "".join(f"{tracer:>14}" for tracer in TRACERS))
    measured = {}
    for name, program in PROGRAMS.items():
        if all(part in name for part in sys.argv[1:]):
            took = measured[name] = measure(program)
            figures = (f"{took[tracer]:14.1f}" for tracer in TRACERS)
            print(f"{name:<24}" + "".join(figures), flush=True)

    print("\nRatios of what they add; unsampled / untraced is of the whole")
    pairs = [("callspan", "minimal"), ("instrumentor", "minimal")]
    for peer in PEERS:
        if peer in TRACERS:
            pairs += [("callspan", peer), ("with content", peer)]
    titles = [f"{one} / {other}" for one, other in pairs] + ["unsampled / untraced"]
    print(" " * 24 + "".join(f"{title:>30}" for title in titles))
    for name, took in measured.items():
        ratios = [took[one] / took[other] for one, other in pairs]
        ratios.append(1 + took["unsampled"] / took["untraced"])
        print(f"{name:<24}" + "".join(f"{ratio:30.2f}" for ratio in ratios))

    program = PROGRAMS["prompt | model, invoke"]
    left = memory_after(3_337, lambda: program({"callbacks": [OURS]})) / 1024
    print(f"\n10,000 runs leave {left:.1f} KiB and {len(open_runs)} open runs")
    print(f"500 runs that never end, with a bound of 100: {never_ended(500, 100)} are open")


if __name__ == "__main__":
    main()
