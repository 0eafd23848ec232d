"""A LangChain program that knows nothing of tracing: `opentelemetry-instrument` switches it on."""

from langchain_core.language_models import FakeListChatModel
from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_core.tools import tool


@tool
def shout(text: str) -> str:
    """Make a text louder."""
    return text.upper()


prompt = ChatPromptTemplate.from_template("Greet somebody from {city}.")
model = FakeListChatModel(responses=["Hello, Lima!"])
chain = prompt | model | StrOutputParser() | shout

if __name__ == "__main__":
    print(chain.invoke({"city": "Lima"}))
