"""A web service that streams a LangGraph graph: each request is a trace below the server's span.

Needs starlette and uvicorn. Ask it with `curl -N 'localhost:8000/ask?city=Lima'`. Set
OPENAI_BASE_URL to ask a model behind OpenAI's API instead of the one with a script.
"""

import os
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, StateGraph
from service import traced  # examples/service.py: opens the server's span
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from typing_extensions import TypedDict

import callspan
from callspan.langchain import LangChainInstrumentor


def chat_model() -> BaseChatModel:
    if "OPENAI_BASE_URL" not in os.environ:
        return GenericFakeChatModel(messages=iter(["About as many as in all of Lima."] * 100))
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=os.environ.get("MODEL", "smollm2"), temperature=0, stream_usage=True)


class State(TypedDict, total=False):
    city: str
    people: str
    answer: str


async def look_up(state: State) -> State:
    return {"people": {"Lima": "10 million"}.get(state["city"], "unknown")}


async def answer(state: State, config: RunnableConfig) -> State:
    question = f"How many is {state['people']}, in {state['city']}?"
    reply = await model.ainvoke(question, config)  # from Python 3.11 on also without the config
    return {"answer": reply.text}


model = chat_model()
graph = StateGraph(State).add_node(look_up).add_node(answer)
graph.add_edge(START, "look_up").add_edge("look_up", "answer")
compiled: Any = graph.compile(name="population")


async def words(city: str) -> AsyncIterator[str]:
    async for message, _ in compiled.astream({"city": city}, stream_mode="messages"):
        yield message.text


async def ask(request: Request) -> StreamingResponse:
    return StreamingResponse(words(request.query_params["city"]), media_type="text/plain")


app = Starlette(routes=[Route("/ask", ask)])

if __name__ == "__main__":
    LangChainInstrumentor().instrument()  # every run of the process, without any callbacks
    with callspan.configure("example-langgraph-service", console=True):
        port = int(os.environ.get("PORT", "8000"))
        uvicorn.run(traced(app), port=port, log_level="error")
