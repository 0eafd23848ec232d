"""LangChain and LangGraph: the same spans as of callspan's own blocks."""

from callspan.langchain.handler import OTelCallbackHandler

__all__ = ["OTelCallbackHandler"]
