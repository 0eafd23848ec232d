"""The tracer provider that `configure` makes, as the arguments and the environment say."""

from __future__ import annotations

import logging
import os
from typing import Final

from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import TracerProvider

from callspan.export.console import ConsoleSpanProcessor
from callspan.export.delivery import CountingExporter, Delivery
from callspan.export.options import Options
from callspan.export.otlp import target

log = logging.getLogger("callspan")

_EXPORTERS: Final = frozenset({"otlp", "console", "none"})


def make_provider(options: Options) -> TracerProvider:
    """Return a provider that does nothing yet with the spans it makes.

    Raises:
        ValueError: A variable of the environment cannot be used.
    """
    attributes = dict(options.resource_attributes or {})
    if options.service_name is not None:
        attributes[SERVICE_NAME] = options.service_name
    return TracerProvider(
        sampler=options.sampler,
        resource=Resource.create(attributes),
        shutdown_on_exit=False,  # it can take half a minute: Tracing has an exit of its own
    )


def deliver(provider: TracerProvider, options: Options) -> Delivery | None:
    """Have the provider's spans delivered and shown; None if they are not delivered.

    Raises:
        ValueError: A variable of the environment cannot be used.
    """
    exporters = _exporters()
    delivery = None
    if options.endpoint is not None or "otlp" in exporters:
        to = target(options.endpoint, options.protocol, options.headers)
        delivery = Delivery(CountingExporter(to))
        provider.add_span_processor(delivery)
    if options.console or "console" in exporters:
        provider.add_span_processor(ConsoleSpanProcessor())
    return delivery


def _exporters() -> set[str]:
    names = os.environ.get("OTEL_TRACES_EXPORTER", "").lower().split(",")
    said = {name.strip() for name in names} - {""}
    if said - _EXPORTERS:
        log.warning(
            "OTEL_TRACES_EXPORTER names %s, which callspan does not have: it knows otlp, console "
            "and none. For another exporter set a TracerProvider up before configure is called",
            ", ".join(sorted(said - _EXPORTERS)),
        )
    return said & _EXPORTERS or {"otlp"}
