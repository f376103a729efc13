"""The numbers of the live demo, from the application's history. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from statistics import median

from vectormigrate.cli.demo.live.history import READS, Kind, Operation, Outcome, longest_gap

Span = tuple[float, float]
"""Begin and end in seconds of the monotonic clock."""


@dataclass(slots=True)
class Spans:
    """Parts of the performance. `direct`: before the gateway. `steady`: through it, with everything running and nobody
    killed. `switches`: from the order until the application has moved."""

    direct: Span = (0, 0)
    steady: Span = (0, 0)
    switches: list[Span] = field(default_factory=list[Span])


def _median(operations: Iterable[Operation]) -> float | None:
    times = [item.milliseconds for item in operations if item.outcome is Outcome.OK]
    return median(times) if times else None


def _within(operations: Iterable[Operation], span: Span) -> Iterable[Operation]:
    return (item for item in operations if span[0] < item.start < span[1])


def _difference(through: float | None, direct: float | None) -> float | None:
    return None if through is None or direct is None else round(through - direct, 2)


def added_read(operations: Sequence[Operation], spans: Spans) -> float | None:
    """Milliseconds that the gateway adds to a search: those through it against those past it at the same time, on the
    side and in the time before the first switch."""
    end = spans.switches[0][0] if spans.switches else spans.steady[1]
    searches = [item for item in _within(operations, (spans.direct[1], end)) if item.kind is Kind.SEARCH]
    through = _median(item for item in searches if item.route == "gateway")
    return _difference(through, _median(item for item in searches if item.route == "direct"))


def added_write(operations: Sequence[Operation], spans: Spans) -> float | None:
    """Milliseconds that the gateway adds to a write of one whole record: through it, with the migration running,
    against those before it."""
    writes = [item for item in operations if item.kind is Kind.PUT]
    through = _median(item for item in _within(writes, spans.steady) if item.route == "gateway")
    return _difference(through, _median(item for item in _within(writes, spans.direct) if item.route == "direct"))


def longest_pause(operations: Sequence[Operation], spans: Spans, *, reads: bool) -> float | None:
    """The longest time in milliseconds without a successful write (or read) around a switch."""
    chosen = [item for item in operations if (item.kind in READS) == reads]
    return max((round(longest_gap(chosen, *span), 1) for span in spans.switches), default=None)
