"""Ways to break the callback core and the registry, one at a time.

Each is a place where a small slip would do harm that a user notices late.
"""

from __future__ import annotations

from .mutation import Mutation

_DISPATCH = [
    Mutation(
        "callbacks/dispatch.py",
        "after a handler that raises, the others are not told",
        """        except BaseException as error:  # the verdict decides what goes on
            failure = _verdict(listener, error, failure)
""",
        """        except BaseException as error:
            failure = _verdict(listener, error, failure)
            break
""",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a sync run does not tell async handlers",
        "                _run_in_thread(result)\n",
        "                result.close()\n",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "async handlers that are told inline are not awaited",
        "                await result\n        except BaseException as error:",
        "                result.close()\n        except BaseException as error:",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "handlers told aside are not waited for after one that raises",
        "            await asyncio.wait(telling)\n",
        "            await asyncio.wait(telling, return_when=asyncio.FIRST_EXCEPTION)\n",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a cancellation does not wait for the threads of handlers",
        "result = await _to_the_end(asyncio.get_running_loop().run_in_executor(None, told))",
        "result = await asyncio.get_running_loop().run_in_executor(None, told)",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a cancellation keeps handlers from hearing of an end",
        "    if heard.never_awaits:\n",
        "    if heard is not None:\n",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a cancellation during an end is forgotten",
        "    if cancelled is not None:\n",
        "    if False:\n",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a handler that raises breaks the program",
        'if failure is None and flag(handler, "raise_error", if_broken=False):',
        "if failure is None:",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a KeyboardInterrupt in a handler is forgotten",
        "        return error if failure is None or isinstance(failure, Exception) else failure",
        "        return failure",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "a sync handler of an async run is told without the run's context",
        "partial(copy_context().run, _stopping_safely, listener, args, kwargs)",
        "partial(_stopping_safely, listener, args, kwargs)",
    ),
    Mutation(
        "callbacks/dispatch.py",
        "an async handler of a sync run is told without the run's context",
        "target=copy_context().run, args=(run,)",
        "target=run, args=()",
    ),
]

_ACTIVATE = [
    Mutation(
        "callbacks/activate.py",
        "a Context is not undone",
        "        token.var.reset(token)\n",
        "        pass\n",
    ),
    Mutation(
        "callbacks/activate.py",
        "activate() makes nothing current",
        "attach(self._context())",
        "attach(get_current())",
    ),
    Mutation(
        "callbacks/activate.py",
        "a generator loses the span it has open across a yield",
        """                returned = stop.value
                break
            finally:
                context = get_current()
""",
        """                returned = stop.value
                break
            finally:
""",
    ),
    Mutation(
        "callbacks/activate.py",
        "an async generator loses the span it has open across a yield",
        """            except StopAsyncIteration:
                break
            finally:
                context = get_current()
""",
        """            except StopAsyncIteration:
                break
            finally:
""",
    ),
    Mutation(
        "callbacks/activate.py",
        "a generator's Context stays current between its chunks",
        """                returned = stop.value
                break
            finally:
                context = get_current()
                leave(token)
""",
        """                returned = stop.value
                break
            finally:
                context = get_current()
""",
    ),
    Mutation(
        "callbacks/activate.py",
        "an async generator's Context stays current between its chunks",
        """            except StopAsyncIteration:
                break
            finally:
                context = get_current()
                leave(token)
""",
        """            except StopAsyncIteration:
                break
            finally:
                context = get_current()
""",
    ),
    Mutation(
        "callbacks/activate.py",
        "what is sent into a generator is lost",
        "resume, arguments = source.send, (sent,)",
        "resume, arguments = source.__next__, ()",
    ),
    Mutation(
        "callbacks/activate.py",
        "what is sent into an async generator is lost",
        "resume, arguments = source.asend, (sent,)",
        "resume, arguments = source.__anext__, ()",
    ),
    Mutation(
        "callbacks/activate.py",
        "what a generator returns is lost",
        "    return returned\n",
        "    return None\n",
    ),
    Mutation(
        "callbacks/activate.py",
        "the end of a generator that raises is not told",
        "            end(error)\n        raise\n    return returned",
        "            pass\n        raise\n    return returned",
    ),
    Mutation(
        "callbacks/activate.py",
        "the end of an async generator that raises is not told",
        "            await end(error)\n",
        "            pass\n",
    ),
    Mutation(
        "callbacks/activate.py",
        "the end of an async generator is not told",
        "        await end(None)\n",
        "        pass\n",
    ),
    Mutation(
        "callbacks/activate.py",
        "a generator that is thrown into is closed",
        'hasattr(source, "throw") and not isinstance(error, GeneratorExit)',
        "False",
    ),
    Mutation(
        "callbacks/activate.py",
        "an async generator that is thrown into is closed",
        'hasattr(source, "athrow") and not isinstance(error, GeneratorExit)',
        "False",
    ),
    Mutation(
        "callbacks/activate.py",
        "an async generator is thrown into when it is closed",
        'hasattr(source, "athrow") and not isinstance(error, GeneratorExit)',
        'hasattr(source, "athrow")',
    ),
]

