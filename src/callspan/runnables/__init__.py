"""Blocks: what is invoked with an input, and put together with `|`."""

from callspan.runnables.base import Runnable
from callspan.runnables.binding import RunnableBinding
from callspan.runnables.composed import (
    RunnableAssign,
    RunnableLike,
    RunnableParallel,
    RunnablePassthrough,
    RunnableSequence,
)
from callspan.runnables.config import RunnableConfig, ensure_config, merge_configs
from callspan.runnables.function import RunnableGenerator, RunnableLambda, chain
from callspan.runnables.tries import RunnableRetry, RunnableWithFallbacks

__all__ = [
    "Runnable",
    "RunnableAssign",
    "RunnableBinding",
    "RunnableConfig",
    "RunnableGenerator",
    "RunnableLambda",
    "RunnableLike",
    "RunnableParallel",
    "RunnablePassthrough",
    "RunnableRetry",
    "RunnableSequence",
    "RunnableWithFallbacks",
    "chain",
    "ensure_config",
    "merge_configs",
]
