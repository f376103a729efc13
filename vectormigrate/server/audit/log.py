"""The audit log: one line of JSON per request, each bound to the line before it by a hash.

Files: `audit.jsonl` is written to; when it is full it becomes `audit.000001.jsonl` (`.000002`, …) and the first line of
the next file continues the chain. Nothing is ever deleted or changed here. Several processes may write to one log.

Each line holds `seq` (1, 2, … without a gap, over all files), `prev` (the hash of the line before it; 64 zeros at the
beginning) and `hash`: SHA-256 over the line's other members as compact JSON with sorted keys. What the chain proves: no
line was changed, removed from the middle, inserted or moved. Whoever can write the files could still build a whole new
chain or cut off its end; `vectormigrate audit verify --head HASH`, with a hash noted elsewhere, finds that too.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectormigrate.adapter.file_lock import lock, unlock
from vectormigrate.config.settings import Settings
from vectormigrate.errors import ConfigError, VectorMigrateError
from vectormigrate.model.schema import Json

ROTATE_BYTES = 16 * 1024 * 1024
LONGEST_LINE = 64 * 1024
GENESIS = "0" * 64

LOCK_SECONDS = 1.0
"""How long another process may hold the log; each holds it for one line. Nobody is answered meanwhile."""

RENAMES_OPEN = os.name != "nt"
"""Whether a file can be renamed while somebody has it open."""

# Without O_BINARY Windows would write two bytes for each end of a line.
_FLAGS = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)

_ROTATED = re.compile(r"\.(\d{6,})$")


def default_log(settings: Settings) -> Path:
    """The log that `[server] audit` of the connections file names, else `audit.jsonl` next to the state file."""
    named = settings.connections.server.get("audit")
    if named is not None and not isinstance(named, str):
        raise ConfigError(f"{settings.connections.where('server', 'audit')}: server.audit must be text in quotes")
    if named and settings.connections.path is not None:
        return settings.connections.path.parent / Path(named).expanduser()
    return settings.state.expanduser().absolute().parent / "audit.jsonl"


class AuditUnwritable(VectorMigrateError):
    """The audit log cannot be written, so what would have to be in it is not done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tip:
    """The end of a chain: number and hash of its last line."""

    seq: int
    hash: str


START = Tip(seq=0, hash=GENESIS)


def canonical(members: Mapping[str, Json]) -> bytes:
    """The bytes that are hashed: compact ASCII JSON with sorted keys."""
    return json.dumps(members, sort_keys=True, separators=(",", ":")).encode()


def line_hash(members: Mapping[str, Json]) -> str:
    """The hash of a line, from all its members but `hash`."""
    return hashlib.sha256(canonical({key: value for key, value in members.items() if key != "hash"})).hexdigest()


def rotated_files(path: Path) -> list[Path]:
    """The full files of a log, oldest first."""
    found: list[tuple[int, Path]] = []
    for other in path.parent.glob(f"{path.stem}.*{path.suffix}"):
        number = _ROTATED.search(other.name.removesuffix(path.suffix))
        if number and other.name == f"{path.stem}.{number[1]}{path.suffix}":
            found.append((int(number[1]), other))
    return [other for _, other in sorted(found)]