_DRIVE = [
    Mutation(
        "callbacks/drive.py",
        "a function's run is not current in its body",
        "attach(run._run.context())\n        try:\n            result = body(*args)",
        "attach(run._run._current)\n        try:\n            result = body(*args)",
    ),
    Mutation(
        "callbacks/drive.py",
        "a coroutine's run is not current in its body",
        "attach(run._run.context())\n        try:\n            result = await body(*args)",
        "attach(run._run._current)\n        try:\n            result = await body(*args)",
    ),
    Mutation(
        "callbacks/drive.py",
        "a coroutine that is cancelled never ends",
        "    except BaseException as error:\n        await run.close(",
        "    except Exception as error:\n        await run.close(",
    ),
    Mutation(
        "callbacks/drive.py",
        "a function that raises no Exception never ends",
        "    except BaseException as error:\n        run.close(",
        "    except Exception as error:\n        run.close(",
    ),
    Mutation(
        "callbacks/drive.py",
        "a stream that raises ends as if it had returned",
        """        if error is None:
            run.close(""",
        """        if error is not None:
            run.close(""",
    ),
    Mutation(
        "callbacks/drive.py",
        "an async stream that raises ends as if it had returned",
        """        if error is None:
            await run.close(""",
        """        if error is not None:
            await run.close(""",
    ),
]

_RUN = [
    Mutation(
        "callbacks/run.py",
        "a second end is told",
        "        self._ended = True\n",
        "        self._ended = False\n",
    ),
    Mutation(
        "callbacks/run.py",
        "an end that the collector causes is told there and then",
        "        if collector.is_collecting():\n",
        "        if False:\n",
    ),
    Mutation(
        "callbacks/run.py",
        "an end that the collector causes is lost",
        "                collector.put_off(partial(tell, heard, (argument,), self.told(extra)))\n",
        "                pass\n",
    ),
    Mutation(
        "callbacks/run.py",
        "with several providers the last one's span is current",
        "reversed(self.listeners.with_context)",
        "self.listeners.with_context",
    ),
    Mutation(
        "callbacks/run.py",
        "what was made current between a run's start and its body is lost",
        "        if current is self._current:\n            return made",
        "        if current is not None:\n            return made",
    ),
    Mutation(
        "callbacks/run.py",
        "a body sees the Context of its run's start, not that of its own place",
        "return Context({**current, **changes})",
        "return Context({**current, **made})",
    ),
    Mutation(
        "callbacks/run.py",
        "a child started elsewhere does not find its parent's span",
        "self.parent_context = parent.context()",
        "self.parent_context = None",
    ),
    Mutation(
        "callbacks/run.py",
        "handlers are not told of the parent",
        '"parent_run_id": self.parent_run_id,',
        '"parent_run_id": None,',
    ),
    Mutation(
        "callbacks/run.py",
        "children hear the handlers of their parent's object",
        "            handlers = self.inheritable_handlers\n",
        "            handlers = self.handlers\n",
    ),
    Mutation(
        "callbacks/run.py",
        "children inherit the tags of their parent alone",
        "                self.inheritable_tags,\n                self.inheritable_metadata,\n"
        "                self.listeners",
        "                self.tags,\n                self.inheritable_metadata,\n"
        "                self.listeners",
    ),
    Mutation(
        "callbacks/run.py",
        "children are told with their parent's listeners",
        "self.listeners if same else None",
        "self.listeners",
    ),
]

