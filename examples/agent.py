"""An agent with two tools: what it does as one trace, and a handler that watches it work."""

from typing import Any

import callspan
from callspan.agents import create_agent
from callspan.callbacks import BaseCallbackHandler
from callspan.language_models import GenericFakeChatModel
from callspan.messages import AIMessage, ToolCall
from callspan.outputs import AgentAction
from callspan.tools import ToolException, tool

ORDERS = {"A7": "shipped on Monday", "B2": "waiting for a part"}


@tool
def order_status(order: str) -> str:
    """Tell how far an order is."""
    if order not in ORDERS:
        raise ToolException(f"there is no order {order}")
    return ORDERS[order]


@tool
def open_ticket(order: str, problem: str) -> str:
    """Have a person look at a problem with an order."""
    return f"ticket T1 for {order}: {problem}"


class Watch(BaseCallbackHandler):
    def on_agent_action(self, action: AgentAction, **kwargs: Any) -> None:
        print(f"calls {action.tool} with {action.tool_input}")


# In real life: ChatOpenAI(model="...") or ChatAnthropic(model="..."). This one has a script.
asks = [ToolCall(name="order_status", args={"order": one}, id=one) for one in ("A7", "C3")]
files = ToolCall(name="open_ticket", args={"order": "C3", "problem": "unknown"}, id="T")
script = [AIMessage("", tool_calls=asks), AIMessage("", tool_calls=[files]), "A7 was shipped."]
model = GenericFakeChatModel(messages=iter(script))
agent = create_agent(model, [order_status, open_ticket], name="desk", max_steps=5)


if __name__ == "__main__":
    with callspan.configure("example-agent", console=True):
        question = {"messages": ["Where are my orders A7 and C3?"]}
        state = agent.invoke(question, {"callbacks": [Watch()]})
        print(state["messages"][-1].text)
