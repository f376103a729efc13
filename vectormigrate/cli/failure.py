"""An error as the command line shows it, and the exit codes that are not an error's own."""

from __future__ import annotations

from dataclasses import dataclass

USAGE = 2
INTERRUPTED = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """An error as it is shown; `hints` are further lines."""

    type: str
    message: str
    exit_code: int
    hints: list[str]