_SETTINGS = [
    Mutation(
        "callbacks/ambient.py",
        "use_config(inherit=False) inherits",
        "if outer is None or not inherit:",
        "if outer is None:",
    ),
    Mutation(
        "callbacks/ambient.py",
        "use_config hides the run around it",
        "run_id = None if outer is None else outer.run_id",
        "run_id = None",
    ),
    Mutation(
        "callbacks/ambient.py",
        "use_config drops the handlers around it",
        "[*outer.handlers, *added]",
        "added",
    ),
    Mutation(
        "callbacks/ambient.py",
        "metadata around use_config win over its own",
        "{**outer.metadata, **own}",
        "{**own, **outer.metadata}",
    ),
    Mutation(
        "callbacks/managers.py",
        "the handlers of an object are told of children",
        "manager._join(local, inherit=False)",
        "manager._join(local, inherit=True)",
    ),
    Mutation(
        "callbacks/managers.py",
        "the tags of an object alone go to children",
        "manager.add_tags(local_tags, inherit=False)",
        "manager.add_tags(local_tags)",
    ),
    Mutation(
        "callbacks/managers.py",
        "children do not inherit the implicit handler",
        "manager.inheritable_handlers = [*implicit, *manager.inheritable_handlers]",
        "pass",
    ),
    Mutation(
        "callbacks/base_manager.py",
        "of a manager and the run around, the run's metadata win",
        "merged.inheritable_metadata = {**self.inheritable_metadata, **other.inheritable_metadata}",
        "merged.inheritable_metadata = {**other.inheritable_metadata, **self.inheritable_metadata}",
    ),
    Mutation(
        "callbacks/listeners.py",
        "a handler that came twice is told twice",
        "        if key not in chosen or rank > chosen[key][0]:\n            chosen[key] =",
        "        if True:\n            chosen[object()] =",
    ),
    Mutation(
        "callbacks/listeners.py",
        "handlers told aside count as told at once",
        "self.never_awaits = never_awaits and not others",
        "self.never_awaits = never_awaits",
    ),
    Mutation(
        "callbacks/listeners.py",
        "async handlers told inline count as never waiting",
        "never_awaits = never_awaits and not one.is_async",
        "pass",
    ),
    Mutation(
        "callbacks/threads.py",
        "a worker thread has an empty context",
        "super().submit(partial(copy_context().run, fn, *args, **kwargs))",
        "super().submit(partial(fn, *args, **kwargs))",
    ),
    Mutation(
        "callbacks/groups.py",
        "a group is not current in its block",
        """        with run.activate():
            yield group
    except BaseException as error:
        run.""",
        """        if True:
            yield group
    except BaseException as error:
        run.""",
    ),
    Mutation(
        "callbacks/groups.py",
        "an async group that is cancelled never ends",
        "    except BaseException as error:\n        await run.",
        "    except Exception as error:\n        await run.",
    ),
]

_COLLECTOR = [
    Mutation(
        "callbacks/collector.py",
        "nobody knows when the collector runs",
        "(_collecting.add if phase",
        "(_collecting.discard if phase",
    ),
    Mutation(
        "callbacks/collector.py",
        "of several ends that wait, one is sent",
        "    while waiting and not is_collecting():",
        "    if waiting and not is_collecting():",
    ),
]

_REGISTRY = [
    Mutation(
        "tracing/registry.py",
        "a run that has ended is still open",
        "record = self._open.pop(run_id.int, None)",
        "record = self._open.get(run_id.int)",
    ),
    Mutation(
        "tracing/registry.py",
        "with a parent that is cancelled chains are, too",
        'if start.kind != "chain" and parent is not None:',
        "if parent is not None:",
    ),
    Mutation(
        "tracing/registry.py",
        "what an inner agent used is not told apart from the outer one's",
        'parent.start.type == "agent" else parent.agent',
        "parent.agent is None else parent.agent",
    ),
    Mutation(
        "tracing/registry.py",
        "the global provider's span is not the current one",
        "around.run_id.int == run_id.int and around.current.is_global",
        "False",
    ),
    Mutation(
        "tracing/registry.py",
        "a run that one provider does not cover hides the runs around it",
        "spans = {**around.by_registry, self: span}",
        "spans = {self: span}",
    ),
    Mutation(
        "tracing/registry.py",
        "the user's span is not the parent",
        "if self._is_ours(current, around):\n",
        "if False:\n",
    ),
    Mutation(
        "tracing/registry.py",
        "the parent is another provider's span",
        "if self._is_ours(current, around):\n",
        "if True:\n",
    ),
    Mutation(
        "tracing/registry.py",
        "a remote parent inside a run is everybody's",
        "return around is None or around.current is self",
        "return True",
    ),
    Mutation(
        "tracing/registry.py",
        "a span of another provider with the same resource is taken for ours",
        "return processor is self._processor or",
        "return True or",
    ),
    Mutation(
        "tracing/registry.py",
        "a late child of a run elsewhere is a child of whatever is current",
        "            if found is not None:\n",
        "            if found is False:\n",
    ),
    Mutation(
        "tracing/registry.py",
        "a run is claimed twice",
        "        if key in self._open:\n            return None\n",
        "",
    ),
]

_HANDLER = [
    Mutation(
        "tracing/handler.py",
        "suppression is ignored",
        "            or is_suppressed(context)\n",
        "",
    ),
    Mutation(
        "tracing/handler.py",
        "every run ends well",
        'return "ok" if error is None else outcome_of(error)',
        'return "ok"',
    ),
    Mutation(
        "tracing/handler.py",
        "the children of a cancelled run stay open",
        'if outcome == "cancelled":',
        'if outcome == "never":',
    ),
    Mutation(
        "tracing/outcome.py",
        "KeyboardInterrupt is an error",
        "    KeyboardInterrupt,\n",
        "",
    ),
    Mutation(
        "tracing/outcome.py",
        "an abandoned stream is an error",
        "if isinstance(error, GeneratorExit):",
        "if False:",
    ),
]

MUTATIONS = [
    *_DISPATCH,
    *_ACTIVATE,
    *_DRIVE,
    *_RUN,
    *_SETTINGS,
    *_COLLECTOR,
    *_REGISTRY,
    *_HANDLER,
]
