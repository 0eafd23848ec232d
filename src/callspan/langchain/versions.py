"""Which versions of LangChain and LangGraph this was tried with."""

from __future__ import annotations

import logging
import re
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from callspan.errors import MissingDependencyError

log = logging.getLogger("callspan")

SUPPORTED: Final = {"langchain-core": ("0.3.67", "2"), "langgraph": ("0.6", "2")}
"""The first version of each, and the first one that is too new; `make matrix-langchain` tries them.

0.3.67 is the first langchain-core that LangGraph 0.6 runs with.
"""


def check_versions() -> None:
    """Warn of a version that this was not tried with.

    Raises:
        MissingDependencyError: if LangChain is not installed.
    """
    try:
        import langchain_core  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingDependencyError(
            f"callspan.langchain needs langchain-core ({error}): pip install 'callspan[langchain]'"
        ) from error
    for package, (first, beyond) in SUPPORTED.items():
        try:
            found = version(package)
        except PackageNotFoundError:  # LangGraph need not be there
            continue
        if not release(first) <= release(found) < release(beyond):
            log.warning(
                "callspan was tried with %s from %s to below %s, not with %s: spans may have wrong "
                "parents or none; nothing else of the program is affected",
                package,
                first,
                beyond,
                found,
            )


def release(text: str) -> tuple[int, ...]:
    """The leading numbers of a version: (0, 3, 67) of "0.3.67" and of "0.3.67.dev1"."""
    numbers = re.match(r"\d+(\.\d+)*", text)
    return tuple(map(int, numbers[0].split("."))) if numbers else ()
