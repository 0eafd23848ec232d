"""Ways to break the blocks, one at a time."""

from __future__ import annotations

from .mutation import Mutation

_TRIES = [
    Mutation(
        "runnables/tries.py",
        "attempts are numbered from 0",
        "itertools.count(1)",
        "itertools.count(0)",
    ),
    Mutation(
        "runnables/tries.py",
        "each attempt is the first one",
        'numbered(frame.run.run_id, "attempt", number)',
        'numbered(frame.run.run_id, "attempt", 1)',
    ),
    Mutation(
        "runnables/tries.py",
        "the first attempt is tagged as a retry",
        'f"retry:attempt:{number}" if number > 1 else None',
        'f"retry:attempt:{number}"',
    ),
    Mutation(
        "runnables/tries.py",
        "there is one attempt too many",
        "stop_after_attempt(self.max_attempt_number)",
        "stop_after_attempt(self.max_attempt_number + 1)",
    ),
    Mutation(
        "runnables/tries.py",
        "the last attempt's error is wrapped",
        "reraise=True",
        "reraise=False",
    ),
    Mutation(
        "runnables/tries.py",
        "a cancellation is followed by another attempt",
        "isinstance(error, kinds)",
        "isinstance(error, BaseException)",
    ),
    Mutation(
        "runnables/tries.py",
        "fallbacks are numbered from 1",
        '"fallback", position)',
        '"fallback", position + 1)',
    ),
    Mutation(
        "runnables/tries.py",
        "when all blocks fail, the last error is raised",
        "raise failures[0]",
        "raise failures[-1]",
    ),
    Mutation(
        "runnables/tries.py",
        "there is a fallback for errors that are not to be handled",
        "except self.exceptions_to_handle as error",
        "except BaseException as error",
    ),
    Mutation(
        "runnables/tries.py",
        "a stream ends after its first chunk",
        "                async for chunk in others:\n                    yield chunk\n",
        "",
    ),
    Mutation(
        "callbacks/ambient.py",
        "a number is also that of the runs further in",
        "None if place is None or place[0] != parent_run_id else",
        "None if place is None else",
    ),
]

_SEVERAL = [
    Mutation(
        "runnables/calls.py",
        "the results of a batch are in the order of its last inputs",
        "    return results\n\n\nasync def as_completed",
        "    return results[::-1]\n\n\nasync def as_completed",
    ),
    Mutation(
        "runnables/calls.py",
        "an exception is returned that should be raised",
        "    kept = Exception if return_exceptions else ()\n    alone",
        "    kept = Exception\n    alone",
    ),
    Mutation(
        "runnables/calls.py",
        "an exception is raised that should be returned",
        "    kept = Exception if return_exceptions else ()\n    alone",
        "    kept = ()\n    alone",
    ),
    Mutation(
        "runnables/calls.py",
        "as they complete, an exception is raised that should be returned",
        "    kept = Exception if return_exceptions else ()\n    async with",
        "    kept = ()\n    async with",
    ),
    Mutation(
        "runnables/calls.py",
        "all the inputs of a batch have the first one's config",
        "return [(given, checked(one)) for",
        "return [(given, checked(config[0])) for",
    ),
    Mutation(
        "runnables/composed.py",
        "the steps of a sequence are not tagged",
        "(given, frame.child(tag), **kwargs)",
        "(given, frame.child(), **kwargs)",
    ),
    Mutation(
        "runnables/composed.py",
        "the branches that run in parallel are not tagged",
        'given, frame.child(f"map:key:{key}")',
        "given, frame.child()",
    ),
]

_MODELS = [
    Mutation(
        "language_models/base.py",
        "nobody is told that an answer is from the cache",
        '{"cached": True} if place in hits else {}',
        "{}",
    ),
    Mutation(
        "language_models/base.py",
        "with one answer from the cache all are",
        '{"cached": True} if place in hits else {}',
        '{"cached": True} if hits else {}',
    ),
    Mutation(
        "language_models/base.py",
        "the model is asked again for what the cache has",
        "for place in range(len(asks)) if place not in hits]",
        "for place in range(len(asks))]",
    ),
    Mutation(
        "language_models/base.py",
        "the run of the first prompt alone ends",
        "enumerate(runs):  # the first",
        "enumerate(runs[:1]):  # the first",
    ),
    Mutation(
        "language_models/base.py",
        "each run ends with the first prompt's answer",
        "report=itemgetter(place)",
        "report=itemgetter(0)",
    ),
    Mutation(
        "language_models/llm.py",
        "a batch asks for all prompts at once, however many",
        'size = (items[0][1].get("max_concurrency") if items else None) or',
        "size =",
    ),
    Mutation(
        "language_models/llm.py",
        "prompts that were asked with one that fails have no place in a batch's results",
        "outputs += [error] * len(some)",
        "outputs += [error]",
    ),
]

_AGENT = [
    Mutation(
        "agents.py",
        "the answers of tools are in the opposite order",
        "map(_answer_to, answer.tool_calls, outcomes)",
        "map(_answer_to, answer.tool_calls, outcomes[::-1])",
    ),
    Mutation(
        "agents.py",
        "a tool that raises ends the agent",
        "together(io, calls, limit, return_exceptions=True)",
        "together(io, calls, limit)",
    ),
    Mutation(
        "agents.py",
        "a tool's error looks like an answer",
        '        status="error",\n',
        '        status="success",\n',
    ),
    Mutation(
        "agents.py",
        "the model is asked once too often",
        "range(self.max_steps)",
        "range(self.max_steps + 1)",
    ),
]

MUTATIONS = [*_TRIES, *_SEVERAL, *_MODELS, *_AGENT]
