"""The OpenTelemetry Collector, run with the project's own configuration file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .jaeger import Jaeger
from .service import Service, running

CONFIG = Path(__file__).parents[2] / "collector-config.yaml"


@dataclass(frozen=True)
class Collector:
    """A running Collector that sends to a Jaeger."""

    service: Service

    @classmethod
    @contextmanager
    def start(cls, binary: Path, jaeger: Jaeger, folder: Path) -> Iterator[Collector]:
        """Runs `binary` for as long as the block lasts, its log in `folder`."""
        with running(
            "collector",
            [str(binary), "--config", str(CONFIG)],
            addresses=[
                "CALLSPAN_COLLECTOR_GRPC",
                "CALLSPAN_COLLECTOR_HTTP",
                "CALLSPAN_COLLECTOR_HEALTH",
            ],
            health=("CALLSPAN_COLLECTOR_HEALTH", "/"),
            folder=folder,
            environment={"CALLSPAN_JAEGER_GRPC": jaeger.service.addresses["JAEGER_OTLP_GRPC"]},
        ) as service:
            yield cls(service)

    @property
    def otlp_grpc(self) -> str:
        """URL that takes OTLP over gRPC."""
        return f"http://{self.service.addresses['CALLSPAN_COLLECTOR_GRPC']}"

    @property
    def otlp_http(self) -> str:
        """URL that takes OTLP over HTTP, without the path of a signal."""
        return f"http://{self.service.addresses['CALLSPAN_COLLECTOR_HTTP']}"
