"""A chain: a prompt, a model and a parser, and everything they do as one trace."""

import callspan
from callspan.language_models import FakeListChatModel
from callspan.output_parsers import StrOutputParser
from callspan.prompts import ChatPromptTemplate
from callspan.runnables import RunnableLambda, RunnablePassthrough

FACTS = {"Lima": "Peru", "Oslo": "Norway"}


def look_up(city: str) -> str:
    return FACTS[city]


prompt = ChatPromptTemplate.from_template("Greet somebody from {city}, {country}.")
model = FakeListChatModel(responses=["Hello, Lima!", "Hello, Oslo!"])
chain = (
    {"city": RunnablePassthrough(), "country": RunnableLambda(look_up)}
    | prompt
    | model
    | StrOutputParser()
)

if __name__ == "__main__":
    with callspan.configure("example-chain", console=True):
        print(chain.invoke("Lima", {"run_name": "greet", "tags": ["example"]}))
        for greeting in chain.batch(["Oslo"]):
            print(greeting)
