"""Blocks: what is invoked with an input, and put together with `|`."""

from callspan.runnables.base import Runnable, RunnableLike
from callspan.runnables.binding import RunnableBinding
from callspan.runnables.config import RunnableConfig, ensure_config, merge_configs
from callspan.runnables.fallbacks import RunnableWithFallbacks
from callspan.runnables.function import RunnableLambda, chain
from callspan.runnables.generator import RunnableGenerator
from callspan.runnables.parallel import RunnableParallel
from callspan.runnables.passthrough import RunnableAssign, RunnablePassthrough
from callspan.runnables.retry import RunnableRetry
from callspan.runnables.sequence import RunnableSequence

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
