"""Tools: functions that models may have called, with checked arguments."""

from callspan.tools.base import BaseTool, ToolException, ToolInput
from callspan.tools.structured import StructuredTool, tool

__all__ = ["BaseTool", "StructuredTool", "ToolException", "ToolInput", "tool"]
