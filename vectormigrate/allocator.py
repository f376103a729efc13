"""Memory that stays flat however many records pass through.

Batches of megabytes come and go in several threads. The C library of Linux keeps such blocks in heaps of each thread,
where they leave holes, and takes ever larger blocks from there once some were freed: a copy of 200,000 records ended at
a fifth more memory than one of 50,000.
"""

from __future__ import annotations

import os
import sys

M_MMAP_THRESHOLD = -3
M_ARENA_MAX = -8
"""Names of malloc.h."""

LARGE_BYTES = 2**20
ARENAS = 2

VARIABLES = ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_")


def keep_memory_flat() -> None:
    """Let blocks of 1 MiB and more go back to the system as soon as they are freed, and keep two heaps for the rest.

    For the whole process, so only for one that is ours. Does nothing where the operator set the variables of the C
    library, nor with another C library than glibc.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in VARIABLES):
        return
    import ctypes  # slow to import, and not for `--help`

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
        mallopt(M_ARENA_MAX, ARENAS)
