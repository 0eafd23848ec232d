"""Tools: functions that models may have called, with checked arguments."""

# ruff: noqa: A002  # `input` is what langchain_core's users write as a keyword
from __future__ import annotations

import inspect
import json
from abc import abstractmethod
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any, TypeAlias, get_args, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, ValidationError, create_model

from callspan._text import as_text, describe
from callspan.callbacks.drive import acall, call
from callspan.callbacks.managers import AsyncCallbackManager, CallbackManager
from callspan.errors import AsyncOnlyError, ConfigurationError, ToolInputError
from callspan.messages import ToolCall, ToolMessage
from callspan.runnables.aside import in_thread
from callspan.runnables.block import serialized
from callspan.runnables.component import Component
from callspan.runnables.config import RunnableConfig, checked, config_for_function

__all__ = ["BaseTool", "StructuredTool", "ToolInput", "tool"]

ToolInput: TypeAlias = str | dict[str, Any] | ToolCall
"""What a tool takes: arguments by name, the only argument as text, or a model's tool call."""

_COLOR = "green"


class BaseTool(Component[ToolInput, Any]):
    """A tool. Its fields are pydantic's; a class of one's own has `name`, `description`, `_run`.

    If `_run` or `_arun` has a parameter `run_manager` or `callbacks`, or one whose type is
    RunnableConfig, it gets the run's manager, a manager for parts of the run, or the config.

    Attributes:
        name: What models call it.
        description: What models are told of it.
        args_schema: Its arguments, as a pydantic model; made from the parameters of `_run` where
            it is None.
    """

    name: str
    description: str
    args_schema: type[BaseModel] | None = None

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

        def body() -> Any:
            arguments = self._arguments(given) | self._sync.asked_for(run, config)
            return _message(self._run(**arguments), self.name, call_id)

        return call(run, body, extra=self._extra(call_id))

    async def ainvoke(
        self, input: ToolInput, config: RunnableConfig | None = None, **kwargs: Any
    ) -> Any:
        """As `invoke`, awaited."""
        self._check_none(kwargs)
        config, given, call_id = checked(config), *_opened(input)
        run = await self._start(AsyncCallbackManager, given, call_id, config)

        async def body() -> Any:
            signature, own = (self._async, run) if self._async else (self._sync, run.get_sync())
            arguments = self._arguments(given) | signature.asked_for(own, config)
            return _message(await self._arun(**arguments), self.name, call_id)

        return await acall(run, body, extra=self._extra(call_id))

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
    def _sync(self) -> _Signature:
        return _Signature(self._run)

    @cached_property
    def _async(self) -> _Signature | None:
        """What the tool's own coroutine function takes, if it has one."""
        return None if type(self)._arun is BaseTool._arun else _Signature(self._arun)


class StructuredTool(BaseTool):
    """A function as a tool; `@tool` makes it.

    Attributes:
        func: The function, for sync callers, and in a thread for async ones.
        coroutine: A coroutine function, for async callers.
    """

    func: Callable[..., Any] | None = None
    coroutine: Callable[..., Any] | None = None

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self.func is None:
            raise AsyncOnlyError(f"the tool {self.name} is async: use ainvoke")
        return self.func(*args, **kwargs)

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        if self.coroutine is None:
            return await in_thread(self._run, *args, **kwargs)
        return await self.coroutine(*args, **kwargs)

    @cached_property
    def _sync(self) -> _Signature:
        return _Signature(self.func or self.coroutine)

    @cached_property
    def _async(self) -> _Signature | None:
        return None if self.coroutine is None else _Signature(self.coroutine)


@overload
def tool(
    name_or_callable: Callable[..., Any],
    *,
    description: str | None = None,
    args_schema: type[BaseModel] | None = None,
) -> StructuredTool: ...
@overload
def tool(
    name_or_callable: str | None = None,
    *,
    description: str | None = None,
    args_schema: type[BaseModel] | None = None,
) -> Callable[[Callable[..., Any]], StructuredTool]: ...
def tool(
    name_or_callable: Any = None,
    *,
    description: str | None = None,
    args_schema: type[BaseModel] | None = None,
) -> Any:
    """Make a function a tool: `@tool`, or `@tool("name", ...)`.

    Args:
        name_or_callable: The function, or the tool's name if it is not to be the function's.
        description: What models are told of it; the function's docstring if left out.
        args_schema: Its arguments, as a pydantic model; made from its parameters if left out.

    Raises:
        ConfigurationError: It is no function, or has neither docstring nor description.
    """

    def make(function: Callable[..., Any]) -> StructuredTool:
        if not callable(function):
            raise ConfigurationError(f"@tool takes a function, not {type(function).__name__}")
        name = name_or_callable if isinstance(name_or_callable, str) else function.__name__
        told = description or inspect.getdoc(function)
        if not told:
            raise ConfigurationError(f"the tool {name} needs a docstring, which models are told")
        kind = "coroutine" if inspect.iscoroutinefunction(function) else "func"
        return StructuredTool(
            name=name, description=told, args_schema=args_schema, **{kind: function}
        )

    if name_or_callable is None or isinstance(name_or_callable, str):
        return make
    return make(name_or_callable)


class _Signature:
    """The parameters of a tool's function: its arguments, and what it asks to be given."""

    def __init__(self, function: Any) -> None:
        hints = get_type_hints(function, include_extras=True)
        self._function = function
        self._parameters = dict(inspect.signature(function).parameters)
        self._manager = self._parameters.pop("run_manager", None) is not None
        self._callbacks = self._parameters.pop("callbacks", None) is not None
        self._hints = {name: hints.get(name, Any) for name in self._parameters}
        self._config = next(
            (n for n, hint in self._hints.items() if RunnableConfig in (hint, *get_args(hint))),
            None,
        )
        self._parameters.pop(self._config or "", None)

    def asked_for(self, run: Any, config: RunnableConfig) -> dict[str, Any]:
        """What the function asks to be given beside its arguments."""
        given: dict[str, Any] = {"run_manager": run} if self._manager else {}
        if self._callbacks:
            given["callbacks"] = run.get_child()
        if self._config is not None:
            given[self._config] = config_for_function(run, config)
        return given

    def schema(self, name: str) -> type[BaseModel]:
        """Return a model of the arguments."""
        fields: dict[str, Any] = {}
        extra: Any = "ignore"
        for key, parameter in self._parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                default = ... if parameter.default is parameter.empty else parameter.default
                fields[key] = (self._hints[key], default)
        config = ConfigDict(arbitrary_types_allowed=True, extra=extra)
        doc = inspect.getdoc(self._function)
        return create_model(name, __config__=config, __doc__=doc, **fields)


def _opened(given: Any) -> tuple[Any, str | None]:
    """The arguments, and the id of the tool call that they come from, if it is one."""
    if isinstance(given, dict) and given.get("type") == "tool_call":
        return given.get("args", {}), given.get("id")
    return given, None


def _message(result: Any, name: str, call_id: str | None) -> Any:
    """What a tool returns: for a tool call, a message that answers it."""
    if call_id is None or isinstance(result, ToolMessage):
        return result
    return ToolMessage(content=_content(result), tool_call_id=call_id, name=name)


def _content(result: Any) -> Any:
    blocks = isinstance(result, list) and all(
        isinstance(one, str) or (isinstance(one, dict) and "type" in one) for one in result
    )
    if blocks or isinstance(result, str):
        return result
    try:
        return json.dumps(result, ensure_ascii=False)
    except (TypeError, ValueError):
        return str(result)
