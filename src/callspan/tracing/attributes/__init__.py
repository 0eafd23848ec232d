"""What goes onto a run's span: pure functions from a run to attributes."""

from callspan.tracing.attributes.compose import at_start, labels, of_input, of_output
from callspan.tracing.attributes.run import RunStart
from callspan.tracing.attributes.usage import usage_of

__all__ = [
    "RunStart",
    "at_start",
    "labels",
    "of_input",
    "of_output",
    "usage_of",
]
