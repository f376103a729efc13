"""What the C library keeps of memory that was freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from vectormigrate.engine.allocator import VARIABLES

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

THREADS = 8
MEGABYTES = 16
"""Taken and given back by each thread."""

CHURN = f"""
import threading
import psutil
from vectormigrate.engine.allocator import keep_memory_flat
keep_memory_flat()
together, alone, kept = threading.Barrier({THREADS} + 1), threading.Lock(), []
def churn():
    together.wait()
    with alone:
        blocks = [bytearray(64 << 10) for _ in range({MEGABYTES} << 4)]
        kept.append(blocks[-1])
        del blocks
    together.wait()
before = psutil.Process().memory_info().rss
for _ in range({THREADS}):
    threading.Thread(target=churn, daemon=True).start()
together.wait()
together.wait()
print((psutil.Process().memory_info().rss - before) >> 20)
"""


def kept_megabytes(**variables: str) -> int:
    """What a process holds on to after its threads took memory one after the other, and freed all but one block."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", CHURN], env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_threads_use_the_memory_that_others_freed() -> None:
    assert kept_megabytes() < 4 * MEGABYTES


def test_what_the_operator_set_is_left_alone() -> None:
    assert kept_megabytes(MALLOC_ARENA_MAX=str(2 * THREADS)) > (THREADS - 2) * MEGABYTES
