"""OpenAI's models as chat models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import Field, PrivateAttr

from callspan._sdk.chat import SDKChatModel
from callspan._sdk.clients import Clients
from callspan.messages import BaseMessage
from callspan.openai.clients import clients
from callspan.openai.events import StreamReader
from callspan.openai.wire import request_of, result_of, tools_of
from callspan.outputs import ChatResult

_BASE_URL: Final = "https://api.openai.com/v1"
_PARAMETERS: Final = (
    "model",
    "temperature",
    "max_tokens",
    "max_completion_tokens",
    "top_p",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "reasoning_effort",
)


class ChatOpenAI(SDKChatModel):
    """A model of OpenAI's, or of a server that speaks its API, through the official SDK.

    It asks for chat completions. The SDK's errors come through as they are. A call's further
    keywords go into the request: `model.invoke(messages, response_format={...})`.

    Attributes:
        model: The model's name, such as `gpt-5-mini`.
        api_key: The key; where it is None the SDK takes it from `OPENAI_API_KEY`. It is never
            shown.
        base_url: Where the API is, with its path (`/v1`); where it is None, `OPENAI_BASE_URL` or
            OpenAI's own. It may hold a password, and is not shown either.
        organization: Who pays, where the key does not tell; `OPENAI_ORG_ID` where it is None.
        timeout: Seconds that a request may take; the SDK's default where it is None.
        max_retries: How often the SDK repeats a request that failed for a reason that may pass.
        temperature: How random answers are, 0 to 2; not every model takes it.
        max_tokens: The most tokens that an answer may have, for servers and models that know it by
            this name.
        max_completion_tokens: The same by OpenAI's newer name; reasoning counts, too.
        top_p: The share of the likeliest tokens to choose from, 0 to 1; not every model takes it.
        stop: Texts that end an answer where they occur, unless a call gives `stop`.
        seed: What makes answers repeatable, as far as the server can.
        frequency_penalty: How much tokens are avoided that have come often, -2 to 2.
        presence_penalty: How much tokens are avoided that have come at all, -2 to 2.
        reasoning_effort: How much a model that reasons does so: `low`, `medium`, `high`, ...
        stream_usage: Whether to ask for the token counts of streamed answers; a server may refuse.
        model_kwargs: Further parameters of each request, by the API's names.
    """

    organization: str | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    top_p: float | None = None
    stop: list[str] | str | None = None
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    reasoning_effort: str | None = None
    stream_usage: bool = True
    model_kwargs: dict[str, Any] = Field(default_factory=dict)

    _vendor: ClassVar[str] = "openai"
    _clients: Clients = PrivateAttr(default_factory=clients)

    @property
    def _url(self) -> str:
        return self.base_url or os.environ.get("OPENAI_BASE_URL") or _BASE_URL

    @property
    def _settings(self) -> dict[str, Any]:
        given = {name: getattr(self, name) for name in _PARAMETERS}
        return {
            **{name: value for name, value in given.items() if value is not None},
            **self.model_kwargs,
        }

    @property
    def _client_options(self) -> dict[str, Any]:
        own = {"organization": self.organization} if self.organization else {}
        return {**super()._client_options, **own}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        request = {**self._settings, **kwargs}
        most = request.get("max_completion_tokens") or request.get("max_tokens")
        return super()._get_ls_params(
            stop=request.get("stop") if stop is None else stop, **{**kwargs, "max_tokens": most}
        )

    def _tool_arguments(
        self, tools: Sequence[Any], choice: str | bool | dict[str, Any] | None
    ) -> dict[str, Any]:
        return tools_of(tools, choice)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        request = {"messages": request_of(messages), **self._settings, **kwargs}
        if stop is not None:
            request["stop"] = stop
        if request.get("stream") and self.stream_usage:
            request.setdefault("stream_options", {"include_usage": True})
        return request

    def _endpoint(self, client: Any) -> Any:
        return client.chat.completions

    def _result(self, reply: Any) -> ChatResult:
        return result_of(reply)

    def _reader(self) -> StreamReader:
        return StreamReader()
