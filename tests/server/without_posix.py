"""`python -m tests.server.without_posix COMMAND …`: a process without what only POSIX has, and with the `msvcrt` of
Windows, made of what this system has."""

from __future__ import annotations

import errno
import fcntl
import importlib
import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

LOADED = (
    *("vectormigrate.cli.main", "vectormigrate.cli.verbs_serve", "vectormigrate.service"),
    *(f"vectormigrate.server.{name}" for name in ("app", "http.app", "http.serve", "stdio")),
    "vectormigrate.adapters.qdrant.edge.catalogue",
)
"""What `serve` loads, on any transport."""


def msvcrt() -> ModuleType:
    """`locking`, from the position of the file, as docs.python.org/3/library/msvcrt.html has it."""
    made: Any = ModuleType("msvcrt")
    made.LK_UNLCK, made.LK_LOCK, made.LK_NBLCK = 0, 1, 2

    def locking(file: int, mode: int, length: int) -> None:
        kind = fcntl.LOCK_UN if mode == made.LK_UNLCK else fcntl.LOCK_EX | fcntl.LOCK_NB
        try:
            fcntl.lockf(file, kind, length, os.lseek(file, 0, os.SEEK_CUR))
        except OSError as error:
            raise PermissionError(errno.EACCES, "Permission denied") from error

    made.locking = locking
    return made


def take_away() -> None:
    """From now on nothing can be imported or called that Windows lacks. The standard library and other
    packages, which ask for the platform itself, have chosen before."""
    for name in ("mcp", "psutil", "uvicorn"):
        importlib.import_module(name)
    sys.modules["msvcrt"] = msvcrt()
    for name in ("fcntl", "resource", "pwd", "grp", "termios"):
        sys.modules[name] = None  # pyright: ignore[reportArgumentType]
    for name in ("pread", "pwrite", "O_CLOEXEC", "fchmod", "getuid", "killpg"):
        delattr(os, name)


def append(path: Path, lines: int, rotate_bytes: int) -> None:
    """Write lines, between those of others, and each into a file that nobody can rename while it is open."""
    from vectormigrate.server.audit import log as audit

    audit.RENAMES_OPEN = False
    log = audit.AuditLog(path, rotate_bytes=rotate_bytes)
    for number in range(lines):
        log.append({"tool": f"{os.getpid()}-{number} ü", "ms": number / 7})
    log.close()


if __name__ == "__main__":
    take_away()
    if sys.argv[1] == "imports":
        for module in LOADED:
            importlib.import_module(module)
    else:
        append(Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write("done\n")
