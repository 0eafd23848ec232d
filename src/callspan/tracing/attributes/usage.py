"""Token counts."""
from __future__ import annotations
from typing import Any
def usage_of(result: Any) -> dict[str, Any] | None:
    return None
