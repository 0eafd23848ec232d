"""Processes of backends."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from . import service
from .service import ServiceError, free_addresses, get, running

SERVER = """
import http.server, os
host, port = os.environ["ADDRESS"].split(":")
print("serving", flush=True)
http.server.HTTPServer((host, int(port)), http.server.SimpleHTTPRequestHandler).serve_forever()
"""


def python(script: str) -> list[str]:
    return [sys.executable, "-c", script]


def test_it_answers_inside_the_block_and_is_gone_after_it(tmp_path: Path) -> None:
    """A process left behind would keep its port and its memory after the tests."""
    health = ("ADDRESS", "/")
    with running(
        "web", python(SERVER), addresses=["ADDRESS"], health=health, folder=tmp_path
    ) as web:
        address = web.addresses["ADDRESS"]
        assert get(address, "/")[0] == 200
        assert "serving" in web.log_tail()
    with pytest.raises(ConnectionRefusedError):
        get(address, "/")


def test_one_that_ends_early_is_reported_with_its_log(tmp_path: Path) -> None:
    """The backend's own message is what tells a wrong configuration from a slow machine."""
    script = python("raise SystemExit('bad config: no such exporter')")
    with (
        pytest.raises(ServiceError, match="no such exporter"),
        running("web", script, addresses=["ADDRESS"], health=("ADDRESS", "/"), folder=tmp_path),
    ):
        pytest.fail("it was handed out")


def test_a_port_that_was_taken_meanwhile_is_given_up_for_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any other process may take a free port first, and that must not fail a test run."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        offers = iter([[f"127.0.0.1:{taken.getsockname()[1]}"], free_addresses(1)])
        monkeypatch.setattr(service, "free_addresses", lambda count: next(offers))
        health = ("ADDRESS", "/")
        script = python(SERVER.replace("HTTPServer(", "ThreadingHTTPServer("))
        with running("web", script, addresses=["ADDRESS"], health=health, folder=tmp_path) as web:
            assert get(web.addresses["ADDRESS"], "/")[0] == 200
