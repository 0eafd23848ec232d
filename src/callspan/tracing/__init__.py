"""From runs to spans."""

from callspan.tracing.handler import OTelCallbackHandler
from callspan.tracing.implicit import implicit
from callspan.tracing.suppress import suppress_tracing

__all__ = ["OTelCallbackHandler", "implicit", "suppress_tracing"]
