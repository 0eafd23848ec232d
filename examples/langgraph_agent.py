"""A LangGraph agent with tools, one of which asks a person first: the graph pauses, and is resumed.

Set OPENAI_BASE_URL to ask a model behind OpenAI's API instead of the one with a script.
"""

import os
from typing import Any

from langchain.agents import create_agent
from langchain_core.language_models import BaseChatModel, GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolCall
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import tool
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, interrupt

import callspan
from callspan.langchain import OTelCallbackHandler


@tool
def order_status(order: str) -> str:
    """Tell how far an order is."""
    return {"A7": "shipped on Monday"}.get(order, "unknown")


@tool
def refund(order: str) -> str:
    """Pay the price of an order back."""
    return "refunded" if interrupt(f"Refund {order}?") == "yes" else "not refunded"


class Scripted(GenericFakeChatModel):
    def bind_tools(self, tools: Any, **kwargs: Any) -> Any:
        return self


def chat_model() -> BaseChatModel:
    if "OPENAI_BASE_URL" not in os.environ:
        asks = [ToolCall(name="order_status", args={"order": one}, id=one) for one in ("A7", "C3")]
        pays = [ToolCall(name="refund", args={"order": "C3"}, id="R")]
        script = [AIMessage("", tool_calls=asks), AIMessage("", tool_calls=pays), "C3 is refunded."]
        return Scripted(messages=iter(script))
    from langchain_openai import ChatOpenAI

    return ChatOpenAI(model=os.environ.get("MODEL", "smollm2"), temperature=0)


agent = create_agent(
    chat_model(), [order_status, refund], checkpointer=InMemorySaver(), name="desk"
)

if __name__ == "__main__":
    with callspan.configure("example-langgraph-agent", console=True):
        config: RunnableConfig = {
            "callbacks": [OTelCallbackHandler()],
            "configurable": {"thread_id": "customer 7"},  # the trace's gen_ai.conversation.id
        }
        question: Any = {"messages": ["Where are my orders A7 and C3? If one is lost, refund it."]}
        state = agent.invoke(question, config)
        while paused := state.get("__interrupt__"):
            print(paused[0].value, "yes")
            state = agent.invoke(Command(resume="yes"), config)
        print(state["messages"][-1].text)
