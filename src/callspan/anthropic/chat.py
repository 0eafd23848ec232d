"""Anthropic's models as chat models."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ConfigDict, Field, PrivateAttr, SecretStr

from callspan.anthropic.clients import Clients
from callspan.anthropic.events import StreamReader
from callspan.anthropic.wire import request_of, result_of
from callspan.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from callspan.language_models import BaseChatModel
from callspan.messages import BaseMessage
from callspan.outputs import ChatGenerationChunk, ChatResult

_BASE_URL: Final = "https://api.anthropic.com"
_SAMPLING: Final = ("temperature", "top_p", "top_k")


def _hidden(key: str | SecretStr | None) -> SecretStr | None:
    return SecretStr(key) if isinstance(key, str) else key


class ChatAnthropic(BaseChatModel):
    """A model of Anthropic's, through the official SDK, whose errors come through as they are.

    A call's further keywords go into the request: `model.invoke(messages, tools=[...])`. Content
    blocks are the API's own.

    Attributes:
        model: The model's name, such as `claude-haiku-4-5`.
        api_key: The key; where it is None the SDK takes it from `ANTHROPIC_API_KEY`, or finds other
            credentials. It is never shown.
        base_url: Where the API is; where it is None, `ANTHROPIC_BASE_URL` or Anthropic's own.
        timeout: Seconds that a request may take; the SDK's default where it is None.
        max_retries: How often the SDK repeats a request that failed for a reason that may pass.
        max_tokens: The most tokens that an answer may have.
        temperature: How random answers are, 0 to 1; not every model takes it.
        top_p: The share of the likeliest tokens to choose from, 0 to 1; not every model takes it.
        top_k: How many of the likeliest tokens to choose from; not every model takes it.
        stop_sequences: Texts that end an answer where they occur, unless a call gives `stop`.
    """

    # Without it, a mistake in any argument would show them all, the key among them.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str
    api_key: Annotated[str | SecretStr | None, AfterValidator(_hidden)] = Field(
        default=None, exclude=True, repr=False
    )
    base_url: str | None = None
    timeout: float | None = None
    max_retries: int = 2
    max_tokens: int = 1024
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop_sequences: list[str] | None = None

    _clients: Clients = PrivateAttr(default_factory=Clients)

    @property
    def _llm_type(self) -> str:
        return "anthropic-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        base_url = self.base_url or os.environ.get("ANTHROPIC_BASE_URL") or _BASE_URL
        return {**self._settings, "base_url": base_url}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": "anthropic"}

    @property
    def _settings(self) -> dict[str, Any]:
        names = ("model", "max_tokens", *_SAMPLING, "stop_sequences")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @property
    def _client_options(self) -> dict[str, Any]:
        options: dict[str, Any] = {"max_retries": self.max_retries}
        key = _hidden(self.api_key)
        if key:
            options["api_key"] = key.get_secret_value()
        if self.base_url:
            options["base_url"] = self.base_url
        if self.timeout is not None:
            options["timeout"] = self.timeout
        return options

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

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client = self._clients.sync(self._client_options)
        return result_of(client.messages.create(**self._request(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        client = await self._clients.of_running_loop(self._client_options)
        return result_of(await client.messages.create(**self._request(messages, stop, kwargs)))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        client = self._clients.sync(self._client_options)
        request = self._request(messages, stop, kwargs)
        reader = StreamReader()
        with client.messages.create(**request, stream=True) as events:
            for event in events:
                yield from reader.read(event)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        client = await self._clients.of_running_loop(self._client_options)
        request = self._request(messages, stop, kwargs)
        reader = StreamReader()
        async with await client.messages.create(**request, stream=True) as events:
            async for event in events:
                for chunk in reader.read(event):
                    yield chunk
