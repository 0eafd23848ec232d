"""Fixtures `jaeger`, `collector` and `local_model`: one of each a test session, on free ports."""

from __future__ import annotations

from collections.abc import Generator, Iterator

import pytest

from callspan.demo import local

from .build import COLLECTOR, COMMAND_TIMEOUT, JAEGER
from .collector import Collector
from .jaeger import Jaeger
from .require import had, require

FIXTURES = ("jaeger", "collector", "local_model")


@pytest.fixture(scope="session")
def jaeger(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Jaeger]:
    """A running Jaeger."""
    with Jaeger.start(require(JAEGER), tmp_path_factory.mktemp("jaeger")) as started:
        yield started


@pytest.fixture(scope="session")
def collector(jaeger: Jaeger, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collector]:
    """A running Collector that sends to `jaeger`, with the project's collector-config.yaml."""
    binary = require(COLLECTOR)
    with Collector.start(binary, jaeger, tmp_path_factory.mktemp("collector")) as started:
        yield started


@pytest.fixture(scope="session")
def local_model() -> Iterator[local.Server]:
    """A running language model, which takes one request at a time."""
    had(local.ensure)
    with local.serving() as started:
        yield started


def pytest_itemcollected(item: pytest.Item) -> None:
    """Marks each test that uses a backend, whose first use on a machine may have to build it."""
    if not set(FIXTURES).isdisjoint(getattr(item, "fixturenames", ())):
        item.add_marker(pytest.mark.backend)
        item.add_marker(pytest.mark.timeout(2 * COMMAND_TIMEOUT))
        item.add_marker(pytest.mark.xdist_group("backends"))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Shows the backends' logs with a test that failed."""
    report = yield
    if report.failed:
        arguments = getattr(item, "funcargs", {})
        started = [arguments[name] for name in FIXTURES if name in arguments]
        for service in (getattr(one, "service", one) for one in started):
            report.sections.append((f"{service.name} log", service.log_tail()))
    return report
