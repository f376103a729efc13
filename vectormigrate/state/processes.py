"""Finds out whether the process that took a lease still lives, by clocks that nobody sets.

A start in seconds since the epoch is no identity: it is computed from the time of day, and moves when that is set.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from pathlib import Path

import psutil

START_TOLERANCE = 2.0
"""Seconds by which two readings of the same process's start may differ where it can only be read as a time of day."""

_GONE = "Z", "X", "x"
"""States of /proc/PID/stat of a process that has ended (proc(5))."""


def host_identity() -> str:
    """Equal exactly where process ids and their starts mean the same: host name, boot, process-id namespace, and the
    unit of a start."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    parts.append("time of day" if _stat(os.getpid()) is None else "ticks")
    return "/".join(parts)


def steady_now() -> float:
    """Seconds of the host's steady clock, the same for all its processes; it does not run while the host sleeps."""
    return time.monotonic()


def own_start() -> float:
    """When this process started: clock ticks since boot, or seconds since the epoch where there is no /proc."""
    stat = _stat(os.getpid())
    return psutil.Process(os.getpid()).create_time() if stat is None else stat[1]


def is_alive(pid: int, started: float) -> bool:
    """Whether the process with this id that started then still runs, on this host. A zombie does not."""
    if Path("/proc/self/stat").exists():
        stat = _stat(pid)
        return stat is not None and stat[0] not in _GONE and stat[1] == started
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - started) <= START_TOLERANCE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True


def _stat(pid: int) -> tuple[str, float] | None:
    """State and start of a process from /proc/PID/stat (fields 3 and 22), None when it cannot be read there."""
    try:
        # The name in field 2 may hold blanks and brackets; the rest begins behind its last bracket.
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()
    except OSError:
        return None
    return fields[0], float(fields[19])
