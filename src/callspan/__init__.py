"""callspan: callbacks that are spans.

Pass handlers at run time and they reach every nested run; each run is an OpenTelemetry span.
"""

from callspan._version import __version__
from callspan.callbacks.ambient import use_config
from callspan.callbacks.custom import adispatch_custom_event, dispatch_custom_event
from callspan.callbacks.groups import atrace_as_chain_group, trace_as_chain_group
from callspan.callbacks.threads import (
    ContextThreadPoolExecutor,
    instrument_threads,
    uninstrument_threads,
)
from callspan.decorator import traced
from callspan.errors import (
    AgentStepsError,
    AsyncOnlyError,
    CallbackError,
    CallspanError,
    ConfigurationError,
    InputError,
    MergeError,
    MissingDependencyError,
    MissingVariableError,
    OutputParserError,
    ToolInputError,
)
from callspan.export import Tracing, configure
from callspan.tracing import OTelCallbackHandler, suppress_tracing

__all__ = [
    "AgentStepsError",
    "AsyncOnlyError",
    "CallbackError",
    "CallspanError",
    "ConfigurationError",
    "ContextThreadPoolExecutor",
    "InputError",
    "MergeError",
    "MissingDependencyError",
    "MissingVariableError",
    "OTelCallbackHandler",
    "OutputParserError",
    "ToolInputError",
    "Tracing",
    "__version__",
    "adispatch_custom_event",
    "atrace_as_chain_group",
    "configure",
    "dispatch_custom_event",
    "instrument_threads",
    "suppress_tracing",
    "trace_as_chain_group",
    "traced",
    "uninstrument_threads",
    "use_config",
]
