"""Named places at which a test may kill the process, to prove that nothing is lost there.

`VECTORMIGRATE_FAILPOINT=NAME:N` sends SIGKILL to the process itself at the N-th passing of the place NAME. Unset (as it
is outside tests) a place costs one comparison.
"""

from __future__ import annotations

import os
import signal
from collections import Counter

PLACES = (
    "planned",
    "creating",
    "created",
    "page_read",
    "intents",
    "before_write",
    "after_write",
    "before_commit",
    "after_commit",
    "copied",
    "finalized",
    "frozen",
    "drained",
    "verified",
    "flipped",
)
"""Every place, in the order of a run; the last ones are of a live migration."""

_ARMED, _, _NTH = os.environ.get("VECTORMIGRATE_FAILPOINT", "").partition(":")
_passed: Counter[str] = Counter()


def failpoint(place: str) -> None:
    """Die here if this is the armed place and its turn has come."""
    if not _ARMED or place != _ARMED:
        return
    _passed[place] += 1
    if _passed[place] >= int(_NTH or 1):
        os.kill(os.getpid(), signal.SIGKILL)
