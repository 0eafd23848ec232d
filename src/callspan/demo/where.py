"""Where the demo's traces go, and what to say about it."""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Sequence
from typing import Final
from urllib.parse import urlsplit

from callspan.tracing.secrets import without_secrets

_JAEGER_UI: Final = "http://localhost:16686"
_DEFAULT: Final = "http://localhost:4318"


class Destination:
    """Where the environment has traces sent, and whether somebody listens there."""

    def __init__(self) -> None:
        names = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
        found = (os.environ.get(name) for name in names)
        endpoint = next(filter(None, found), _DEFAULT)
        self.endpoint = without_secrets(endpoint)  # as it may be shown
        self.chosen = os.environ.get("OTEL_TRACES_EXPORTER", "otlp")
        self.disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
        self.listens = self.chosen == "otlp" and _listens(endpoint)

    def keep_quiet(self) -> None:
        """Have nothing sent to an endpoint where nobody listens."""
        if self.chosen == "otlp" and not self.listens:
            os.environ["OTEL_TRACES_EXPORTER"] = "none"

    def say(self, trace_ids: Sequence[str], delivered: bool) -> None:
        """Print where the traces can be seen, or how to get there."""
        if self.disabled:
            print("\nOTEL_SDK_DISABLED is true: there are no traces.")
        elif self.chosen != "otlp":
            print(f"\nThe traces went where OTEL_TRACES_EXPORTER={self.chosen} says.")
        elif not self.listens:
            print(
                f"\nNothing listens on OTLP at {self.endpoint}, so the traces stay here.\n"
                "To look at them in Jaeger: docker compose up -d && make demo"
            )
        elif not delivered:
            print(f"\nThe traces could not be delivered to {self.endpoint}.", file=sys.stderr)
        else:
            print(f"\n{len(trace_ids)} traces were sent to {self.endpoint}.")
            if _listens(_JAEGER_UI):
                for trace_id in trace_ids:
                    print(f"  {_JAEGER_UI}/trace/{trace_id}")


def _listens(url: str) -> bool:
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port or (443 if parts.scheme == "https" else 80)
        with socket.create_connection((parts.hostname or "localhost", port), timeout=1):
            return True
    except (OSError, ValueError):  # ValueError: it is no URL
        return False
