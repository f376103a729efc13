"""What this process costs the application's writes, counted as they pass."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from vectormigrate.model.clock import steady_seconds

KEPT = 4096
"""Latest writes that percentiles are of."""

RATE_SECONDS = 10.0


def percentile(values: Iterable[float], share: float) -> float | None:
    """The value below which this share of them is; None of nothing."""
    found = sorted(values)
    return found[min(len(found) - 1, int(len(found) * share))] if found else None


@dataclass(slots=True)
class Figures:
    """Counts since the start; times in milliseconds. `admitted` and `refused` count writes that were asked about,
    `holding` those that wait for the end of a freeze now."""

    admitted: int = 0
    refused: int = 0
    holding: int = 0
    held_longest_ms: float = 0.0
    _added: deque[float] = field(default_factory=lambda: deque[float](maxlen=KEPT))
    _rates: deque[tuple[float, int]] = field(default_factory=lambda: deque[tuple[float, int]](maxlen=64))

    def write(self, seconds: float, *, admitted: bool, held: float) -> None:
        """A write that was decided about after so many seconds, for `held` of which it waited for the end of a
        freeze."""
        if admitted:
            self.admitted += 1
        else:
            self.refused += 1
        if held:
            self.held_longest_ms = max(self.held_longest_ms, held * 1e3)
        elif admitted:
            self._added.append(seconds * 1e3)

    def percentile(self, share: float) -> float | None:
        """Of the time that was added to the latest writes that were not held; None before the first."""
        return percentile(self._added, share)

    def rate(self) -> float:
        """Admitted writes per second, over the last seconds in which this was called."""
        now = steady_seconds()
        self._rates.append((now, self.admitted))
        while len(self._rates) > 2 and now - self._rates[0][0] > RATE_SECONDS:
            self._rates.popleft()
        then, before = self._rates[0]
        seconds = now - then
        return (self.admitted - before) / seconds if seconds else 0.0
