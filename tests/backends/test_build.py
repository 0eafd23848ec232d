"""The cache of built backends."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from .build import BackendUnavailableError, Recipe, Run, cache_folder, ensure
from .require import require


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return cache_folder()


def recipe(script: str, name: str = "tool") -> Recipe:
    """A recipe whose one command is a Python script, run in the build's folder."""

    def compile_(folder: Path, run: Run) -> None:
        run(sys.executable, "-c", script, cwd=folder)

    return Recipe(name, "1", compile_)


def test_a_binary_is_built_once(cache: Path) -> None:
    """A build takes minutes, so a second session must find the first one's binary."""
    first = ensure(recipe("open('tool', 'w').write('first')"))
    second = ensure(recipe("open('tool', 'w').write('second')"))
    assert first == second == cache / "tool-1" / "tool"
    assert second.read_text() == "first"


def test_two_workers_build_it_once() -> None:
    """pytest-xdist starts workers at the same time, and two compilers would starve each other."""
    built: list[Path] = []
    both_asked = threading.Barrier(2, timeout=30)

    def compile_(folder: Path, run: Run) -> None:
        built.append(folder)
        (folder / "tool").touch()

    def worker() -> Path:
        both_asked.wait()
        return ensure(Recipe("tool", "1", compile_))

    with ThreadPoolExecutor(2) as workers:
        first, second = workers.submit(worker), workers.submit(worker)
    assert first.result() == second.result()
    assert len(built) == 1


def test_a_failed_build_says_why_and_leaves_no_binary(cache: Path) -> None:
    """Half a binary in the cache would break every later session on the machine."""
    with pytest.raises(BackendUnavailableError, match="no compiler today"):
        ensure(recipe("open('tool', 'w'); raise SystemExit('no compiler today')"))
    assert not (cache / "tool-1").exists()
    assert not [path for path in cache.iterdir() if path.is_dir()]
    assert ensure(recipe("open('tool', 'w')")).exists()


def test_a_missing_toolchain_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever sees the tests skipped must learn what to install."""
    monkeypatch.setenv("PATH", "")

    def compile_(folder: Path, run: Run) -> None:
        run("go", "version", cwd=folder)

    with pytest.raises(BackendUnavailableError, match=r"'go' is not on PATH; install it"):
        ensure(Recipe("tool", "1", compile_))


def test_without_a_backend_tests_are_skipped_at_a_desk_and_fail_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A newcomer needs no Go; CI that skipped what it cannot build would be green for nothing."""
    broken = recipe("raise SystemExit('broken')")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="broken"):
        require(broken)
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="broken"):
        require(broken)
