"""Every error that callspan raises on purpose.

Each class is a `CallspanError` and also the builtin that fits, so that code can catch either.
"""

from __future__ import annotations


class CallspanError(Exception):
    """Base class of every error that callspan raises on purpose."""


class ConfigurationError(CallspanError, ValueError):
    """An option, or a combination of options, cannot be honoured."""


class AsyncOnlyError(ConfigurationError, TypeError):
    """Sync code called a block that has async code only."""


class CallbackError(CallspanError, TypeError):
    """Something that is no callback handler was given where one is expected."""


class InputError(CallspanError, ValueError):
    """A value given to a block, a prompt, a message or a model cannot be used."""


class MergeError(InputError, TypeError):
    """Two message chunks hold values that cannot be added."""


class MissingVariableError(InputError, KeyError):
    """A prompt was formatted without a variable that it needs."""

    __str__ = Exception.__str__  # KeyError shows the repr of its argument, which garbles a sentence


class ToolInputError(InputError):
    """The arguments given to a tool do not fit the tool's schema."""


class MissingDependencyError(CallspanError, ModuleNotFoundError):
    """A feature was used whose optional package is not installed."""
