"""Which model the demo asks: the one that the environment names, or the demo's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from callspan.demo.extractive import ExtractiveChatModel
from callspan.errors import ConfigurationError
from callspan.language_models import BaseChatModel

_OWN: Final = """\
Neither ANTHROPIC_API_KEY, nor OPENAI_API_KEY or OPENAI_BASE_URL is set: answers come from a small
extractive model, which copies the sentence of the documentation that fits best. It is no language
model."""


class Choice(NamedTuple):
    """A model, what to say about it, and whether it can call tools."""

    model: BaseChatModel
    about: str
    calls_tools: bool = True


@contextmanager
def chosen() -> Iterator[Choice]:
    """Give the model; MODEL=local is served on this machine meanwhile.

    Raises:
        ConfigurationError: MODEL is something else, or its vendor gives no answer.
        MissingDependencyError: The vendor's SDK is not installed.
    """
    wanted = os.environ.get("MODEL") or _in_environment()
    if wanted == "local":
        with _local() as choice:
            yield choice
    elif wanted in _REMOTE:
        choice = _REMOTE[wanted]()
        try:
            yield choice
        except Exception as error:
            if type(error).__module__.partition(".")[0] != wanted:  # it is not the vendor's SDK's
                raise
            raise ConfigurationError(
                f"{choice.about} It gives none: {error} MODEL=own has answers without it."
            ) from error
    elif wanted == "own":
        yield Choice(ExtractiveChatModel(), _OWN)
    else:
        raise ConfigurationError(f"MODEL is local, anthropic, openai or own, not {wanted!r}")


def _in_environment() -> str:
    if os.environ.get("ANTHROPIC_API_KEY"):
        return "anthropic"
    has_openai = os.environ.get("OPENAI_API_KEY") or os.environ.get("OPENAI_BASE_URL")
    return "openai" if has_openai else "own"


def _anthropic() -> Choice:
    from callspan.anthropic import ChatAnthropic

    model = ChatAnthropic(model=os.environ.get("ANTHROPIC_MODEL", "claude-haiku-4-5"))
    return Choice(model, f"Answers come from {model.model}.")


def _openai() -> Choice:
    from callspan.openai import ChatOpenAI

    # A server of one's own often wants no key.
    key = "none" if os.environ.get("OPENAI_BASE_URL") else None
    model = ChatOpenAI(
        model=os.environ.get("OPENAI_MODEL", "gpt-5-mini"),
        api_key=os.environ.get("OPENAI_API_KEY") or key,
    )
    return Choice(model, f"Answers come from {model.model}.")


_REMOTE: Final = {"anthropic": _anthropic, "openai": _openai}


@contextmanager
def _local() -> Iterator[Choice]:
    from callspan.demo.local import serving
    from callspan.openai import ChatOpenAI

    with serving() as server:
        model = ChatOpenAI(
            model=server.name, base_url=server.url, api_key="none", temperature=0, max_tokens=128
        )
        about = (
            f"Answers come from {server.name}, on this machine. It is small, often wrong, and\n"
            "cannot choose tools: it is asked without them."
        )
        yield Choice(model, about, calls_tools=False)
