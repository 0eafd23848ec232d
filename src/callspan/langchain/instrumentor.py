"""LangChainInstrumentor: every run of LangChain in the process, without a change to the program."""

from __future__ import annotations

import logging
from typing import Any, Final

from callspan.langchain.handler import OTelCallbackHandler
from callspan.langchain.hook import hook
from callspan.langchain.versions import SUPPORTED

log = logging.getLogger("callspan")

_OF_OPENTELEMETRY: Final = frozenset({"skip_dep_check", "raise_exception_on_conflict"})
"""What `opentelemetry-instrument` passes to every instrumentor."""


class LangChainInstrumentor:
    """Traces all runs of LangChain and LangGraph in this process.

    It is a switch: all instances turn the same one. `opentelemetry-instrument` turns it on.
    """

    @property
    def is_instrumented_by_opentelemetry(self) -> bool:
        """Whether it is switched on."""
        return hook.everywhere is not None

    def instrumentation_dependencies(self) -> tuple[str, ...]:
        """What has to be installed, in pip's form; tools for OpenTelemetry ask for it."""
        first, beyond = SUPPORTED["langchain-core"]
        return (f"langchain-core >= {first}, < {beyond}",)

    def instrument(self, **options: Any) -> None:
        """Have every run that starts from now on traced; a second time changes nothing.

        Args:
            options: The arguments of `OTelCallbackHandler`: `tracer_provider` and the others.

        Raises:
            ConfigurationError: if one of them is out of range.
        """
        if hook.everywhere is not None:
            log.warning("LangChain is instrumented already: call uninstrument() to change options")
            return
        given = {key: value for key, value in options.items() if key not in _OF_OPENTELEMETRY}
        hook.everywhere = OTelCallbackHandler(**given)

    def uninstrument(self, **_options: Any) -> None:
        """Trace no further runs, but those that are passed a handler; open runs end as they do."""
        hook.everywhere = None