class AuditLog:
    """Appends lines to one log. Open files are closed by `close`; every write is one system call under a file lock."""

    def __init__(self, path: Path, *, rotate_bytes: int = ROTATE_BYTES) -> None:
        """Opens, and makes where it is missing, the log with mode 0600. Raises AuditUnwritable."""
        self.path = path
        self.lines = 0
        self.failures = 0
        self._rotate_bytes = rotate_bytes
        self._file = -1
        self._size = -1
        self._tip = START
        with self._reported():
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._locked():
                self._catch_up()

    def append(self, members: Mapping[str, Json]) -> Tip:
        """Write one line. Raises AuditUnwritable."""
        with self._reported(), self._locked():
            self._catch_up()
            if self._size >= self._rotate_bytes:
                self._rotate()
            return self._write(members)

    def close(self) -> None:
        """Make everything durable and let go of the file."""
        if self._file >= 0:
            os.fsync(self._file)
            os.close(self._file)
            self._file = -1

    def _write(self, members: Mapping[str, Json]) -> Tip:
        line: dict[str, Json] = {"seq": self._tip.seq + 1, **members, "prev": self._tip.hash}
        if len(canonical(line)) > LONGEST_LINE:
            line["arguments"] = "(too long)"
        line["hash"] = line_hash(line)
        data = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        written = os.write(self._file, data)
        if written != len(data):
            os.ftruncate(self._file, self._size)
            raise OSError(None, "no space left for a whole line", str(self.path))
        self._size += written
        self._tip = Tip(seq=line["seq"], hash=line["hash"])
        self.lines += 1
        return self._tip

    @contextmanager
    def _reported(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            self.failures += 1
            reason = error.strerror or str(error)
            raise AuditUnwritable(f"the audit log {str(self.path)!r} cannot be written: {reason}") from error

    @contextmanager
    def _locked(self) -> Generator[None]:
        """Alone with the newest file of the log: another process may have moved the one that was open."""
        while True:
            if self._file < 0:
                self._file = os.open(self.path, _FLAGS, 0o600)
                self._size = -1
            lock(self._file, LOCK_SECONDS)
            if self._is_current():
                break
            os.close(self._file)
            self._file = -1
        try:
            yield
        finally:
            if self._file >= 0:
                unlock(self._file)

    def _is_current(self) -> bool:
        try:
            there = os.stat(self.path)
        except FileNotFoundError:
            return False
        return os.path.samestat(there, os.fstat(self._file))

    def _catch_up(self) -> None:
        """Learn the tip anew when the file is not as this process left it."""
        size = os.fstat(self._file).st_size
        if size == self._size:
            return
        data = _tail(self._file, size)
        whole = data.rpartition(b"\n")[0]
        torn = len(data) - (len(whole) + 1 if whole or data.startswith(b"\n") else 0)
        self._size = size
        last = whole.rpartition(b"\n")[2]
        self._tip = _tip(last) if last else self._tip_before()
        if torn:
            self._mend(data[-torn:])

    def _mend(self, torn: bytes) -> None:
        """A crash of the machine left half a line: take it off, and say so in the chain."""
        self._size -= len(torn)
        os.ftruncate(self._file, self._size)
        self._write({"event": "torn line removed", "bytes": len(torn), "sha256": hashlib.sha256(torn).hexdigest()})

    def _tip_before(self) -> Tip:
        """The tip of the newest full file: the file that is written to is still empty."""
        full = rotated_files(self.path)
        if not full:
            return START
        with full[-1].open("rb") as file:
            data = _tail(file.fileno(), os.fstat(file.fileno()).st_size)
        return _tip(data.rstrip(b"\n").rpartition(b"\n")[2])

    def _rotate(self) -> None:
        full = rotated_files(self.path)
        number = 1 + (int(full[-1].name.removesuffix(self.path.suffix).rpartition(".")[2]) if full else 0)
        target = self.path.with_name(f"{self.path.stem}.{number:06d}{self.path.suffix}")
        os.fsync(self._file)
        old = self._file
        if RENAMES_OPEN:
            os.rename(self.path, target)
        self._file = -1
        os.close(old)
        if not RENAMES_OPEN:
            # Put off while another process has it open (PermissionError), done where one was quicker (FileExistsError).
            with suppress(PermissionError, FileExistsError):
                os.rename(self.path, target)
        self._file = os.open(self.path, _FLAGS, 0o600)
        lock(self._file, LOCK_SECONDS)
        # Another process may have been quicker with the new file.
        self._size = -1
        self._catch_up()


def _tail(file: int, size: int) -> bytes:
    """The last bytes, at least one whole line and its predecessor's end."""
    length = min(size, 2 * LONGEST_LINE)
    os.lseek(file, size - length, os.SEEK_SET)
    return os.read(file, length)


def _tip(line: bytes) -> Tip:
    """Number and hash of a line; of one that cannot be read the hash of its bytes, so that the damage shows up."""
    try:
        members: dict[str, Any] = json.loads(line)
        return Tip(seq=int(members["seq"]), hash=str(members["hash"]))
    except (ValueError, KeyError, TypeError):
        return Tip(seq=0, hash=hashlib.sha256(line).hexdigest())
