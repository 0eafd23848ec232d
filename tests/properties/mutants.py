"""Breaks the code on purpose, and shows which test notices: `python -m tests.properties.mutants`.

Each of the `mutations` and the `block_mutations` is made in a copy of the source, and the fast
tests run against that copy. With words as arguments, only mutants whose file or sentence has one of
them are made. A mutant that no test notices fails, and so does one whose text is not in the source
any more.
"""

# ruff: noqa: T201  # a command: what it finds is printed
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import Queue

from . import block_mutations, mutations
from .mutation import Mutation

_ROOT = Path(__file__).parents[2]
_TESTS = (
    "tests/callbacks",
    "tests/tracing",
    *sorted(str(path.relative_to(_ROOT)) for path in _ROOT.glob("tests/test_traced*.py")),
    "tests/properties",
)
_BLOCK_TESTS = ("tests/properties",)  # none of the others uses blocks
_AT_ONCE = 2
_MUTATIONS = [*mutations.MUTATIONS, *block_mutations.MUTATIONS]


def main(words: list[str]) -> int:
    """Make the mutants that the words choose; return the exit status."""
    chosen = [m for m in _MUTATIONS if not words or any(w in f"{m.file} {m.breaks}" for w in words)]
    stale = [m for m in chosen if (_ROOT / "src/callspan" / m.file).read_text().count(m.old) != 1]
    for mutation in stale:
        print(f"the text is not there once: {mutation.file}: {mutation.breaks}")
    with tempfile.TemporaryDirectory() as folder:
        copies: Queue[Path] = Queue()
        for number in range(_AT_ONCE):
            copies.put(Path(shutil.copytree(_ROOT / "src", Path(folder) / str(number))))
        noticed = _noticed_by(Path(folder) / "0")
        if noticed is not None:
            print(f"{noticed} fails without any mutant")
            return 1

        def judge(mutation: Mutation) -> bool:
            copy = copies.get()
            began = time.perf_counter()
            try:
                noticed = _noticed_by(copy, mutation)
            finally:
                copies.put(copy)
            verdict = f"noticed by {noticed}" if noticed else "NOT NOTICED"
            took = time.perf_counter() - began
            print(f"{mutation.file}: {mutation.breaks}: {verdict} ({took:.0f} s)", flush=True)
            return noticed is not None

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            verdicts = list(pool.map(judge, [m for m in chosen if m not in stale]))
    print(f"{sum(verdicts)} of {len(chosen)} mutants noticed, {len(stale)} of them not made")
    return int(bool(stale) or not all(verdicts))


def _noticed_by(source: Path, mutation: Mutation | None = None) -> str | None:
    """Run the tests against a copy of the source; return the first test that fails."""
    if mutation is None:
        return _first_failure(source, _TESTS)
    tests = _BLOCK_TESTS if mutation in block_mutations.MUTATIONS else _TESTS
    file = source / "callspan" / mutation.file
    text = file.read_text()
    mutated = text.replace(mutation.old, mutation.new)
    compile(mutated, str(file), "exec")
    try:
        file.write_text(mutated)
        return _first_failure(source, tests)
    finally:
        file.write_text(text)


def _first_failure(source: Path, tests: tuple[str, ...]) -> str | None:
    options = ["-x", "-q", "--tb=no", "--no-header", "-p", "no:cacheprovider", "-o", "timeout=60"]
    result = subprocess.run(
        [sys.executable, "-m", "pytest", *options, *tests],
        cwd=_ROOT,
        env={
            **os.environ,
            "PYTHONPATH": str(source),
            "PYTHONDONTWRITEBYTECODE": "1",
            "CALLSPAN_SHRINK": "no",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode == 0:
        return None
    failed = re.search(r"^(?:FAILED|ERROR) (\S+)", result.stdout, re.MULTILINE)
    return failed[1] if failed else f"a test that never ended:\n{result.stdout[-2000:]}"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
