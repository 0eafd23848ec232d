"""A LangChain chain: its runs as one trace, and a span of the program's own within it.

Set OPENAI_BASE_URL to ask a model behind OpenAI's API instead of the one with a script.
"""

import os

from langchain_core.language_models import BaseChatModel, FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.runnables import RunnableLambda
from opentelemetry import trace

import callspan
from callspan.langchain import OTelCallbackHandler

COUNTRIES = {"Lima": "Peru", "Oslo": "Norway"}


def look_up(city: str) -> dict[str, str]:
    # The step's span is the current one here: this span, or an HTTP client's, is below it.
    with trace.get_tracer("example").start_as_current_span("query the database"):
        return {"city": city, "country": COUNTRIES[city]}


def chat_model() -> BaseChatModel:
    if "OPENAI_BASE_URL" not in os.environ:
        return FakeListChatModel(responses=["Hello, Lima!", "Hello, Oslo!"])
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=os.environ.get("MODEL", "smollm2"), temperature=0, stream_usage=True)


prompt = ChatPromptTemplate.from_template("Greet somebody from {city}, {country}.")
chain = RunnableLambda(look_up) | prompt | chat_model() | StrOutputParser()

if __name__ == "__main__":
    with callspan.configure("example-langchain-chain", console=True):
        handler = OTelCallbackHandler()
        print(chain.invoke("Lima", {"callbacks": [handler], "run_name": "greet"}))
        print("".join(chain.stream("Oslo", {"callbacks": [handler]})))
