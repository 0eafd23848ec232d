"""Tracing: the handle on what `configure` has set up."""

from __future__ import annotations

import atexit
from dataclasses import dataclass
from types import TracebackType
from typing import TYPE_CHECKING, Final

from opentelemetry.trace import NoOpTracerProvider, TracerProvider

from callspan.callbacks.collector import send_waiting
from callspan.export.bounded import BoundedCalls
from callspan.tracing.ending import end_open_runs
from callspan.tracing.handler import OTelCallbackHandler
from callspan.tracing.implicit import implicit
from callspan.tracing.registry import registry_of

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider as SdkTracerProvider
    from typing_extensions import Self

    from callspan.export.delivery import Delivery

_TIMEOUT_MILLIS: Final = 5000


@dataclass(frozen=True)
class Stats:
    """What became of the program's spans so far.

    All but `open_runs` stay 0 where the application's own provider delivers.

    Attributes:
        exported: Spans that arrived.
        failed: Spans that were sent and did not arrive.
        dropped: Spans that were lost before they were sent, most often because the queue was full
            (OTEL_BSP_MAX_QUEUE_SIZE). Counted when a flush finds them missing.
        waiting: Spans that have ended and are none of these.
        open_runs: Runs whose span has not ended.
    """

    exported: int
    failed: int
    dropped: int
    waiting: int
    open_runs: int


class Tracing:
    """What `configure` has set up. As a context manager it is shut down at the end of the block.

    When the program ends, it is shut down as well, within five seconds.

    Attributes:
        handler: The handler that hears every run of the program.
        tracer_provider: Where its spans go, and those of your own should.
    """

    def __init__(
        self,
        handler: OTelCallbackHandler,
        tracer_provider: TracerProvider,
        own: SdkTracerProvider | None = None,
        delivery: Delivery | None = None,
    ) -> None:
        self.handler = handler
        self.tracer_provider = tracer_provider
        self._own = own
        self._delivery = delivery
        self._calls = BoundedCalls()
        self._closing = False
        self._delivered: bool | None = None
        self._implicit_before = implicit.handler
        handler.implicit = True
        implicit.handler = handler
        atexit.register(self._at_exit)

    @property
    def is_shut_down(self) -> bool:
        """Whether `shutdown` was called."""
        return self._closing

    @property
    def owns_provider(self) -> bool:
        """Whether `configure` made the provider; False where the application had its own."""
        return self._own is not None

    def force_flush(self, timeout_millis: int = _TIMEOUT_MILLIS) -> bool:
        """Deliver the spans that have ended.

        Args:
            timeout_millis: How long to wait, in milliseconds; delivery goes on afterwards.

        Returns:
            Whether all spans that ended since the last flush have arrived; False as well when the
            time was over before that was known.
        """
        return bool(self._calls.call(lambda: self._flush(timeout_millis), timeout_millis))

    def shutdown(self, timeout_millis: int = _TIMEOUT_MILLIS) -> bool:
        """End the open runs as unfinished, deliver the spans that have ended, and stop tracing.

        A provider of the application's own goes on; it is only flushed. A second call returns
        what the first one did.

        Args:
            timeout_millis: How long to wait, in milliseconds.

        Returns:
            Whether all spans that ended since the last flush have arrived.
        """
        atexit.unregister(self._at_exit)
        self._closing = True
        if implicit.handler is self.handler:
            implicit.handler = _deaf() if self._own is not None else self._implicit_before
        delivered = self._calls.call(lambda: self._close(timeout_millis), timeout_millis)
        if delivered is None and self._delivery is not None:
            self._delivery.warn_of_waiting(timeout_millis)
        return bool(delivered)

    def stats(self) -> Stats:
        """Return what became of the program's spans so far."""
        delivery = self._delivery
        return Stats(
            exported=delivery.exporter.exported if delivery else 0,
            failed=delivery.exporter.failed if delivery else 0,
            dropped=delivery.dropped if delivery else 0,
            waiting=delivery.waiting if delivery else 0,
            open_runs=registry_of(self.tracer_provider).open_runs,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.shutdown()

    def _flush(self, timeout_millis: int) -> bool:
        send_waiting()
        flush = getattr(self.tracer_provider, "force_flush", None)  # the API's has none
        return flush is None or flush(timeout_millis) is not False

    def _close(self, timeout_millis: int) -> bool:
        if self._delivered is None:
            self._end_runs()
            if self._own is None:
                self._delivered = self._flush(timeout_millis)
            else:
                self._own.shutdown()
                self._delivered = self._delivery is None or self._delivery.settle()
        return self._delivered

    def _end_runs(self) -> bool:
        send_waiting()
        end_open_runs(self.tracer_provider)
        return True

    def _at_exit(self) -> None:
        if self._own is None:  # the application's provider delivers at its own exit
            self._calls.call(self._end_runs, _TIMEOUT_MILLIS)
        else:
            self.shutdown()


def _deaf() -> OTelCallbackHandler:
    handler = OTelCallbackHandler(tracer_provider=NoOpTracerProvider())
    handler.implicit = True
    return handler
