"""Which versions of LangChain and LangGraph this was tried with."""

from __future__ import annotations

import logging
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from callspan.errors import MissingDependencyError

log = logging.getLogger("callspan")

_SUPPORTED: Final = {"langchain-core": ((0, 3), (2, 0)), "langgraph": ((0, 6), (2, 0))}
"""The first version of each, and the first one that is too new."""


def check_versions() -> None:
    """Warn of a version that this was not tried with.

    Raises:
        MissingDependencyError: if LangChain is not installed.
    """
    for package, (first, beyond) in _SUPPORTED.items():
        try:
            found = version(package)
        except PackageNotFoundError as error:
            if package == "langchain-core":
                raise MissingDependencyError(
                    "callspan.langchain needs LangChain: pip install 'callspan[langchain]'"
                ) from error
            continue
        if not first <= _numbers(found) < beyond:
            log.warning(
                "callspan was not tried with %s %s, but with %d.%d up to below %d.%d: spans may "
                "have wrong parents; tests/langchain/test_lc_canaries.py tells",
                package,
                found,
                *first,
                *beyond,
            )


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())
