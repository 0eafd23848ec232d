"""docker-compose.yml and collector-config.yaml, read as the files that users run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from .collector import CONFIG

ROOT = CONFIG.parent


def load(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(path.read_text())
    return document


SERVICES = load(ROOT / "docker-compose.yml")["services"]


def test_the_collector_is_given_the_projects_own_configuration() -> None:
    """The tests run this very file, so what they show holds for what users start."""
    [mount] = SERVICES["collector"]["volumes"]
    source, target, mode = mount.split(":")
    assert (ROOT / source).resolve() == CONFIG.resolve()
    assert target == "/etc/otelcol-contrib/config.yaml", "the image's default"
    assert mode == "ro"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_published_on_loopback_only(name: str) -> None:
    """Prompts and answers must not be readable from the network, where nobody logs in."""
    ports = SERVICES[name]["ports"]
    assert ports
    assert all(port.startswith("127.0.0.1:") for port in ports)


def test_otlp_and_the_ui_stand_at_their_usual_ports() -> None:
    """An SDK with no configuration sends to these, and users look for the UI there."""
    published = {port.removeprefix("127.0.0.1:") for s in SERVICES.values() for port in s["ports"]}
    assert {"4317:4317", "4318:4318", "16686:16686"} <= published


@pytest.mark.parametrize("name", SERVICES)
def test_images_are_pinned(name: str) -> None:
    """A moving tag would change the deployment under users without a commit."""
    _, _, tag = SERVICES[name]["image"].partition(":")
    assert tag[:1].isdigit()


def test_memory_is_limited_before_anything_else_holds_data() -> None:
    """The limiter protects only what comes after it in a pipeline."""
    for pipeline in load(CONFIG)["service"]["pipelines"].values():
        assert pipeline["processors"][0] == "memory_limiter"


def test_spans_are_not_printed_unless_asked_for() -> None:
    """The debug exporter would copy prompts and answers into the container's log."""
    exporters = load(CONFIG)["service"]["pipelines"]["traces"]["exporters"]
    assert exporters == "${env:CALLSPAN_COLLECTOR_EXPORTERS:-[otlp_grpc/jaeger]}"
