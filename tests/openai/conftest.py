"""Fixtures: the server that stands for OpenAI's API, and a model that asks it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from completions_api import KEY, CompletionsAPI, serving

from callspan.openai import ChatOpenAI


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompletionsAPI]:
    """The server; the SDK finds it and a key in the environment."""
    with serving() as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        monkeypatch.setenv("OPENAI_API_KEY", KEY)
        yield server


@pytest.fixture
def model(api: CompletionsAPI) -> ChatOpenAI:
    """A model that asks the server."""
    return ChatOpenAI(model="gpt-5-mini")


@pytest.fixture(params=["invoke", "ainvoke", "stream", "astream"])
def way(request: pytest.FixtureRequest) -> str:
    """Each of the ways to ask a model."""
    return str(request.param)
