"""A framework of one's own: it starts its runs with the raw callback managers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import callspan
from callspan.callbacks import BaseCallbackHandler, CallbackManager, Callbacks


class Step:
    """The framework: a named function whose handlers are told when it starts and ends."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name
        self.function = function

    def run(self, value: Any, callbacks: Callbacks = None) -> Any:
        manager = CallbackManager.configure(callbacks)  # the run around this call is the parent
        run = manager.on_chain_start({"name": self.name}, {"value": value})
        try:
            with run.activate():  # in here the run's span is the current one
                result = self.function(value)
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(result)
        return result

    def stream(self, value: Any, callbacks: Callbacks = None) -> Iterator[Any]:
        run = CallbackManager.configure(callbacks).on_chain_start({"name": self.name}, value)
        chunks = []
        try:
            for chunk in run.step(self.function(value)):  # current in each step, not between them
                chunks.append(chunk)
                yield chunk
        except BaseException as error:
            run.on_chain_error(error)
            raise
        run.on_chain_end(chunks)


class Log(BaseCallbackHandler):
    def on_chain_start(self, serialized: dict[str, Any], inputs: Any, **kwargs: Any) -> None:
        print(f"> {serialized['name']}")

    def on_chain_error(self, error: BaseException, **kwargs: Any) -> None:
        print(f"! {type(error).__name__}")


parse = Step("parse", json.loads)
double = Step("double", lambda numbers: (2 * number for number in numbers))


def pipeline(text: str) -> list[int]:
    try:
        numbers = parse.run(text)
    except ValueError:
        numbers = []
    return list(double.stream(numbers))


if __name__ == "__main__":
    with callspan.configure("example-framework", console=True):
        whole = Step("pipeline", pipeline)
        print(whole.run("[1, 2, 3]", [Log()]))
        print(whole.run("[1, 2,", [Log()]))
