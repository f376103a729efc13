"""Stops the applier when the source lacks too many records: an outage that answers so must not empty the target."""

from __future__ import annotations

SHARE = 0.01
LEAST = 50
"""Unexpected absences that are believed whatever their share."""

WINDOW = 10_000
"""Reads that count; older ones are halved away."""


class Fuse:
    """Counts keys that the source does not have although no request is known to have deleted them by name."""

    def __init__(self) -> None:
        self._reads = 0
        self._absent = 0
        self._explained = 0
        self.blown = False

    def look(self, *, reads: int, absent: int, explained: int = 0, present: int = 0) -> bool:
        """Count these reads, of which so many were `absent` without any reason, and so many where a request that named
        no keys may be the reason. That reason is believed while the source has other records (`present`): an outage
        that has nothing at all happens also while such requests are under way. False once it is blown: nothing that
        was read is to be believed until `reset`."""
        if self._reads > WINDOW:
            self._reads //= 2
            self._absent //= 2
        self._reads += reads
        self._absent += absent
        self._explained = 0 if present else self._explained + explained
        too_many = self._absent > LEAST and self._absent > SHARE * self._reads
        self.blown = self.blown or too_many or self._explained > LEAST
        return not self.blown

    def reset(self) -> None:
        """Somebody looked, and it is true."""
        self._reads = self._absent = self._explained = 0
        self.blown = False
