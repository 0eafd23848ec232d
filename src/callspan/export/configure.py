"""configure: tracing for the whole program, in one call."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import (
    NoOpTracerProvider,
    ProxyTracerProvider,
    TracerProvider,
    get_tracer_provider,
    set_tracer_provider,
)

from callspan._fork import Lock
from callspan.callbacks import threads
from callspan.errors import ConfigurationError
from callspan.export.options import Options
from callspan.export.tracing import Tracing
from callspan.tracing.handler import OTelCallbackHandler

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.sampling import Sampler

log = logging.getLogger("callspan")


class _Configured:
    """What this process has been configured with; there is one."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.last: tuple[Options, Tracing] | None = None


_configured = _Configured()


def configure(
    service_name: str | None = None,
    *,
    endpoint: str | None = None,
    protocol: str | None = None,
    headers: Mapping[str, str] | None = None,
    resource_attributes: Mapping[str, Any] | None = None,
    sampler: Sampler | None = None,
    capture_content: bool | None = None,
    redact: Callable[[str, Any], Any] | None = None,
    console: bool = False,
    instrument_threads: bool = False,
) -> Tracing:
    """Make a span of every run of the program, and deliver the spans over OTLP.

    Call it once, when the program starts. What is not said here, the OTEL_* variables of the
    environment say. If the application has set a global tracer provider of its own, that is used
    as it is, and a warning names the arguments that have no effect.

    Args:
        service_name: The name of the service; OTEL_SERVICE_NAME.
        endpoint: The address of an OTLP receiver, http://localhost:4318 by default; over HTTP
            /v1/traces is added. Over gRPC, http:// means without TLS. OTEL_EXPORTER_OTLP_ENDPOINT.
        protocol: "http/protobuf" or "grpc"; OTEL_EXPORTER_OTLP_PROTOCOL. If nothing is said, gRPC
            for port 4317 and HTTP for all others.
        headers: Sent with every request, in addition to OTEL_EXPORTER_OTLP_HEADERS.
        resource_attributes: What describes the process, in addition to OTEL_RESOURCE_ATTRIBUTES.
        sampler: Which traces are recorded; OTEL_TRACES_SAMPLER.
        capture_content: Whether prompts, answers, arguments and documents are recorded;
            OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT; off when neither says so.
        redact: Called with an attribute's key and its Python value before content, tags and
            metadata are recorded; returns the value to record.
        console: Whether finished traces are printed as trees to standard output.
        instrument_threads: Whether to call `callspan.instrument_threads`; shutting tracing down
            does not undo it.

    Returns:
        The handle to flush and shut down; the same one for the same arguments.

    Raises:
        ConfigurationError: An argument or a variable of the environment cannot be used, or the
            program was configured with other arguments before, or has shut tracing down. Nothing
            was changed then.
    """
    options = Options(
        service_name=service_name,
        endpoint=endpoint,
        protocol=protocol,
        headers=headers,
        resource_attributes=resource_attributes,
        sampler=sampler,
        capture_content=capture_content,
        redact=redact,
        console=console,
        instrument_threads=instrument_threads,
    )
    with _configured.lock:
        if _configured.last is not None:
            before, tracing = _configured.last
            if not tracing.is_shut_down:
                _check_same(before, options)
                return tracing
            if tracing.owns_provider:
                raise ConfigurationError(
                    "tracing was shut down, and OpenTelemetry allows one global tracer provider a "
                    "process: configure once when the program starts, shut down when it ends, and "
                    "use force_flush() in between"
                )
        tracing = _set_up(options)
        if instrument_threads:
            threads.instrument_threads()
        _configured.last = options, tracing
        return tracing


def _check_same(before: Options, options: Options) -> None:
    differing = before.differing(options)
    if differing:
        raise ConfigurationError(
            f"callspan is configured already, with another {', another '.join(differing)}: use "
            "the Tracing that the first call returned, or give the first call all arguments"
        )


def _set_up(options: Options) -> Tracing:
    try:
        provider = get_tracer_provider()
    except Exception as error:
        raise ConfigurationError(
            "OTEL_PYTHON_TRACER_PROVIDER names no tracer provider that is installed: unset it"
        ) from error
    if not isinstance(provider, ProxyTracerProvider):
        ineffective = options.about_the_provider()
        if ineffective:
            log.warning(
                "The application has set a tracer provider of its own, which is used as it is: "
                "%s given to configure had no effect. Call configure first, or set that provider "
                "up accordingly",
                ", ".join(ineffective),
            )
        return Tracing(_handler(provider, options), provider)
    if os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        provider = NoOpTracerProvider()
        return Tracing(_handler(provider, options), provider)
    return _set_up_sdk(options)


def _set_up_sdk(options: Options) -> Tracing:
    try:
        # The SDK takes a while to import, and reads some of the environment as it is.
        from callspan.export.provider import deliver, make_provider

        provider = make_provider(options)
        handler = _handler(provider, options)
        delivery = deliver(provider, options)
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(
            f"an OTEL_* variable of the environment cannot be used: {error}"
        ) from error
    set_tracer_provider(provider)
    if get_tracer_provider() is not provider:  # somebody else was faster
        provider.shutdown()
        return _set_up(options)
    return Tracing(handler, provider, provider, delivery)


def _handler(provider: TracerProvider, options: Options) -> OTelCallbackHandler:
    return OTelCallbackHandler(
        tracer_provider=provider,
        capture_content=options.capture_content,
        redact=options.redact,
    )
