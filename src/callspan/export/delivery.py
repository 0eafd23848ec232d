"""What becomes of spans on their way out: counted, and said once where they do not arrive."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from threading import RLock, get_ident
from typing import Final

from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult

from callspan._fork import after_fork
from callspan.export.otlp import Target

log = logging.getLogger("callspan")


_ATTEMPT: Final = re.compile(
    r"^Transient error | encountered while exporting .* retrying in [\d.]+s\.(?: Error details)?"
)
_MAX_REASON: Final = 300


class _Overheard(logging.Filter):
    """Keeps back what the SDK's exporter logs about our spans, several lines a batch.

    It goes to the logger "callspan" at debug level. What other exporters log passes: only
    records of the thread that is exporting for us just now are ours.
    """

    def __init__(self, target: Target) -> None:
        super().__init__()
        self._target = target
        self.thread = 0
        self.first = ""

    def __enter__(self) -> None:
        self.thread = get_ident()
        self.first = ""

    def __exit__(self, *_error: object) -> None:
        self.thread = 0

    @property
    def reason(self) -> str:
        """What was said first of the last batch: later lines only count the attempts."""
        return _ATTEMPT.sub("", self.first).rstrip(".")[:_MAX_REASON]

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether `record` is somebody else's."""
        if get_ident() != self.thread:
            return True
        message = self._target.without_credentials(record.getMessage())
        self.first = self.first or message
        log.debug("%s", message)
        return False


class CountingExporter(SpanExporter):
    """Exports to a target and counts what arrives there.

    Args:
        target: Where spans go.

    Attributes:
        exported: How many spans arrived.
        failed: How many did not.

    Raises:
        ValueError: A variable of the environment cannot be used.
    """

    def __init__(self, target: Target) -> None:
        self._target = target
        self._exporter: SpanExporter | None = target.exporter()
        self._overheard = _Overheard(target)
        self._loggers = {
            logging.getLogger(each.__module__)
            for each in type(self._exporter).__mro__
            if each.__module__.startswith("opentelemetry.exporter.")
        }
        for logger in self._loggers:
            logger.addFilter(self._overheard)
        self.exported = self.failed = 0
        self._warned = False

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Export one batch; the processor sends no two at once."""
        result = SpanExportResult.FAILURE
        reason = "the receiver took no span"
        with self._overheard:
            try:
                if self._exporter is None:
                    self._exporter = self._target.exporter()
                result = self._exporter.export(spans)
            except Exception as error:
                reason = self._target.without_credentials(repr(error))
        if result is SpanExportResult.SUCCESS:
            self.exported += len(spans)
            if self._warned:
                self._warned = False
                log.info("Spans reach %s again", self._target)
        else:
            self.failed += len(spans)
            self.warn(reason)
        return result

    def warn(self, reason: str) -> None:
        """Say that spans do not arrive: once, until they do again.

        Args:
            reason: Why not, unless the SDK's exporter has said so.
        """
        if self._warned:
            return
        self._warned = True
        log.warning(
            "Spans do not reach %s: %s. Start an OTLP receiver there, or say where one listens "
            "with configure(endpoint=...) or OTEL_EXPORTER_OTLP_ENDPOINT. stats() counts what is "
            "lost; this is said only once until spans arrive again.",
            self._target,
            self._overheard.reason or reason,
        )

    def shutdown(self) -> None:
        """Close the connection."""
        if self._exporter is not None:
            self._exporter.shutdown()
        for logger in self._loggers:
            logger.removeFilter(self._overheard)

    def begin_anew(self) -> None:
        """Count from zero, over a connection of its own: a forked process shares the parent's."""
        self._exporter = None
        self._overheard.thread = 0
        self.exported = self.failed = 0


class Delivery(SpanProcessor):
    """The SDK's batch processor, and whether what it was given has arrived.

    Args:
        exporter: Where spans go.

    Attributes:
        exporter: The same.
        dropped: How many spans a full queue has dropped. They are found missing once all others
            were sent, so that the number is right after a flush.

    Raises:
        ValueError: A variable of the environment cannot be used.
    """

    def __init__(self, exporter: CountingExporter) -> None:
        self.exporter = exporter
        self._batches = BatchSpanProcessor(exporter)
        self._begin()
        after_fork(self._begin_anew)

    def _begin(self) -> None:
        self.dropped = 0
        self._ended = 0
        self._told = 0
        # Reentrant, since the garbage collector may end a span while another one is counted.
        self._lock = RLock()

    def _begin_anew(self) -> None:
        self._begin()
        self.exporter.begin_anew()

    @property
    def waiting(self) -> int:
        """How many spans have ended that neither arrived nor are known to be lost."""
        return max(0, self._ended - self.exporter.exported - self.exporter.failed - self.dropped)

    def on_end(self, span: ReadableSpan) -> None:
        """Queue a span that has ended."""
        self._batches.on_end(span)
        if span.context is not None and span.context.trace_flags.sampled:
            with self._lock:
                self._ended += 1

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        """Send what waits; tell whether nothing was lost since the last time."""
        ended = self._ended
        return self._batches.force_flush(timeout_millis) and self._settle(ended)

    def shutdown(self) -> None:
        """Send what waits, and close the connection."""
        self._batches.shutdown()  # type: ignore[no-untyped-call]

    def warn_of_waiting(self, waited_millis: float) -> None:
        """Say that spans have not arrived although one has waited for them."""
        if self.waiting:
            waited = f"{self.waiting} spans were waiting still after {waited_millis / 1000:g} s"
            self.exporter.warn(waited)

    def settle(self) -> bool:
        """Take what has not been sent for lost; tell whether nothing was since the last time."""
        return self._settle(self._ended)

    def _settle(self, ended: int) -> bool:
        missing = ended - self.exporter.exported - self.exporter.failed
        self.dropped = max(self.dropped, missing)
        lost = self.exporter.failed + self.dropped
        told, self._told = self._told, lost
        return lost == told
