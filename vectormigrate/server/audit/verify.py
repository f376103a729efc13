"""Checks the chain of an audit log: the reading side of audit.py."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectormigrate.errors import ConfigError
from vectormigrate.server.audit.log import GENESIS, START, Tip, line_hash, rotated_files


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check found. `problem` is empty when the chain is whole; else it names file, line and what is wrong there.
    `first` is the number of the first line, 1 unless older files were taken away."""

    files: tuple[Path, ...]
    lines: int
    first: int
    head: Tip
    problem: str = ""

    @property
    def intact(self) -> bool:
        """Whether everything fits."""
        return not self.problem


def verify(path: Path, *, head: str | None = None, archived: bool = False) -> Verdict:
    """Check a log from its first file to its last line. With `archived` the oldest files may be missing: the chain is
    checked from where it begins. `head` is a hash that was noted earlier and must occur. Raises ConfigError when there
    is nothing to check."""
    files = tuple(file for file in (*rotated_files(path), path) if file.exists())
    if not files:
        raise ConfigError(f"there is no audit log {str(path)!r}")
    tip, first, lines, seen = START, 0, 0, head in (None, "", GENESIS)
    for where, raw in _lines(files):
        line = _parsed(raw)
        if line is None:
            return _broken(files, lines, first, tip, f"{where}: not a line of an audit log")
        if not lines:
            first = line["seq"]
            if archived:
                tip = Tip(seq=first - 1, hash=str(line["prev"]))
        problem = _fault(line, tip)
        if problem:
            return _broken(files, lines, first, tip, f"{where}: {problem}")
        tip = Tip(seq=line["seq"], hash=line["hash"])
        seen = seen or line["hash"] == head
        lines += 1
    problem = (
        "" if seen else f"the line with the hash {head} is not in the log: lines were cut off or all were replaced"
    )
    return Verdict(files=files, lines=lines, first=first, head=tip, problem=problem)


def _broken(files: tuple[Path, ...], lines: int, first: int, tip: Tip, problem: str) -> Verdict:
    return Verdict(files=files, lines=lines, first=first, head=tip, problem=problem)


def _lines(files: tuple[Path, ...]) -> Iterator[tuple[str, bytes]]:
    """(`file:number`, bytes without the newline). A last line without a newline is half a line."""
    for file in files:
        try:
            with file.open("rb") as opened:
                for number, raw in enumerate(opened, 1):
                    yield f"{file}:{number}", raw[:-1] if raw.endswith(b"\n") else b""
        except OSError as error:
            raise ConfigError(f"cannot read the audit log {str(file)!r}: {error.strerror}") from error


def _parsed(raw: bytes) -> dict[str, Any] | None:
    try:
        line = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(line, dict) or type(line.get("seq")) is not int:
        return None
    return line if isinstance(line.get("hash"), str) and isinstance(line.get("prev"), str) else None


def _fault(line: dict[str, Any], before: Tip) -> str:
    if line_hash(line) != line["hash"]:
        return f"line {line['seq']} was changed: its content does not fit its hash"
    if line["seq"] != before.seq + 1:
        return f"line {before.seq + 1} is missing: {line['seq']} follows {before.seq}"
    if line["prev"] != before.hash:
        return f"line {line['seq']} does not follow the one before it: lines were replaced"
    return ""
