"""Anthropic's models as chat models."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, ClassVar, Final

from pydantic import PrivateAttr

from callspan._sdk.chat import SDKChatModel
from callspan._sdk.clients import Clients
from callspan.anthropic.clients import clients
from callspan.anthropic.events import StreamReader
from callspan.anthropic.wire import request_of, result_of, tools_of
from callspan.messages import BaseMessage
from callspan.outputs import ChatResult

_BASE_URL: Final = "https://api.anthropic.com"
_SAMPLING: Final = ("temperature", "top_p", "top_k")


class ChatAnthropic(SDKChatModel):
    """A model of Anthropic's, through the official SDK, whose errors come through as they are.

    A call's further keywords go into the request: `model.invoke(messages, thinking={...})`.
    Content blocks are the API's own; images may also be as OpenAI and langchain write them.

    Attributes:
        model: The model's name, such as `claude-haiku-4-5`.
        api_key: The key; where it is None the SDK takes it from `ANTHROPIC_API_KEY`, or finds other
            credentials. It is never shown.
        base_url: Where the API is; where it is None, `ANTHROPIC_BASE_URL` or Anthropic's own. It
            may hold a password, and is not shown either.
        timeout: Seconds that a request may take; the SDK's default where it is None.
        max_retries: How often the SDK repeats a request that failed for a reason that may pass.
        default_headers: Sent with each request. They may hold a key, and so are not shown either.
        max_tokens: The most tokens that an answer may have.
        temperature: How random answers are, 0 to 1; not every model takes it.
        top_p: The share of the likeliest tokens to choose from, 0 to 1; not every model takes it.
        top_k: How many of the likeliest tokens to choose from; not every model takes it.
        stop_sequences: Texts that end an answer where they occur, unless a call gives `stop`.
    """

    max_tokens: int = 1024
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None

    _vendor: ClassVar[str] = "anthropic"
    _clients: Clients = PrivateAttr(default_factory=clients)

    @property
    def _url(self) -> str:
        return self.base_url or os.environ.get("ANTHROPIC_BASE_URL") or _BASE_URL

    @property
    def _settings(self) -> dict[str, Any]:
        names = ("model", "max_tokens", *_SAMPLING, "stop_sequences")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    def _tool_arguments(
        self, tools: Sequence[Any], choice: str | bool | dict[str, Any] | None
    ) -> dict[str, Any]:
        return tools_of(tools, choice)

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        request = {**request_of(messages), **self._settings}
        if stop is not None:
            request["stop_sequences"] = stop
        request |= kwargs
        # Not every version of the SDK has arguments for these, and all send what is in here.
        sampling = {name: request.pop(name) for name in _SAMPLING if name in request}
        if sampling:
            request["extra_body"] = {**sampling, **request.get("extra_body", {})}
        return request

    def _endpoint(self, client: Any) -> Any:
        return client.messages

    def _result(self, reply: Any) -> ChatResult:
        return result_of(reply)

    def _reader(self) -> StreamReader:
        return StreamReader()
