"""The values of the flags, before anything heavy is imported."""

from __future__ import annotations

import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from vectormigrate.errors import ConfigError


def program() -> list[str]:
    """How a person can call this program again from here: by name where the shell finds it, else by path."""
    called = Path(sys.argv[0])
    if shutil.which("vectormigrate") or not called.is_file():
        return ["vectormigrate"]
    if called.name == "__main__.py":
        return [sys.executable, "-m", "vectormigrate"]
    near = called.absolute().is_relative_to(Path.cwd())
    return [str(called.absolute().relative_to(Path.cwd()) if near else called.absolute())]


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """Flags of every command."""

    state: Path | None
    config: Path | None
    as_json: bool

    def command(self, *words: str) -> str:
        """A command line that a person can run next, on the same state and connections."""
        flags: list[str] = []
        if self.state:
            flags += ["--state", str(self.state)]
        if self.config:
            flags += ["--config", str(self.config)]
        return shlex.join([*program(), *words, *flags])


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The flags that name one collection. `key` is a secret."""

    side: Literal["source", "target", ""]
    connection: str | None = None
    type: str | None = None
    url: str | None = None
    key: str | None = None
    index: str | None = None
    options: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"Place({self.side!r})"

    @property
    def given(self) -> bool:
        """Whether any flag names a place."""
        return any((self.connection, self.type, self.url, self.index))


What = dict[str, Any]
"""What to copy and how it may change: fields of MigrationRequest, whose module is too heavy to be imported here."""


def renames_of(texts: Sequence[str]) -> dict[str, str]:
    """`OLD=NEW` of each `--rename`."""
    return {old: new for old, _, new in (text.partition("=") for text in texts)}


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFlags:
    """Flags of a live migration; None keeps what is stored, or the default."""

    live: bool = False
    journal: Path | None = None
    fenced: bool = False
    one_way: bool = False
    source_deadline: float | None = None
    target_deadline: float | None = None
    lag_limit: float | None = None
    hook: str | None = None

    def changes(self) -> dict[str, Any]:
        """The fields of LiveOptions that were given."""
        given = {
            "fenced": self.fenced or None,
            "one_way": self.one_way or None,
            "source_deadline": self.source_deadline,
            "target_deadline": self.target_deadline,
            "lag_limit": self.lag_limit,
            "hook": self.hook,
        }
        return {name: value for name, value in given.items() if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """How `migrate` behaves as a step of a job. `wait`: seconds for another process that runs the migration.
    `validate`: what to compare afterwards, None for nothing."""

    wait: float = 0.0
    validate: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Every record, or a random sample; None is the usual size."""

    full: bool = False
    sample_size: int | None = None


def comparison_of(text: str | None) -> Comparison | None:
    """`sample`, `full` or a number of records. Raises ConfigError for another word."""
    match text:
        case None:
            return None
        case "sample":
            return Comparison()
        case "full":
            return Comparison(full=True)
        case _ if text.isdecimal() and int(text) > 0:
            return Comparison(sample_size=int(text))
        case _:
            raise ConfigError(f"--then-validate is 'sample', 'full' or a number of records, not {text!r}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How to run; None keeps what is stored, or the default."""

    batch_size: int | None
    max_retries: int | None
    validate_every: int | None
    concurrency: int | None
    rate_limit: float | None
    max_rejects: int | None
    no_wait: bool = False
    retry_rejects: bool = False

    def changes(self) -> dict[str, int | float | bool]:
        """The fields of RunOptions that were given."""
        given = {
            "batch_size": self.batch_size,
            "max_retries": self.max_retries,
            "validate_every": self.validate_every,
            "concurrency": self.concurrency,
            "rate_limit": self.rate_limit,
            "max_rejects": self.max_rejects,
            "wait_for_index": False if self.no_wait else None,
            "retry_rejects": self.retry_rejects or None,
        }
        return {name: value for name, value in given.items() if value is not None}
