"""What a test does when its backend cannot be had."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from .build import BackendUnavailableError, Recipe, ensure


def require(recipe: Recipe) -> Path:
    """The recipe's binary; without it the test is skipped, and fails where CI is set."""
    try:
        return ensure(recipe)
    except BackendUnavailableError as error:
        reason = str(error)
    if os.environ.get("CI"):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
