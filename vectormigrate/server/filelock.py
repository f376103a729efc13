"""One process at a time on an open file, by the means of the system."""

from __future__ import annotations

import os
import sys

if sys.platform == "win32":
    import msvcrt

    FAR = 2**62
    """Beyond the end of any file: what is locked there keeps nobody from reading."""

    def lock(file: int) -> None:
        """Wait until no other process holds the file."""
        os.lseek(file, FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_LOCK, 1)

    def unlock(file: int) -> None:
        """Let go of it."""
        os.lseek(file, FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def lock(file: int) -> None:
        """Wait until no other process holds the file."""
        fcntl.flock(file, fcntl.LOCK_EX)

    def unlock(file: int) -> None:
        """Let go of it."""
        fcntl.flock(file, fcntl.LOCK_UN)
