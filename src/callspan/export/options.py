"""The arguments of `configure`, checked before anything is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from callspan.errors import ConfigurationError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

PROTOCOLS: Final = ("grpc", "http/protobuf")
_HEADER_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_SCALARS: Final = (str, bool, int, float)
_NOT_OF_THE_PROVIDER: Final = frozenset({"capture_content", "redact", "instrument_threads"})


@dataclass(frozen=True, kw_only=True)
class Options:
    """What `configure` was called with.

    Raises:
        ConfigurationError: An argument cannot be used. The handler checks its own two.
    """

    service_name: str | None
    endpoint: str | None
    protocol: str | None
    headers: Mapping[str, str] | None
    resource_attributes: Mapping[str, Any] | None
    sampler: Sampler | None
    capture_content: bool | None
    redact: Callable[[str, Any], Any] | None
    console: bool
    instrument_threads: bool

    def __post_init__(self) -> None:
        if self.service_name is not None:
            _check_service_name(self.service_name)
        if self.endpoint is not None:
            _check_endpoint(self.endpoint)
        if self.protocol is not None and self.protocol not in PROTOCOLS:
            raise ConfigurationError(
                f"protocol takes {' or '.join(map(repr, PROTOCOLS))}, not {self.protocol!r}"
            )
        if self.headers is not None:
            _check_headers(self.headers)
            object.__setattr__(self, "headers", dict(self.headers))
        if self.resource_attributes is not None:
            _check_resource_attributes(self.resource_attributes)
            object.__setattr__(self, "resource_attributes", dict(self.resource_attributes))
        if self.sampler is not None:
            _check_sampler(self.sampler)
        for name in ("console", "instrument_threads"):
            if not isinstance(value := getattr(self, name), bool):
                raise ConfigurationError(f"{name} takes True or False, not {value!r}")

    def differing(self, other: Options) -> list[str]:
        """Return the names of the arguments that are not the same in `other`."""
        names = [field.name for field in fields(self)]
        return [name for name in names if getattr(self, name) != getattr(other, name)]

    def about_the_provider(self) -> list[str]:
        """Return the names of the arguments given that say how to make a provider."""
        given = [field.name for field in fields(self) if getattr(self, field.name) not in _UNSAID]
        return [name for name in given if name not in _NOT_OF_THE_PROVIDER]


_UNSAID: Final = (None, False)


def _check_service_name(name: object) -> None:
    if not isinstance(name, str) or not name.strip():
        raise ConfigurationError(
            f"service_name takes the name of the service as text, not {name!r}"
        )


def _check_endpoint(endpoint: object) -> None:
    advice = 'pass the address of an OTLP receiver, such as "http://localhost:4318"'
    if not isinstance(endpoint, str):
        raise ConfigurationError(f"endpoint takes a URL as text, not {endpoint!r}: {advice}")
    try:
        url = urlsplit(endpoint)
        port_is_possible = url.port != 0
    except ValueError as error:
        raise ConfigurationError(f"endpoint is no URL ({error}): {advice}") from None
    if url.scheme not in ("http", "https"):
        raise ConfigurationError(f"endpoint must begin with http:// or https://: {advice}")
    if not url.hostname or not port_is_possible or re.search(r"\s", endpoint):
        raise ConfigurationError(f"endpoint names no host that can be reached: {advice}")


def _check_headers(headers: object) -> None:
    # The values are credentials more often than not: no message shows them.
    if not isinstance(headers, Mapping):
        raise ConfigurationError(
            f'headers takes a dict such as {{"x-api-key": key}}, not {type(headers).__name__}'
        )
    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER_NAME.fullmatch(name):
            raise ConfigurationError(f"headers has a name that no header can have: {name!r}")
        if not isinstance(value, str):
            raise ConfigurationError(f"headers[{name!r}] must be text, not {type(value).__name__}")
        if not value.isascii() or not value.isprintable():
            raise ConfigurationError(
                f"headers[{name!r}] has a character that no header can have, perhaps the end of "
                "a line: strip it"
            )


def _check_resource_attributes(attributes: object) -> None:
    if not isinstance(attributes, Mapping):
        raise ConfigurationError(
            "resource_attributes takes a dict such as "
            f'{{"deployment.environment.name": "test"}}, not {type(attributes).__name__}'
        )
    for name, value in attributes.items():
        if not isinstance(name, str) or not name:
            raise ConfigurationError(f"resource_attributes has a key that is no name: {name!r}")
        if not _is_attribute(value):
            raise ConfigurationError(
                f"resource_attributes[{name!r}] must be text, a number, a boolean, or a list of "
                f"one of these, not {value!r}"
            )


def _is_attribute(value: object) -> bool:
    if isinstance(value, _SCALARS):
        return True
    if not isinstance(value, Sequence):
        return False
    return all(isinstance(item, _SCALARS) for item in value) and len(set(map(type, value))) <= 1


def _check_sampler(sampler: object) -> None:
    from opentelemetry.sdk.trace.sampling import Sampler  # slow to import, and rarely needed

    if not isinstance(sampler, Sampler):
        raise ConfigurationError(
            "sampler takes an opentelemetry.sdk.trace.sampling.Sampler, such as "
            f"ParentBasedTraceIdRatio(0.1), not {sampler!r}"
        )
