"""The errors that callers catch."""

from __future__ import annotations

import pickle

import pytest

from callspan import errors


@pytest.mark.parametrize(
    ("cls", "builtin"),
    [
        (errors.ConfigurationError, ValueError),
        (errors.CallbackError, TypeError),
        (errors.InputError, ValueError),
        (errors.MergeError, TypeError),
        (errors.MissingVariableError, KeyError),
        (errors.ToolInputError, ValueError),
        (errors.OutputParserError, ValueError),
        (errors.AgentStepsError, RuntimeError),
        (errors.MissingDependencyError, ImportError),
    ],
)
def test_errors_can_be_caught_either_way(cls: type[Exception], builtin: type[Exception]) -> None:
    """Old code catches builtins, new code CallspanError; both need the sentence."""
    error = cls("say what to do,\nin a sentence")
    assert isinstance(error, builtin)
    assert isinstance(error, errors.CallspanError)
    assert str(error) == str(pickle.loads(pickle.dumps(error))) == "say what to do,\nin a sentence"  # noqa: S301
