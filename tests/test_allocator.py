"""What the C library keeps of memory that was freed."""

from __future__ import annotations

import os
import platform
import subprocess
import sys

import pytest

from vectormigrate.allocator import VARIABLES

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="another C library")

CHURN = """
import sys
import numpy as np
import psutil
from vectormigrate.allocator import keep_memory_flat
if sys.argv[1] == "flat":
    keep_memory_flat()
def churn():
    large = np.ones(30 << 20, np.uint8)
    del large
    blocks = [np.ones(2 << 20, np.uint8) for _ in range(50)]
    kept.append(blocks[-1])
kept = []
before = psutil.Process().memory_info().rss
churn()
print((psutil.Process().memory_info().rss - before) >> 20)
"""


def kept_megabytes(how: str, **variables: str) -> int:
    """What a process holds on to after 100 MB in blocks of 2 MB were freed, all but one."""
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    done = subprocess.run(
        [sys.executable, "-c", CHURN, how], env={**environment, **variables}, capture_output=True, text=True, check=True
    )
    return int(done.stdout)


def test_freed_batches_go_back_to_the_system() -> None:
    assert kept_megabytes("flat") < 20


def test_what_the_operator_set_is_left_alone() -> None:
    set_by_operator = {"MALLOC_MMAP_THRESHOLD_": "200000000"}
    assert kept_megabytes("flat", **set_by_operator) == pytest.approx(kept_megabytes("as is", **set_by_operator), abs=5)
    assert kept_megabytes("flat", **set_by_operator) > 50
