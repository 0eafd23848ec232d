"""The programs in examples/ print what docs/examples.md shows."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from urllib.error import URLError
from urllib.request import Request, urlopen

import pytest

ROOT = Path(__file__).parents[2]
SHOWN = dict(
    re.findall(
        r"```\n\$ [^\n]*python examples/(\w+)\.py\n(.*?)```",
        (ROOT / "docs" / "examples.md").read_text(encoding="utf-8"),
        re.DOTALL,
    )
)
SERVICES = ["langgraph_service", "service"]
ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if not key.startswith(("OTEL_", "OPENAI_"))},
    "OTEL_TRACES_EXPORTER": "none",
    "PYTHONIOENCODING": "utf-8",
}


def without_durations(printed: str) -> list[str]:
    return [re.sub(r" +<?\d+(\.\d+)?m?s\b", "", line) for line in printed.splitlines()]


def started(name: str, **environment: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, str(ROOT / "examples" / f"{name}.py")],
        env={**ENVIRONMENT, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    )


def test_the_readmes_agent() -> None:
    """The README's program is the one that the tests run."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"```python\n{(ROOT / 'examples' / 'agent.py').read_text(encoding='utf-8')}```" in readme
    printed = readme.partition("## An agent")[2].split("```")[3]
    assert without_durations(printed.strip()) == without_durations(SHOWN["agent"].strip())


def test_every_example_is_shown() -> None:
    """An example whose output nobody sees is not read."""
    assert set(SHOWN) == {path.stem for path in (ROOT / "examples").glob("*.py")}


@pytest.mark.parametrize("name", sorted(set(SHOWN) - set(SERVICES)))
def test_a_program_prints_what_the_docs_show(name: str) -> None:
    """People compare what they see with what the page says."""
    with started(name) as program:
        printed, complaints = program.communicate(timeout=60)
    assert complaints == ""
    assert program.returncode == 0
    assert without_durations(printed) == without_durations(SHOWN[name])


@pytest.mark.parametrize("name", SERVICES)
def test_the_service(name: str) -> None:
    """A server's span is the parent of what its request's stream does, and the client's of it."""
    pytest.importorskip("uvicorn")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with started(name, PORT=str(port)) as service:
        request = Request(f"http://127.0.0.1:{port}/ask?city=Lima")
        try:
            assert answer(request, service) == "About as many as in all of Lima."
        finally:
            service.send_signal(signal.SIGINT)
        printed, _ = service.communicate(timeout=60)
    assert without_durations(printed) == without_durations(SHOWN[name])


def answer(request: Request, service: subprocess.Popen[str]) -> str:
    """What the service answers, once it listens."""
    deadline = time.monotonic() + 60
    while True:
        try:
            with urlopen(request, timeout=60) as response:  # noqa: S310  # of our own address
                return str(response.read(), "utf-8")
        except URLError:
            if time.monotonic() > deadline:
                raise
        with suppress(subprocess.TimeoutExpired):
            pytest.fail(f"the service has ended: {service.wait(timeout=0.05)}")
