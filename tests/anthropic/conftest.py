"""Fixtures: the server that stands for Anthropic's API, and a model that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from messages_api import KEY, MessagesAPI, serving

from callspan.anthropic import ChatAnthropic


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[MessagesAPI]:
    """The server; the SDK finds it and a key in the environment."""
    with serving() as server:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
        monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
        yield server


@pytest.fixture
def model(api: MessagesAPI) -> ChatAnthropic:
    """A model that asks the server."""
    return ChatAnthropic(model="claude-haiku-4-5")


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def way(request: pytest.FixtureRequest) -> str:
    """Each of the ways to ask a model."""
    return str(request.param)
