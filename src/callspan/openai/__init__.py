"""OpenAI's models, and those of servers that speak its API: `pip install 'callspan[openai]'`."""

from callspan.openai.chat import ChatOpenAI

__all__ = ["ChatOpenAI"]
