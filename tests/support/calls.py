"""How often an emulator was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.emulators import qdrant


def since_last(server: qdrant.Emulator) -> Callable[[], Counter[str]]:
    """Counts since the last call, of an emulator that counts from its start."""
    before: Counter[str] = Counter()

    def calls() -> Counter[str]:
        nonlocal before
        now = Counter(server.calls())
        since, before = now - before, now
        return since

    return calls
