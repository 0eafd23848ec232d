"""Builds the backends from source into the user's cache: `python -m tests.backends.build`.

So it does the demo's local model, which `callspan.demo.local` knows how to build.

A binary is built once a machine and version. It is compiled in a temporary folder and moved into
place when it is whole; a file lock keeps a second process from building it at the same time.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from callspan import ConfigurationError
from callspan.demo import local

logger = logging.getLogger(__name__)

COMMAND_TIMEOUT = 1500.0
"""Seconds that one command of a build may take."""

MANIFEST = Path(__file__).with_name("collector-build.yaml")


class BackendUnavailableError(RuntimeError):
    """A backend cannot be had on this machine; the message says why."""


class Run(Protocol):
    """Runs a command of a build, its output in the build's log; returns what it printed."""

    def __call__(self, *command: str, cwd: Path) -> str: ...


@dataclass(frozen=True)
class Recipe:
    """How one backend's binary comes about.

    Attributes:
        name: The binary's file name.
        version: Part of the cache's key: another version is another binary.
        compile: Called with an empty folder and `Run`; leaves the binary in the folder.
    """

    name: str
    version: str
    compile: Callable[[Path, Run], None]

    @property
    def key(self) -> str:
        return f"{self.name}-{self.version}"


def _compile_jaeger(folder: Path, run: Run) -> None:
    # `go install` refuses a module with replace directives, so it is built as the main module.
    module = f"github.com/jaegertracing/jaeger@v{JAEGER.version}"
    source = Path(json.loads(run("go", "mod", "download", "-json", module, cwd=folder))["Dir"])
    binary = str(folder / JAEGER.name)
    run("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, "./cmd/jaeger", cwd=source)


def _compile_collector(folder: Path, run: Run) -> None:
    builder = "go.opentelemetry.io/collector/cmd/builder@v0.159.0"
    run("go", "run", builder, "--config", str(MANIFEST), cwd=folder)


JAEGER = Recipe("jaeger", "1.76.0", _compile_jaeger)
"""Jaeger v2.13, whose Go module is v1.76.0: the last one that is published as a module."""

COLLECTOR = Recipe(
    "otelcol",
    "0.159.0-" + hashlib.sha256(MANIFEST.read_bytes()).hexdigest()[:8],
    _compile_collector,
)


def cache_folder() -> Path:
    """The folder where binaries are kept, under XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "callspan", "backends")


def ensure(recipe: Recipe) -> Path:
    """The path of the recipe's binary, which is built first if the cache has none.

    Raises:
        BackendUnavailableError: There is no Go toolchain, or the build failed.
    """
    root = cache_folder()
    binary = root / recipe.key / recipe.name
    if not binary.exists():
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{recipe.key}.lock"):
            if not binary.exists():
                _build(recipe, root)
    return binary


def _build(recipe: Recipe, root: Path) -> None:
    log_path = root / f"{recipe.key}.log"
    started = time.monotonic()
    with tempfile.TemporaryDirectory(prefix=f".{recipe.key}-", dir=root) as temporary:
        folder, whole = Path(temporary, "build"), Path(temporary, "whole")
        folder.mkdir()
        whole.mkdir()
        recipe.compile(folder, _runner(recipe, log_path))
        (folder / recipe.name).rename(whole / recipe.name)
        whole.rename(root / recipe.key)
    logger.info("%s: built in %.0f s", recipe.key, time.monotonic() - started)


def _runner(recipe: Recipe, log_path: Path) -> Run:
    log_path.write_text("")

    def run(*command: str, cwd: Path) -> str:
        if shutil.which(command[0]) is None:
            raise BackendUnavailableError(
                f"{recipe.key}: {command[0]!r} is not on PATH; install it to build this backend"
            )
        logger.info(
            "%s: %s (minutes, once a machine; see %s)", recipe.key, " ".join(command), log_path
        )
        with log_path.open("a") as log:
            try:
                result = subprocess.run(
                    command,
                    cwd=cwd,
                    env=os.environ | {"CGO_ENABLED": "0", "GOWORK": "off"},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    text=True,
                    timeout=COMMAND_TIMEOUT,
                    check=False,
                )
            except subprocess.TimeoutExpired as error:
                reason = f"{recipe.key}: not built: {error}; log: {log_path}"
                raise BackendUnavailableError(reason) from error
            log.write(result.stdout)
        if result.returncode:
            tail = "\n".join(log_path.read_text().splitlines()[-15:])
            raise BackendUnavailableError(f"{recipe.key}: not built; end of {log_path}:\n{tail}")
        return result.stdout

    return run


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def main() -> int:
    """Builds what the cache has not; the exit status is 1 if a backend cannot be had."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    ready = [_report(recipe.key, partial(ensure, recipe)) for recipe in (JAEGER, COLLECTOR)]
    ready.append(_report("local model", lambda: local.ensure()[1]))
    return 0 if all(ready) else 1


def _report(name: str, ensured: Callable[[], Path]) -> bool:
    try:
        logger.info("%s: ready: %s", name, ensured())
    except (BackendUnavailableError, ConfigurationError) as error:
        logger.info("%s", error)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
