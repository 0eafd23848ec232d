"""Anthropic's models, over the official SDK: `pip install 'callspan[anthropic]'`."""

from callspan.anthropic.chat import ChatAnthropic

__all__ = ["ChatAnthropic"]
