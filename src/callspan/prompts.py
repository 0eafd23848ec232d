"""Prompts: templates of messages, filled in with variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from functools import partial
from string import Formatter
from typing import Any, TypeAlias

from typing_extensions import Self

from callspan._options import check
from callspan.errors import InputError, MissingVariableError
from callspan.messages import BaseMessage, ChatPromptValue, PromptValue, convert_to_messages
from callspan.runnables.block import Block, Frame

__all__ = ["ChatPromptTemplate", "MessageLike", "MessagesPlaceholder"]

Values: TypeAlias = Mapping[str, Any]


class MessagesPlaceholder:
    """A place in a prompt for messages that a variable holds.

    Args:
        variable_name: The variable: messages, or what `convert_to_messages` takes.
        optional: Whether the variable may be missing.
        n_messages: How many messages to take, the last ones; all where it is None.

    Raises:
        ConfigurationError: `variable_name` is no string, or `n_messages` not positive.
    """

    def __init__(
        self, variable_name: str, *, optional: bool = False, n_messages: int | None = None
    ) -> None:
        check({"variable_name": variable_name, "n_messages": n_messages})
        self.variable_name = variable_name
        self.optional = optional
        self.n_messages = n_messages
        self.variables = frozenset[str]() if optional else frozenset({variable_name})

    def format_messages(self, values: Values) -> list[BaseMessage]:
        """Return the variable's messages."""
        messages = convert_to_messages(values.get(self.variable_name, []))
        return messages if self.n_messages is None else messages[-self.n_messages :]


class _Message:
    """A message with variables in its content."""

    def __init__(self, role: str, content: Any) -> None:
        if not isinstance(content, str | list | tuple):
            raise InputError(
                f"the template of a message is a text or a list of content blocks, not {content!r}"
            )
        (sample,) = convert_to_messages([(role, "-")])
        more = sample.additional_kwargs
        self._make: Any = partial(type(sample), additional_kwargs=more) if more else type(sample)
        self._content = content
        self.variables = set[str]()
        _each_text(content, lambda text: self.variables.update(_fields(text)))

    def format_messages(self, values: Values) -> list[BaseMessage]:
        return [self._make(_each_text(self._content, lambda text: _formatted(text, values)))]


MessageLike: TypeAlias = (
    BaseMessage | MessagesPlaceholder | str | tuple[str, Any] | Mapping[str, Any]
)
"""What `ChatPromptTemplate` takes as a message."""


