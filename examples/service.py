"""A web service: each request is a trace that begins with the server's span.

Needs starlette and uvicorn. Ask it with `curl -N 'localhost:8000/ask?city=Lima'`.
"""

import os

import uvicorn
from opentelemetry import trace
from opentelemetry.propagate import extract
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import callspan
from callspan.language_models import GenericFakeChatModel
from callspan.output_parsers import StrOutputParser
from callspan.prompts import ChatPromptTemplate
from callspan.runnables import RunnableConfig, RunnableLambda


async def population(city: str) -> dict[str, str]:
    return {"city": city, "people": {"Lima": "10 million"}.get(city, "unknown")}


async def ask(request: Request) -> StreamingResponse:
    city = request.query_params["city"]
    model = GenericFakeChatModel(messages=iter([f"About as many as in all of {city}."]))
    prompt = ChatPromptTemplate.from_template("How many is {people}, in {city}?")
    chain = RunnableLambda(population) | prompt | model | StrOutputParser()
    config: RunnableConfig = {"metadata": {"session_id": request.headers.get("x-session")}}
    return StreamingResponse(chain.astream(city, config), media_type="text/plain")


app = Starlette(routes=[Route("/ask", ask)])


def traced(app: ASGIApp) -> ASGIApp:
    """Open the server's span, as opentelemetry-instrumentation-asgi does for a whole program."""

    async def with_span(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await app(scope, receive, send)
            return
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        with trace.get_tracer("example").start_as_current_span(
            f"{scope['method']} {scope['path']}",
            context=extract(headers),  # below the client's span, if the request names one
            kind=trace.SpanKind.SERVER,
        ):
            await app(scope, receive, send)

    return with_span


if __name__ == "__main__":
    with callspan.configure("example-service", console=True):
        uvicorn.run(traced(app), port=int(os.environ.get("PORT", "8000")), log_level="error")
