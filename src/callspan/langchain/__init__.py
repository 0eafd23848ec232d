"""LangChain and LangGraph: the same spans as of callspan's own blocks."""

from callspan.langchain.versions import check_versions

check_versions()

from callspan.langchain.handler import OTelCallbackHandler  # noqa: E402
from callspan.langchain.instrumentor import LangChainInstrumentor  # noqa: E402

__all__ = ["LangChainInstrumentor", "OTelCallbackHandler"]
