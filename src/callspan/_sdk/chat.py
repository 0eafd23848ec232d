"""A chat model that asks a vendor's API through the vendor's SDK."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Annotated, Any, ClassVar, Protocol

from pydantic import AfterValidator, ConfigDict, Field, PrivateAttr, SecretStr

from callspan._sdk.clients import Clients
from callspan.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from callspan.language_models import BaseChatModel
from callspan.messages import BaseMessage
from callspan.outputs import ChatGenerationChunk, ChatResult
from callspan.tracing.secrets import without_secrets


class Reader(Protocol):
    """Turns what a stream sends into chunks of the answer."""

    def read(self, event: Any) -> list[ChatGenerationChunk]:
        """Return the chunks that an event adds to the answer."""


def _hidden(key: str | SecretStr | None) -> SecretStr | None:
    return SecretStr(key) if isinstance(key, str) else key


class SDKChatModel(BaseChatModel):
    """What the chat models of the vendors have in common; the SDK's errors come through as is.

    Attributes:
        model: The model's name.
        api_key: The key. It is never shown.
        base_url: Where the API is. It may hold a password, and so is not shown either.
        timeout: Seconds that a request may take; the SDK's default where it is None.
        max_retries: How often the SDK repeats a request that failed for a reason that may pass.
        default_headers: Sent with each request. They may hold a key, and so are not shown either.
    """

    # Without it, a mistake in any argument would show them all, the key among them.
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    model: str
    api_key: Annotated[str | SecretStr | None, AfterValidator(_hidden)] = Field(
        default=None, exclude=True, repr=False
    )
    base_url: str | None = Field(default=None, exclude=True, repr=False)
    timeout: float | None = None
    max_retries: int = 2
    default_headers: dict[str, str] | None = Field(default=None, exclude=True, repr=False)

    _vendor: ClassVar[str]
    _clients: Clients = PrivateAttr()

    @property
    @abstractmethod
    def _url(self) -> str:
        """Where the SDK will find the API."""

    @property
    @abstractmethod
    def _settings(self) -> dict[str, Any]:
        """The parameters of each request."""

    @abstractmethod
    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Return a request, as the keywords of the endpoint's `create`."""

    @abstractmethod
    def _endpoint(self, client: Any) -> Any:
        """Return the part of a client that has `create`."""

    @abstractmethod
    def _result(self, reply: Any) -> ChatResult:
        """Return the answer that a reply holds."""

    @abstractmethod
    def _reader(self) -> Reader:
        """Return what reads one stream."""

    @property
    def _llm_type(self) -> str:
        return f"{self._vendor}-chat"

    @property
    def _identifying_params(self) -> dict[str, Any]:
        return {**self._settings, "base_url": without_secrets(self._url)}

    def _get_ls_params(self, stop: list[str] | None = None, **kwargs: Any) -> dict[str, Any]:
        return {**super()._get_ls_params(stop=stop, **kwargs), "ls_provider": self._vendor}

    @property
    def _client_options(self) -> dict[str, Any]:
        key = _hidden(self.api_key)
        given = {
            "api_key": key.get_secret_value() if key else None,
            "base_url": self.base_url or None,
            "timeout": self.timeout,
            "max_retries": self.max_retries,
            "default_headers": self.default_headers,
        }
        return {name: value for name, value in given.items() if value is not None}

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        endpoint = self._endpoint(self._clients.sync(self._client_options))
        return self._result(endpoint.create(**self._request(messages, stop, kwargs)))

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        endpoint = self._endpoint(await self._clients.of_running_loop(self._client_options))
        return self._result(await endpoint.create(**self._request(messages, stop, kwargs)))

    def _stream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> Iterator[ChatGenerationChunk]:
        endpoint = self._endpoint(self._clients.sync(self._client_options))
        request = self._request(messages, stop, {**kwargs, "stream": True})
        reader = self._reader()
        with endpoint.create(**request) as events:
            for event in events:
                yield from reader.read(event)

    async def _astream(
        self, messages: list[BaseMessage], stop: list[str] | None = None, **kwargs: Any
    ) -> AsyncIterator[ChatGenerationChunk]:
        endpoint = self._endpoint(await self._clients.of_running_loop(self._client_options))
        request = self._request(messages, stop, {**kwargs, "stream": True})
        reader = self._reader()
        async with await endpoint.create(**request) as events:
            async for event in events:
                for chunk in reader.read(event):
                    yield chunk
