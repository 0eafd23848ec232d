"""Where spans are sent over OTLP, and how: the arguments and the environment, put together."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, urlsplit

from opentelemetry.sdk.trace.export import SpanExporter
from opentelemetry.util.re import parse_env_headers

from callspan.export.options import PROTOCOLS
from callspan.tracing.secrets import without_secrets

log = logging.getLogger("callspan")

_PATH: Final = "/v1/traces"
_COMPRESSIONS: Final = ("gzip", "deflate", "none")


@dataclass(frozen=True)
class Target:
    """An OTLP receiver.

    Args:
        protocol: "grpc" or "http/protobuf".
        url: What the exporter connects to; the whole of it for HTTP.
        headers: What is sent with every request; names in lower case.
        compression: "gzip", "deflate" or "none".
    """

    protocol: str
    url: str
    headers: dict[str, str] = field(repr=False)
    compression: str

    def __str__(self) -> str:
        """The address as it may be shown: without credentials."""
        url = urlsplit(self.url)
        shown = url._replace(netloc=url.netloc.rpartition("@")[2], query="", fragment="")
        return f"{shown.geturl()} ({self.protocol})"

    def without_credentials(self, text: str) -> str:
        """Return `text` with no part of the address that may be secret."""
        url = urlsplit(self.url)
        for hidden in filter(None, (url.query, url.password)):
            text = text.replace(hidden, "[secret]")
        return without_secrets(text)

    def exporter(self) -> SpanExporter:
        """Return a new exporter; what is not said here it takes from the environment itself.

        Raises:
            ValueError: A variable of the environment cannot be used.
        """
        return self._grpc() if self.protocol == "grpc" else self._http()

    def _grpc(self) -> SpanExporter:
        import grpc  # type: ignore[import-untyped]  # slow to import
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

        kinds = grpc.Compression
        compression = {"gzip": kinds.Gzip, "deflate": kinds.Deflate, "none": kinds.NoCompression}
        return OTLPSpanExporter(
            endpoint=self.url,
            insecure={"http": True, "https": False}.get(urlsplit(self.url).scheme),
            headers=self.headers,
            compression=compression[self.compression],
        )

    def _http(self) -> SpanExporter:
        from opentelemetry.exporter.otlp.proto.http import Compression
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        from callspan.export.session import StrictSession

        has_own = any(name.endswith("_CREDENTIAL_PROVIDER") for name in os.environ)
        return OTLPSpanExporter(
            endpoint=self.url,
            headers=self.headers,
            compression=Compression(self.compression),
            session=None if has_own else StrictSession(),
        )


def target(endpoint: str | None, protocol: str | None, headers: Mapping[str, str] | None) -> Target:
    """Return where spans go: as the arguments say, then the environment, then the defaults.

    Args:
        endpoint: A base URL: over HTTP, /v1/traces is added.
        protocol: "grpc" or "http/protobuf".
        headers: Headers, in addition to those of the environment; these win.
    """
    said = endpoint or _env("ENDPOINT")
    protocol = protocol or _choice("PROTOCOL", PROTOCOLS) or _protocol_by_port(said)
    if protocol == "grpc":
        url = said or "http://localhost:4317"
    elif endpoint is None and os.environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        url = os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"]  # not a base, says OpenTelemetry
    else:
        url = _with_path(said or "http://localhost:4318")
    own = {name.lower(): value for name, value in (headers or {}).items()}
    return Target(
        protocol=protocol,
        url=url,
        headers={**parse_env_headers(_env("HEADERS") or "", liberal=True), **own},
        compression=_choice("COMPRESSION", _COMPRESSIONS) or "gzip",
    )


def _env(name: str) -> str | None:
    prefix = "OTEL_EXPORTER_OTLP_"
    return os.environ.get(f"{prefix}TRACES_{name}") or os.environ.get(prefix + name) or None


def _choice(name: str, known: tuple[str, ...]) -> str | None:
    said = (_env(name) or "").strip().lower()
    if said and said not in known:
        # OpenTelemetry asks for a warning here, not for an error.
        log.warning(
            "OTEL_EXPORTER_OTLP_%s is %r, which callspan cannot use: it knows %s",
            name,
            said,
            ", ".join(known),
        )
        return None
    return said or None


def _protocol_by_port(endpoint: str | None) -> str:
    try:
        port = _split(endpoint or "").port
    except ValueError:
        port = None
    return "grpc" if port == 4317 else "http/protobuf"


def _split(endpoint: str) -> SplitResult:
    return urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")


def _with_path(base: str) -> str:
    url = urlsplit(base)
    path = url.path.rstrip("/")
    return url._replace(path=path if path.endswith(_PATH) else path + _PATH).geturl()
