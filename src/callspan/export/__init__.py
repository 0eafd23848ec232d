"""Setting tracing up for a program, and delivering its spans."""

from callspan.export.configure import configure
from callspan.export.tracing import Stats, Tracing

__all__ = ["Stats", "Tracing", "configure"]
