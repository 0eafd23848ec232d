"""What depends on fork, where the system has none."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import os
del os.fork, os.register_at_fork
import callspan, callspan.export
with callspan.use_config(tags=["t"]):
    print(callspan.traced(lambda: "works")())
"""


def test_callspan_works_without_fork() -> None:
    """Windows has neither fork nor register_at_fork: an import that fails there helps nobody."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, encoding="utf-8", check=False
    )
    assert (done.stderr, done.stdout) == ("", "works\n")
