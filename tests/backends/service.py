"""A backend's process: on free ports, healthy when it is handed out, its output in a file."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

START_TIMEOUT = 60.0
"""Seconds until a started backend must be healthy."""

T = TypeVar("T")


class ServiceError(RuntimeError):
    """A backend did not start; the message ends with its log."""


@dataclass(frozen=True)
class Service:
    """A running backend.

    Attributes:
        name: What messages call it.
        addresses: The `host:port` that each of its environment variables was given.
        log: The file with what it printed.
    """

    name: str
    addresses: Mapping[str, str]
    log: Path

    def log_tail(self, lines: int = 40) -> str:
        """The last lines that the backend printed."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextmanager
def running(
    name: str,
    command: Sequence[str],
    *,
    addresses: Sequence[str],
    health: tuple[str, str],
    folder: Path,
    environment: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Runs a backend for as long as the block lasts.

    Args:
        name: What messages and its log file are called.
        command: What to execute.
        addresses: Environment variables that are each given a free loopback `host:port`.
        health: One of `addresses`, and the path under it that answers 200 once all is up.
        folder: Where the log is written.
        environment: Further variables.

    Raises:
        ServiceError: It ended, or was not healthy within `START_TIMEOUT`.
    """
    for attempt in range(3):
        service = Service(
            name,
            dict(zip(addresses, free_addresses(len(addresses)), strict=True)),
            folder / f"{name}.log",
        )
        with service.log.open("w") as log:
            process = subprocess.Popen(
                command,
                env={**os.environ, **(environment or {}), **service.addresses},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            if not _healthy(service, process, health):
                # Another process may have taken a port between the look and the start.
                if attempt < 2 and "address already in use" in service.log_tail().lower():
                    continue
                raise ServiceError(f"{name} did not start; its log:\n{service.log_tail()}")
            yield service
            return
        finally:
            _stop(process)


def _healthy(service: Service, process: subprocess.Popen[bytes], health: tuple[str, str]) -> bool:
    variable, path = health

    def probe() -> bool | None:
        if process.poll() is not None:
            return False
        try:
            status, _ = get(service.addresses[variable], path, timeout=1)
        except (OSError, http.client.HTTPException):
            return None
        return True if status == http.HTTPStatus.OK else None

    return poll(probe, START_TIMEOUT) or False


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def poll(probe: Callable[[], T | None], timeout: float) -> T | None:
    """The first answer of `probe` that is not None, or None after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while (answer := probe()) is None and time.monotonic() < deadline:
        time.sleep(0.02)
    return answer


def get(address: str, path: str, timeout: float = 10.0) -> tuple[int, bytes]:
    """The status and the body that `GET path` is answered with in at most `timeout` seconds."""
    connection = http.client.HTTPConnection(address, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def free_addresses(count: int) -> list[str]:
    """Different loopback addresses that nobody listens on."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
