"""The base class of tools."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ValidationError

from callspan._text import as_text, describe
from callspan.callbacks.drive import acall, call
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.errors import ConfigurationError, ToolInputError
from callspan.messages import ToolCall, ToolMessage
from callspan.runnables.aside import in_thread
from callspan.runnables.block import serialized
from callspan.runnables.component import Component
from callspan.runnables.config import RunnableConfig, checked
from callspan.runnables.io import ASYNC, IO, SYNC, finish
from callspan.tools.signature import Signature

ToolInput: TypeAlias = str | dict[str, Any] | ToolCall
"""What a tool takes: arguments by name, the only argument as text, or a model's tool call."""

_COLOR = "green"


_WRONG = "Tool input validation error"
_FAILED = "Tool execution error"


class ToolException(Exception):  # noqa: N818  # langchain_core's name
    """What a tool raises if a model may hear of it: see `handle_tool_error`."""


class BaseTool(Component[ToolInput, Any]):
    """A tool. Its fields are pydantic's; a class of one's own has `name`, `description`, `_run`.

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
    response_format: Literal["content", "content_and_artifact"] = "content"

    @abstractmethod
    def _run(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the tool finds or does."""

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        """As `_run`, awaited; in a thread where a class has none."""
        return await in_thread(self._run, *args, **kwargs)

    @property
    def args(self) -> dict[str, Any]:
        """The JSON schemas of the arguments, by name."""
        return self._schema.model_json_schema().get("properties", {})  # type: ignore[no-any-return]

    @property
    def tool_call_schema(self) -> type[BaseModel]:
        """The arguments that a model gives, as a pydantic model."""
        return self._schema

    def invoke(self, input: ToolInput, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the tool.

        Args:
            input: Arguments by name, the only argument as text, or a model's tool call
                (`{"name": ..., "args": ..., "id": ..., "type": "tool_call"}`).
            config: Handlers, tags and metadata of the run, its name and its id.
            kwargs: No tool takes any: arguments go into `input`.

        Returns:
            What the tool returns; for a tool call a ToolMessage with it.

        Raises:
            ToolInputError: The arguments do not fit, or there are keywords.
        """
        self._check_none(kwargs)
        config, given, call_id = checked(config), *_opened(input)
        run = self._start(CallbackManager, given, call_id, config)
        method = partial(self._use, SYNC, self._run, self._sync, run)
        return call(run, finish, method, given, call_id, config, extra=self._extra(call_id))

    async def ainvoke(
        self, input: ToolInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """As `invoke`, awaited."""
        self._check_none(kwargs)
        config, given, call_id = checked(config), *_opened(input)
        run = await self._start(AsyncCallbackManager, given, call_id, config)
        signature, own = (self._async, run) if self._async else (self._sync, run.get_sync())
        method = partial(self._use, ASYNC, self._arun, signature, own)
        return await acall(run, method, given, call_id, config, extra=self._extra(call_id))

    async def _use(
        self,
        io: IO,
        method: Callable[..., Any],
        signature: Signature,
        run: Any,
        given: Any,
        call_id: str | None,
        config: RunnableConfig,
    ) -> Any:
        """The tool's answer, also to what goes wrong, if that is to be answered."""
        artifact = None
        try:
            arguments = self._arguments(given)
        except ToolInputError as error:
            if not self.handle_validation_error:
                raise
            told = _instead(self.handle_validation_error, error.__cause__ or error, _WRONG)
            return self._message(told, call_id, status="error")
        try:
            result = await io.done(method(**arguments, **signature.asked_for(run, config)))
        except ToolException as error:
            if not self.handle_tool_error:
                raise
            told = _instead(self.handle_tool_error, error, *error.args[:1], _FAILED)
            return self._message(told, call_id, status="error")
        if self.response_format == "content_and_artifact":
            if not isinstance(result, tuple) or len(result) != 2:
                raise ConfigurationError(
                    f"the tool {self.name} has response_format='content_and_artifact': it returns "
                    f"a pair (content, artifact), not {type(result).__name__}"
                )
            result, artifact = result
        return self._message(result, call_id, artifact)

    def _message(
        self,
        result: Any,
        call_id: str | None,
        artifact: Any = None,
        status: Literal["success", "error"] = "success",
    ) -> Any:
        """What the tool returns: for a tool call, a message that answers it."""
        if call_id is None or isinstance(result, ToolMessage):
            return result
        return ToolMessage(
            content=_content(result),
            tool_call_id=call_id,
            name=self.name,
            artifact=artifact,
            status=status,
        )

    def _check_none(self, kwargs: dict[str, Any]) -> None:
        if kwargs:
            raise ToolInputError(
                f"the tool {self.name} takes its arguments in `input`, and does not know "
                f"{', '.join(kwargs)}: invoke({{'name': value}}, config)"
            )

    def _start(self, manager: Any, given: Any, call_id: str | None, config: RunnableConfig) -> Any:
        return self._configured(manager, config, self.metadata).on_tool_start(
            self._serialized,
            given if isinstance(given, str) else as_text(given),
            config.get("run_id"),
            name=config.get("run_name") or self.name,
            inputs=given if isinstance(given, dict) else None,
            tool_call_id=call_id,
            color=_COLOR,
        )

    def _extra(self, call_id: str | None) -> Callable[[BaseException | None], dict[str, Any]]:
        ended = {"color": _COLOR, "name": self.name}
        return lambda error: ended if error is None else {"tool_call_id": call_id}

    def _arguments(self, given: Any) -> dict[str, Any]:
        """The arguments as the schema makes them."""
        fields = self._schema.model_fields
        if isinstance(given, str):
            given = dict.fromkeys(list(fields)[:1], given)
        if not isinstance(given, Mapping):
            raise ToolInputError(
                f"the tool {self.name} takes a dict of arguments, not {type(given).__name__}"
            )
        try:
            values = self._schema.model_validate(given)
        except ValidationError as error:
            raise ToolInputError(
                f"the tool {self.name} was called with wrong arguments: {describe(error)}"
            ) from error
        return {**{name: getattr(values, name) for name in fields}, **(values.model_extra or {})}

    @cached_property
    def _serialized(self) -> dict[str, Any]:
        return {**serialized(self), "description": self.description}

    @cached_property
    def _schema(self) -> type[BaseModel]:
        return self.args_schema or (self._async or self._sync).schema(self.name)

    @cached_property
    def _sync(self) -> Signature:
        return Signature(self._run)

    @cached_property
    def _async(self) -> Signature | None:
        """What the tool's own coroutine function takes, if it has one."""
        return None if type(self)._arun is BaseTool._arun else Signature(self._arun)


def _opened(given: Any) -> tuple[Any, str | None]:
    """The arguments, and the id of the tool call that they come from, if it is one."""
    if isinstance(given, dict) and given.get("type") == "tool_call":
        return given.get("args", {}), given.get("id")
    return given, None


def _instead(how: Any, error: BaseException, *said: Any) -> Any:
    """What a tool answers instead of raising: as it is told to, or the first of what is `said`."""
    if how is True:
        return said[0]
    return how if isinstance(how, str) else how(error)


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
