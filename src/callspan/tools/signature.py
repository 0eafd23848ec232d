"""The parameters of a tool's function."""

from __future__ import annotations

import inspect
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, create_model

from callspan.errors import ConfigurationError
from callspan.runnables.config import RunnableConfig, config_for_function


class Signature:
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
        """Return a model of the arguments.

        Raises:
            ConfigurationError: One of them cannot be given by name.
        """
        fields: dict[str, Any] = {}
        extra: Any = "ignore"
        for key, parameter in self._parameters.items():
            if parameter.kind is parameter.VAR_KEYWORD:
                extra = "allow"
            elif parameter.kind is not parameter.VAR_POSITIONAL:
                default = ... if parameter.default is parameter.empty else parameter.default
                private = key.startswith("_") and default is ...
                if private or key == "self" or parameter.kind is parameter.POSITIONAL_ONLY:
                    raise ConfigurationError(
                        f"the tool {name} is given its arguments by name, which {key} is not fit "
                        "for: rename it, or wrap the function; of a method, take object.method"
                    )
                fields[key] = (self._hints[key], default)
        config = ConfigDict(arbitrary_types_allowed=True, extra=extra)
        doc = inspect.getdoc(self._function)
        return create_model(name, __config__=config, __doc__=doc, **fields)
