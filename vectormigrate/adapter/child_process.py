"""Child processes that serve one parent and die with it.

An embedded engine runs in a child so that it neither shares the interpreter lock with the copy loop nor outlives a
killed parent: the child's standard input is a pipe that only the parent holds, and its end-of-file ends the child.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable


def exit_when_parent_dies(closing: Callable[[], object] | None = None) -> None:
    """In the child: leave the process when standard input reaches end-of-file, after `closing` where an engine needs an
    orderly end, else at once: the engine's data must then be safe under a kill.
    """

    def watch() -> None:
        while os.read(0, 4096):
            pass
        try:
            if closing is not None:
                closing()
        finally:
            os._exit(0)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def start(module: str, *args: str, pass_fds: tuple[int, ...] = (), log: int | None = None) -> subprocess.Popen[bytes]:
    """Run `python -m module args…` with a piped stdin that ties its life to ours. Output goes to `log` (a file
    descriptor) or nowhere. The child leads its own process group, so Ctrl-C reaches only us."""
    out = subprocess.DEVNULL if log is None else log
    return subprocess.Popen(
        [sys.executable, "-m", module, *args],
        stdin=subprocess.PIPE,
        stdout=out,
        stderr=out,
        pass_fds=pass_fds,
        start_new_session=True,
    )


def stop(child: subprocess.Popen[bytes], grace: float = 5.0) -> None:
    """Close the child's stdin, wait `grace` seconds for it to leave, then kill it. Blocking: call it from a thread."""
    if child.stdin is not None:
        child.stdin.close()
    try:
        child.wait(grace)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()
