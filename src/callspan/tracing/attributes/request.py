"""What a model is asked, with which parameters and where: known before it answers."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from callspan.tracing.attributes import names

if TYPE_CHECKING:
    from callspan.tracing.attributes.run import Attributes, RunStart

_PROVIDERS: Final = {
    "amazon_bedrock": "aws.bedrock",
    "azure": "azure.ai.openai",
    "azure_openai": "azure.ai.openai",
    "bedrock": "aws.bedrock",
    "google_genai": "gcp.gemini",
    "google_vertexai": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    "mistral": "mistral_ai",
    "mistralai": "mistral_ai",
    "moonshot": "moonshot_ai",
    "xai": "x_ai",
}
_MODEL_KEYS: Final = ("model", "model_name", "model_id", "deployment_name", "azure_deployment")
_URL_KEYS: Final = (
    "base_url",
    "openai_api_base",
    "anthropic_api_url",
    "groq_api_base",
    "azure_endpoint",
    "endpoint",
    "endpoint_url",
    "api_base",
)
_MODEL_SET: Final = frozenset(_MODEL_KEYS)
_URL_SET: Final = frozenset(_URL_KEYS)
_INT64: Final = 2**63
_USER: Final = re.compile(r"//[^/?#]*@")
_PORTS: Final = {"http": 80, "https": 443}


class Request:
    """Who is asked, and where.

    Args:
        start: The run of a model.

    Attributes:
        model: The model that is asked for, by its provider's name.
        provider: Who is asked, by the conventions' name (`gen_ai.provider.name`).
        server: The host and port that are asked; None where no URL is known.
        remote: Whether that is a service, and not a fake in this process.
    """

    __slots__ = ("model", "provider", "remote", "server")

    def __init__(self, start: RunStart) -> None:
        self.model = _model(start)
        self.provider = provider = _provider(start)
        self.server = server = _server(start)
        self.remote = server is not None or (provider is not None and "fake" not in provider)


def _model(start: RunStart) -> str | None:
    params = start.params
    if not _MODEL_SET.isdisjoint(params):
        for key in _MODEL_KEYS:
            model = params.get(key)
            if model and isinstance(model, str):
                return model
    model = start.metadata.get("ls_model_name")
    return model if model and isinstance(model, str) else None


def _provider(start: RunStart) -> str | None:
    provider = start.metadata.get("ls_provider")
    if provider and isinstance(provider, str):
        return _PROVIDERS.get(provider, provider)
    return None


def _server(start: RunStart) -> tuple[str, int | None] | None:
    # LangChain's models tell their URL among the arguments they were made with.
    made_with = start.serialized.get("kwargs")
    for source in (start.params, start.metadata, made_with if type(made_with) is dict else {}):
        if not _URL_SET.isdisjoint(source):
            for key in _URL_KEYS:
                url = source.get(key)
                if url is not None:
                    return _address(str(url))
    return None


def data_source_of(start: RunStart) -> str | None:
    """Return what a retriever searches, if the metadata say it."""
    source = start.metadata.get("data_source_id") or start.metadata.get(names.DATA_SOURCE_ID)
    return None if source is None else str(source)


def of_request(start: RunStart) -> Attributes:
    """Yield the model, the provider, the server and the parameters of a request."""
    params, metadata, request = start.params, start.metadata, start.request
    yield names.REQUEST_MODEL, request.model
    yield names.PROVIDER_NAME, request.provider
    if request.server is not None:
        yield names.SERVER_ADDRESS, request.server[0]
        yield names.SERVER_PORT, request.server[1]
    if not _STANDARD_SET.isdisjoint(metadata):
        for key in _STANDARD.keys() & metadata.keys():
            attribute, converted = _STANDARD[key]
            yield attribute, converted(metadata[key])
    for key in params:  # these come last, so that they win
        if key in _PARAMETERS and params[key] is not None:
            attribute, converted = _PARAMETERS[key]
            yield attribute, converted(params[key])


def parameters_of(start: RunStart) -> dict[str, Any]:
    """Return the parameters of a request by their provider's names, without any content."""
    params = start.params
    return {key: params[key] for key in _PARAMETERS if params.get(key) is not None}


def of_tool(start: RunStart) -> Attributes:
    """Yield what is known of a tool beside its name."""
    description, call_id = start.serialized.get("description"), start.extra.get("tool_call_id")
    yield names.TOOL_DESCRIPTION, description if isinstance(description, str) else None
    yield names.TOOL_CALL_ID, None if call_id is None else str(call_id)


def of_data_source(start: RunStart) -> Attributes:
    """Yield what a retriever searches."""
    yield names.DATA_SOURCE_ID, data_source_of(start)


@lru_cache(maxsize=256)
def _address(url: str) -> tuple[str, int | None] | None:
    try:
        # A masked password has brackets, which urlsplit takes for those of an address of IPv6.
        parts = urlsplit(_USER.sub("//", url if "://" in url else f"//{url}"))
        host, port = parts.hostname, parts.port
    except ValueError:
        return None
    return None if host is None else (host, port or _PORTS.get(parts.scheme))


def _float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _int(value: Any) -> int | None:
    whole = isinstance(value, int) and not isinstance(value, bool)
    return value if whole and abs(value) < _INT64 else None


def _several(value: Any) -> int | None:
    count = _int(value)
    return None if count == 1 else count


def _texts(value: Any) -> list[str] | None:
    if isinstance(value, str):
        return [value]
    if not isinstance(value, list | tuple) or not value:
        return None
    return [str(item) for item in value]


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _true(value: Any) -> bool | None:
    return True if value is True else None


def _output_type(value: Any) -> str | None:
    if not isinstance(value, dict):
        return None if value is None else "json"  # a class that the answer has to fit
    return {"json_object": "json", "json_schema": "json", "text": "text"}.get(
        str(value.get("type"))
    )


_PARAMETERS: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "temperature": (names.REQUEST_TEMPERATURE, _float),
    "top_p": (names.REQUEST_TOP_P, _float),
    "top_k": (names.REQUEST_TOP_K, _int),
    "max_tokens": (names.REQUEST_MAX_TOKENS, _int),
    "max_tokens_to_sample": (names.REQUEST_MAX_TOKENS, _int),
    "max_completion_tokens": (names.REQUEST_MAX_TOKENS, _int),
    "max_output_tokens": (names.REQUEST_MAX_TOKENS, _int),
    "stop": (names.REQUEST_STOP_SEQUENCES, _texts),
    "stop_sequences": (names.REQUEST_STOP_SEQUENCES, _texts),
    "frequency_penalty": (names.REQUEST_FREQUENCY_PENALTY, _float),
    "presence_penalty": (names.REQUEST_PRESENCE_PENALTY, _float),
    "seed": (names.REQUEST_SEED, _int),
    "n": (names.REQUEST_CHOICE_COUNT, _several),
    "candidate_count": (names.REQUEST_CHOICE_COUNT, _several),
    "stream": (names.REQUEST_STREAM, _true),
    "streaming": (names.REQUEST_STREAM, _true),
    "reasoning_effort": (names.REQUEST_REASONING_LEVEL, _text),
    "response_format": (names.OUTPUT_TYPE, _output_type),
}
_STANDARD: Final[dict[str, tuple[str, Callable[[Any], Any]]]] = {
    "ls_temperature": (names.REQUEST_TEMPERATURE, _float),
    "ls_max_tokens": (names.REQUEST_MAX_TOKENS, _int),
    "ls_stop": (names.REQUEST_STOP_SEQUENCES, _texts),
}
_STANDARD_SET: Final = frozenset(_STANDARD)
