"""Functions as tools."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, overload

from pydantic import BaseModel
from typing_extensions import Self, TypedDict, Unpack

from callspan.errors import AsyncOnlyError, ConfigurationError
from callspan.tools.base import BaseTool, ResponseFormat


class StructuredTool(BaseTool):
    """A function as a tool; `@tool` makes it.

    Attributes:
        func: The function, for sync callers, and in a thread for async ones.
        coroutine: A coroutine function, for async callers.
    """

    func: Callable[..., Any] | None = None
    coroutine: Callable[..., Any] | None = None

    @classmethod
    def from_function(
        cls,
        func: Callable[..., Any] | None = None,
        coroutine: Callable[..., Any] | None = None,
        name: str | None = None,
        description: str | None = None,
        return_direct: bool = False,
        args_schema: type[BaseModel] | None = None,
        *,
        response_format: ResponseFormat = "content",
        **kwargs: Any,
    ) -> Self:
        """Make a tool of a function, of a coroutine function, or of one for each kind of caller.

        Args:
            func: The function; it may be a coroutine function, if there is no `coroutine`.
            coroutine: The coroutine function.
            name: The tool's name; the function's if left out.
            description: What models are told of it; the function's docstring if left out.
            return_direct: Whether an agent is done with the tool's answer.
            args_schema: Its arguments, as a pydantic model; made from its parameters if left out.
            response_format: Whether it returns what the model is told, or that and an artifact.
            kwargs: Other attributes of tools, such as `handle_tool_error`.

        Raises:
            ConfigurationError: There is no function, or it has neither docstring nor description.
        """
        if coroutine is None and inspect.iscoroutinefunction(func):
            func, coroutine = None, func
        function = func or coroutine
        if not callable(function):
            raise ConfigurationError(f"a tool is made of a function, not {type(function).__name__}")
        name = name or getattr(function, "__name__", type(function).__name__)
        told = description or inspect.getdoc(function)
        if not told:
            raise ConfigurationError(f"the tool {name} needs a docstring, which models are told")
        return cls(
            func=func,
            coroutine=coroutine,
            name=name,
            description=told,
            return_direct=return_direct,
            args_schema=args_schema,
            response_format=response_format,
            **kwargs,
        )

    def _run(self, *args: Any, **kwargs: Any) -> Any:
        if self.func is None:
            raise AsyncOnlyError(f"the tool {self.name} is async: use ainvoke")
        return self.func(*args, **kwargs)

    async def _arun(self, *args: Any, **kwargs: Any) -> Any:
        if self.coroutine is None:
            return await super()._arun(*args, **kwargs)
        return await self.coroutine(*args, **kwargs)

    def _functions(self) -> tuple[Any, Any]:
        return self.func, self.coroutine


class _Options(TypedDict, total=False):
    description: str | None
    return_direct: bool
    args_schema: type[BaseModel] | None
    response_format: ResponseFormat


@overload
def tool(name_or_callable: Callable[..., Any], **options: Unpack[_Options]) -> StructuredTool: ...
@overload
def tool(
    name_or_callable: str | None = None, **options: Unpack[_Options]
) -> Callable[[Callable[..., Any]], StructuredTool]: ...
def tool(name_or_callable: Any = None, **options: Unpack[_Options]) -> Any:
    """Make a function a tool: `@tool`, or `@tool("name", ...)`.

    Args:
        name_or_callable: The function, or the tool's name if it is not to be the function's.
        options: `description`, `return_direct`, `args_schema` and `response_format`, as for
            `StructuredTool.from_function`.

    Raises:
        ConfigurationError: It is no function, or has neither docstring nor description.
    """
    if name_or_callable is None or isinstance(name_or_callable, str):
        return partial(StructuredTool.from_function, name=name_or_callable, **options)
    return StructuredTool.from_function(name_or_callable, **options)
