"""Tells whether the process that took a lease still lives."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import psutil

START_TOLERANCE = 2.0
"""Seconds by which two readings of the same process's start may differ (the clock may have been set in between)."""


def host_identity() -> str:
    """Equal exactly where process ids mean the same: host name, boot and process-id namespace."""
    parts = [socket.gethostname()]
    with contextlib.suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip())
    with contextlib.suppress(OSError):
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return "/".join(parts)


def own_start() -> float:
    """When this process started, in seconds since the epoch."""
    return psutil.Process(os.getpid()).create_time()


def is_alive(pid: int, started: float) -> bool:
    """Whether the process with this id that started then still runs, on this host. A zombie does not."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        return abs(process.create_time() - started) <= START_TOLERANCE
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:
        return True
