"""The examples with LangChain ask a real model where OPENAI_BASE_URL says that there is one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from callspan.demo import local

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize(("name", "calls"), [("langchain_chain", 2), ("langgraph_agent", 1)])
def test_an_example_asks_the_model(name: str, calls: int, local_model: local.Server) -> None:
    """Its spans have the model's name and tokens; this server does not count those of streams."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("OTEL_")}
    printed = subprocess.run(
        [sys.executable, EXAMPLES / f"{name}.py"],
        env={
            **inherited,
            "OTEL_TRACES_EXPORTER": "none",
            "OPENAI_BASE_URL": local_model.url,
            "OPENAI_API_KEY": "none",
            "MODEL": local_model.name,
            "PYTHONIOENCODING": "utf-8",
        },
        stdout=subprocess.PIPE,
        encoding="utf-8",
        timeout=300,
        check=True,
    ).stdout
    assert len(re.findall("chat smollm2 ", printed)) == calls
    assert re.search(r"chat smollm2 .* \d+→\d+ tokens", printed)
