"""One process at a time on an open file, by the means of the system: `flock` where there is fcntl, else `msvcrt`."""

from __future__ import annotations

import importlib
import os
import time
from typing import Any

POLL_SECONDS = 0.005

FAR = 2**40
"""Beyond the end of any file: msvcrt locks a part of the file, and this one keeps nobody from reading or writing."""


def _module(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        return None


_fcntl = _module("fcntl")
_msvcrt = None if _fcntl is not None else _module("msvcrt")


def lock(file: int, seconds: float = float("inf")) -> None:
    """Wait until no other process holds the file. Raises TimeoutError when one still does after this long: who holds it
    may have been stopped."""
    until = time.monotonic() + seconds
    while not _taken(file):
        if time.monotonic() > until:
            raise TimeoutError(None, "another process keeps it locked")
        time.sleep(POLL_SECONDS)


def unlock(file: int) -> None:
    """Let go of it."""
    if _fcntl is not None:
        _fcntl.flock(file, _fcntl.LOCK_UN)
    elif _msvcrt is not None:
        os.lseek(file, FAR, os.SEEK_SET)
        _msvcrt.locking(file, _msvcrt.LK_UNLCK, 1)


def _taken(file: int) -> bool:
    try:
        if _fcntl is not None:
            _fcntl.flock(file, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
        elif _msvcrt is not None:
            os.lseek(file, FAR, os.SEEK_SET)
            _msvcrt.locking(file, _msvcrt.LK_NBLCK, 1)
    except (BlockingIOError, PermissionError):
        return False
    return True