class ChatPromptTemplate(Block[Any, PromptValue]):
    """A template of messages; its input is a dict of variables, its output a prompt for a model.

    Variables stand in braces, as in an f-string, with the same format specifications: `{x:.2f}`;
    double braces are braces. Attributes and items of a variable cannot be reached. A prompt with
    one variable takes its value alone, too.

    Args:
        messages: Messages, which are put in as they are; `(role, template)` pairs or dicts with
            `role` and `content`; texts, which are the user's; `MessagesPlaceholder`s or
            `("placeholder", "{variable}")`. A template is text, or content blocks with texts.
        partial_variables: Values of variables, or functions that give them.
        name: The name of its runs.

    Attributes:
        input_variables: The variables that the input has to have, sorted.

    Raises:
        InputError: Something in it is no message, or no template.
    """

    run_type = "prompt"

    def __init__(
        self,
        messages: Sequence[MessageLike],
        *,
        partial_variables: Values | None = None,
        name: str | None = None,
    ) -> None:
        if not isinstance(messages, list | tuple):
            raise InputError(f"a prompt takes a list of messages, not {type(messages).__name__}")
        self.messages = [_part(message) for message in messages]
        self.partial_variables = dict(partial_variables or {})
        self.name = name
        templates = [part for part in self.messages if not isinstance(part, BaseMessage)]
        variables = {name for part in templates for name in part.variables}
        self.input_variables = sorted(variables - self.partial_variables.keys())

    @classmethod
    def from_messages(cls, messages: Sequence[MessageLike]) -> Self:
        """Return a prompt of these messages; see the class."""
        return cls(messages)

    @classmethod
    def from_template(cls, template: str) -> Self:
        """Return a prompt of one message of the user."""
        return cls([template])

    def partial(self, **variables: Any) -> Self:
        """Return the prompt with some variables filled in: values, or functions giving them."""
        prompt = copy(self)
        prompt.partial_variables = {**self.partial_variables, **variables}
        prompt.input_variables = [name for name in self.input_variables if name not in variables]
        return prompt

    def format_messages(self, **variables: Any) -> list[BaseMessage]:
        """Return the messages for these variables.

        Raises:
            MissingVariableError: One is missing.
            InputError: One cannot be formatted as the template says, or is no message where
                messages are expected.
        """
        return self._filled(variables)

    def format_prompt(self, **variables: Any) -> ChatPromptValue:
        """Return the prompt for these variables; see `format_messages`."""
        return ChatPromptValue(messages=self._filled(variables))

    def format(self, **variables: Any) -> str:
        """Return the prompt as text; see `format_messages`."""
        return self.format_prompt(**variables).to_string()

    async def _invoke(self, given: Any, frame: Frame) -> ChatPromptValue:
        if not isinstance(given, Mapping):
            if len(self.input_variables) != 1:
                expected = _listed(self.input_variables) or "no variables"
                raise InputError(
                    f"{self.get_name()} takes a dict with {expected}, not {type(given).__name__}"
                )
            given = {self.input_variables[0]: given}
        return ChatPromptValue(messages=self._filled(given))

    def _filled(self, values: Values) -> list[BaseMessage]:
        if self.partial_variables:
            known = self.partial_variables.items()
            values = {**{k: v() if callable(v) else v for k, v in known}, **values}
        missing = [name for name in self.input_variables if name not in values]
        if missing:
            raise MissingVariableError(
                f"{self.get_name()} is missing {_listed(missing)}: it takes "
                f"{_listed(self.input_variables)}, and was given {_listed(values) or 'nothing'}. "
                f"(Braces that are no variable are written twice: {{{{{missing[0]}}}}}.)"
            )
        messages: list[BaseMessage] = []
        for part in self.messages:
            messages += [part] if isinstance(part, BaseMessage) else part.format_messages(values)
        return messages


def _listed(names: Iterable[Any]) -> str:
    return ", ".join(map(repr, names))


def _part(message: MessageLike) -> BaseMessage | MessagesPlaceholder | _Message:
    if isinstance(message, BaseMessage | MessagesPlaceholder):
        return message
    if isinstance(message, str):
        return _Message("human", message)
    if isinstance(message, Mapping) and {"role", "content"} <= message.keys():
        return _part((message["role"], message["content"]))
    if not isinstance(message, list | tuple) or len(message) != 2:
        raise InputError(
            f"cannot make a message of {message!r}: give a message, a (role, template) pair, "
            "a text or a MessagesPlaceholder"
        )
    role, content = message
    if role != "placeholder":
        return _Message(role, content)
    alone = not isinstance(content, list | tuple) or len(content) != 2
    text, optional = (content, True) if alone else content  # as in langchain_core
    if not (isinstance(text, str) and text.startswith("{") and text.endswith("}")):
        raise InputError(
            f"a placeholder is a variable in braces, such as {{history}}, not {text!r}"
        )
    return MessagesPlaceholder(text[1:-1], optional=optional)


def _each_text(content: Any, change: Callable[[str], Any]) -> Any:
    """Change a template: a text, or the texts in content blocks."""
    if isinstance(content, str):
        return change(content)
    if isinstance(content, Mapping):
        return {key: _each_text(value, change) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_each_text(value, change) for value in content]
    return content


def _fields(template: str) -> Iterable[str]:
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise InputError(f"{error} in {template!r}: write braces of your own twice") from error
    for _, name, specification, _ in parts:
        if name is None:
            continue
        if not name.isidentifier():
            raise InputError(
                f"{{{name}}} is no variable, in {template!r}: give variables plain names, "
                "and write braces of your own twice"
            )
        yield name
        yield from _fields(specification or "")


def _formatted(template: str, values: Values) -> str:
    try:
        return template.format_map(values)
    except (ValueError, TypeError) as error:
        raise InputError(f"{template!r} cannot be filled in: {error}") from error
