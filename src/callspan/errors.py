"""Every error that callspan raises on purpose.

Each class is a `CallspanError` and also the builtin that fits, so that code can catch either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any


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


class OutputParserError(InputError):
    """A model's answer is not what an output parser can read.

    Args:
        message: What is wrong, without the answer.
        llm_output: The answer.
    """

    def __init__(self, message: str, llm_output: str = "") -> None:
        super().__init__(message)
        self.llm_output = llm_output


class AgentStepsError(CallspanError, RuntimeError):
    """An agent took as many steps as it may, and has no answer.

    Args:
        message: What to do.
        messages: The conversation so far: what the agent was given, answered, and was told.
    """

    def __init__(self, message: str, messages: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.messages = list(messages)


class MissingDependencyError(CallspanError, ModuleNotFoundError):
    """A feature was used whose optional package is not installed."""
