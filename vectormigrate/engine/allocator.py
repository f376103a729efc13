"""Memory that stays flat however many records pass through.

Batches come and go in several threads. The C library of Linux gives each thread a heap of its own, eight per processor
at most, and every heap keeps the holes that freed blocks leave: a copy of 200,000 records ended at a fifth more memory
than one of 50,000. With two heaps the difference is 1 %, at the same speed.
"""

from __future__ import annotations

import os
import sys

M_ARENA_MAX = -8
"""As malloc.h has it."""

ARENAS = 2

VARIABLES = ("GLIBC_TUNABLES", "MALLOC_ARENA_MAX")


def keep_memory_flat() -> None:
    """Let all threads share two heaps.

    For the whole process, so only for one that is ours. Does nothing where the operator set the variables of the C
    library, nor with another C library than glibc.
    """
    if not sys.platform.startswith("linux") or any(name in os.environ for name in VARIABLES):
        return
    import ctypes  # slow to import, and not for `--help`

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_ARENA_MAX, ARENAS)
