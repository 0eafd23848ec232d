"""The base class of tools."""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from callspan._text import as_text, describe
from callspan.errors import ConfigurationError, ToolInputError
from callspan.messages import ToolCall, ToolMessage
from callspan.runnables.aside import in_thread
from callspan.runnables.block import Ask, Component
from callspan.runnables.config import RunnableConfig
from callspan.runnables.io import IO, SYNC
from callspan.tools.schemas import Signature

ToolInput: TypeAlias = str | dict[str, Any] | ToolCall
"""What a tool takes: arguments by name, the only argument as text, or a model's tool call."""
ResponseFormat: TypeAlias = Literal["content", "content_and_artifact"]

_COLOR = "green"
_WRONG = "Tool input validation error"
_FAILED = "Tool execution error"


class ToolException(Exception):  # noqa: N818  # langchain_core's name
    """What a tool raises if a model may hear of it: see `handle_tool_error`."""

    __module__ = "callspan.tools"  # where it is imported from, for `error.type`


class BaseTool(Component[ToolInput, Any]):
    """A tool. Its fields are pydantic's; a class of one's own has `name`, `description`, `_run`.

    A call's input is a dict of arguments by name, the only argument as text, or a model's tool call
    (`{"name": ..., "args": ..., "id": ..., "type": "tool_call"}`), to which the answer is a
    ToolMessage. It raises ToolInputError where the arguments do not fit, or there are keywords.

    If `_run` or `_arun` has a parameter `run_manager` or `callbacks`, or one whose type is
    RunnableConfig, it gets the run's manager, a manager for parts of the run, or the config.

    Attributes:
        name: What models call it.
        description: What models are told of it.
        args_schema: Its arguments, as a pydantic model; made from the parameters of `_run` where
            it is None.
        return_direct: Whether an agent is done with this tool's answer, which is its own then.
        handle_tool_error: What to answer where the tool raises a ToolException: its text (True), a
            text, or what a function makes of it. By default it is raised.
        handle_validation_error: The same for arguments that do not fit; a function is given
            pydantic's ValidationError.
        response_format: With `content_and_artifact` the tool returns a pair: what the model is
            told, and the ToolMessage's `artifact`, which it is not.
    """

    name: str
    description: str
    args_schema: type[BaseModel] | None = None
    return_direct: bool = False
    handle_tool_error: bool | str | Callable[[ToolException], Any] | None = False
    handle_validation_error: bool | str | Callable[[ValidationError], Any] | None = False
    response_format: ResponseFormat = "content"

    _start_method: ClassVar[str] = "on_tool_start"

    @abstractmethod
    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the tool finds or does."""

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        """As `_run`, awaited; in a thread where a class has none."""
        return await in_thread(self._run, *args, **kwargs)

    @property
    def args(self) -> dict[str, Any]:
        """The JSON schemas of the arguments, by name."""
        return self.tool_call_schema.model_json_schema().get("properties", {})  # type: ignore[no-any-return]

    @cached_property
    def tool_call_schema(self) -> type[BaseModel]:
        """The arguments that a model gives, as a pydantic model."""
        sync, own = self._signatures
        return self.args_schema or (own or sync).schema(self.name)

    def _ask_of(self, given: Any, config: RunnableConfig, kwargs: dict[str, Any]) -> Ask:
        if kwargs:
            raise ToolInputError(
                f"the tool {self.name} takes its arguments in `input`, and does not know "
                f"{', '.join(kwargs)}: invoke({{'name': value}}, config)"
            )
        if isinstance(given, dict) and given.get("type") == "tool_call":
            return Ask(given.get("args", {}), config, kwargs, call_id=given.get("id"))
        return Ask(given, config, kwargs)

    def _told_of(self, ask: Ask) -> tuple[str, dict[str, Any]]:
        text = ask.given if isinstance(ask.given, str) else as_text(ask.given)
        inputs = ask.given if isinstance(ask.given, dict) else None
        return text, {"inputs": inputs, "tool_call_id": ask.call_id, "color": _COLOR}

    def _answer_to(self, io: IO, ask: Ask, run: Any) -> Any:
        sync, own = self._signatures
        if io is SYNC:
            method, signature, manager = self._run, sync, run
        elif own:
            method, signature, manager = self._arun, own, run
        else:
            method, signature, manager = self._arun, sync, run.get_sync()
        use = partial(io.function(self._use_tool), io, ask, method, signature, manager)
        ended = {"color": _COLOR, "name": self.name}
        return io.call(
            run, use, extra=lambda error: {"tool_call_id": ask.call_id} if error else ended
        )

    async def _use_tool(
        self, io: IO, ask: Ask, method: Callable[..., Any], signature: Signature, run: Any
    ) -> Any:
        """The tool's answer, also to what goes wrong, if that is to be answered."""
        artifact = None
        try:
            arguments = self._arguments_of(ask.given)
        except ToolInputError as error:
            if not self.handle_validation_error:
                raise
            cause = error.__cause__ or error
            return self._said_instead(ask, self.handle_validation_error, cause, _WRONG)
        try:
            result = await io.done(method(**arguments, **signature.asked_for(run, ask.config)))
        except ToolException as error:
            if not self.handle_tool_error:
                raise
            return self._said_instead(ask, self.handle_tool_error, error, *error.args[:1], _FAILED)
        if self.response_format == "content_and_artifact":
            if not isinstance(result, tuple) or len(result) != 2:
                raise ConfigurationError(
                    f"the tool {self.name} has response_format='content_and_artifact': it returns "
                    f"a pair (content, artifact), not {type(result).__name__}"
                )
            result, artifact = result
        return self._message_for(ask, result, artifact=artifact)

    def _said_instead(self, ask: Ask, how: Any, error: BaseException, *said: Any) -> Any:
        """What a tool answers instead of raising: as it is told to, or the first that is `said`."""
        told = how if isinstance(how, str) else said[0] if how is True else how(error)
        return self._message_for(ask, told, status="error")

    def _message_for(self, ask: Ask, result: Any, **fields: Any) -> Any:
        """What the tool returns: for a tool call, a message that answers it."""
        if ask.call_id is None or isinstance(result, ToolMessage):
            return result
        return ToolMessage(_content(result), tool_call_id=ask.call_id, name=self.name, **fields)

    def _arguments_of(self, given: Any) -> dict[str, Any]:
        """The arguments as the schema makes them."""
        fields = self.tool_call_schema.model_fields
        if isinstance(given, str):
            given = dict.fromkeys(list(fields)[:1], given)
        if not isinstance(given, Mapping):
            raise ToolInputError(
                f"the tool {self.name} takes a dict of arguments, not {type(given).__name__}"
            )
        try:
            values = self.tool_call_schema.model_validate(given)
        except ValidationError as error:
            raise ToolInputError(
                f"the tool {self.name} was called with wrong arguments: {describe(error)}"
            ) from error
        return {**{name: getattr(values, name) for name in fields}, **(values.model_extra or {})}

    @property
    def _serialized(self) -> dict[str, Any]:
        return {**super()._serialized, "description": self.description}

    def _functions(self) -> tuple[Any, Any]:
        """The tool's own functions: for sync callers, and for async ones, if it has both."""
        return self._run, None if type(self)._arun is BaseTool._arun else self._arun

    @cached_property
    def _signatures(self) -> tuple[Signature, Signature | None]:
        func, coroutine = self._functions()
        return Signature(func or coroutine), Signature(coroutine) if coroutine else None


def _content(result: Any) -> Any:
    blocks = isinstance(result, list) and all(
        isinstance(one, str) or (isinstance(one, dict) and "type" in one) for one in result
    )
    if blocks or isinstance(result, str):
        return result
    try:
        return json.dumps(result, ensure_ascii=False)
    except Exception:  # whatever it is, the model is to see something of it
        return as_text(result)
