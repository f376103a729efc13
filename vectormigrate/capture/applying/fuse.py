"""Stops the applier when the source lacks too many records: an outage that answers so must not empty the target."""

from __future__ import annotations

SHARE = 0.01
LEAST = 50
"""Unexpected absences that are believed whatever their share."""

WINDOW = 10_000
"""Reads that count; older ones are halved away."""


class Fuse:
    """Counts keys that the source does not have although nobody is known to have deleted them."""

    def __init__(self) -> None:
        self._reads = 0
        self._absent = 0
        self.blown = False

    def look(self, *, reads: int, absent: int) -> bool:
        """Count these reads, of which so many were absent without a delete. False once it is blown: nothing that was
        read is to be believed until `reset`."""
        if self._reads > WINDOW:
            self._reads //= 2
            self._absent //= 2
        self._reads += reads
        self._absent += absent
        self.blown = self.blown or (self._absent > LEAST and self._absent > SHARE * self._reads)
        return not self.blown

    def reset(self) -> None:
        """Somebody looked, and it is true."""
        self._reads = self._absent = 0
        self.blown = False
