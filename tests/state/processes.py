"""Starts tests/state/child.py and sees to it that nothing is left running."""

import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[2]

Child = subprocess.Popen[str]


@contextmanager
def child(command: str, path: Path, *args: str) -> Generator[Child]:
    """A running child; killed at the end of the block if it has not ended by itself."""
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.state.child", command, str(path), *args],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def output(process: Child) -> IO[str]:
    """What the child says."""
    assert process.stdout is not None
    return process.stdout


def finish(process: Child) -> list[str]:
    """End the child's input and wait for it; the lines that it said from here on. It must end well."""
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    return said.splitlines()
