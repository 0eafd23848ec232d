"""What a test does when its backend cannot be had."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import pytest

from callspan import ConfigurationError

from .build import BackendUnavailableError, Recipe, ensure

T = TypeVar("T")


def require(recipe: Recipe) -> Path:
    """The recipe's binary; without it the test is skipped, and fails where CI is set."""
    return had(lambda: ensure(recipe))


def had(ensure: Callable[[], T]) -> T:
    """What `ensure` returns; the test is skipped without it, and fails where CI is set."""
    try:
        return ensure()
    except (BackendUnavailableError, ConfigurationError) as error:
        reason = str(error)
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
