"""LangChain and LangGraph: the same spans as of callspan's own blocks."""

from callspan.langchain.handler import OTelCallbackHandler
from callspan.langchain.instrumentor import LangChainInstrumentor

__all__ = ["LangChainInstrumentor", "OTelCallbackHandler"]
