"""Every error that leaves vectormigrate, grouped by what the caller can do about it.

::

    VectorMigrateError                      exit code 1
      ConfigError                           2   fix the command, the file or the environment
        NoConnectionsFile · UnknownAdapter · MissingExtra
      PlanError                             2   change the plan: a flag, a name, an accepted loss
        LossNotAccepted · IncompatibleSchema · TargetNotEmpty
      LookupFailed                          4   no such migration, or it is in the wrong state for the verb
        MigrationNotFound · InvalidTransition · LeaseHeld
      AdapterError                          1   a database refused
        TransientError                          worth another try (retried by engine/retry.py only)
          RateLimited(retry_after) · Unavailable · TimedOut
        TerminalError                           another try gives the same answer
          AuthFailed · CollectionNotFound · AlreadyExists · QuotaExceeded · InvalidRequest
        RecordsRejected(rejects)                these records are refused, the others are not at fault
      StateError                            1   the state file
        StateCorrupt · StateTooNew · LeaseLost · StateUnwritable
        StateBusy                           75  another process keeps it locked; try again later
        JournalError                            the journal of a live migration cannot be used
      MigrationFailed                       1   the run gave up; resumable
      ValidationFailed(report)              3   source and target differ
      Interrupted                           130 stopped on request; resumable

Messages name the thing with ``!r``, add what to do next as a `Remedy`, and never hold a credential.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

from vectormigrate.figures import counted


def near(wrong: str, known: Iterable[str]) -> list[str]:
    """The known names that may have been meant, the likeliest first. Case, `-` and `_` do not count."""
    from difflib import get_close_matches

    def folded(name: str) -> str:
        return name.casefold().replace("-", "_")[:100]

    names: dict[str, str] = {}
    for name in known:
        names.setdefault(folded(name), name)
    return [names[name] for name in get_close_matches(folded(wrong), names, n=3, cutoff=0.6)]


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean 'name'?`, to end a sentence with; empty when nothing is near."""
    found = near(wrong, known)
    return f"; did you mean {found[0]!r}?" if found else ""


def listed(names: Sequence[str], most: int = 12) -> str:
    """The names in one line, cut after `most`; `none` when there is none."""
    more = f" and {counted(len(names) - most)} more" if len(names) > most else ""
    return (", ".join(names[:most]) or "none") + more


Value = bool | int | float | str | tuple[str, ...] | dict[str, str]
"""What an option of a remedy may be set to."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """A way out that a text names: a verb of the service, or an option by the attribute that holds it.

    In a text it is marked, and reads as what a program would write: `str` of
    ``Remedy("validate", "orders", {"full": True})`` is "`service.validate('orders', full=True)`". The front ends put
    their own words in its place (`in_words`): a command with its flags, or a tool with its arguments. Texts in the
    state file keep the mark, so that each front end can word them later.
    """

    verb: str = ""
    """A method of Service; empty for an option alone."""
    migration_id: str = ""
    """Empty where the text does not know it."""
    options: Mapping[str, Value | None] = field(default_factory=dict[str, "Value | None"])
    """Arguments of the verb, or of its RunOptions; without a verb a single attribute, such as `request.overwrite`, None
    without a value."""

    def __str__(self) -> str:
        if not self.verb:
            ((name, value),) = self.options.items()
            return f"`{name}`" if value is None else f"`{name}={_literal(value)}`"
        given = [f"{name}={_literal(value)}" for name, value in self.options.items()]
        first = [_literal(self.migration_id)] if self.migration_id else [] if given else ["..."]
        return f"`service.{self.verb}({', '.join([*first, *given])})`"


def remedy(name: str, migration_id: str = "", /, **options: Value) -> Remedy:
    """The way out through a verb of the service."""
    return Remedy(name, migration_id, options)


def option(attribute: str, value: Value | None = None) -> Remedy:
    """An option by its attribute: of a MigrationRequest (`request`), of RunOptions (`options`), of LiveOptions
    (`live`), of an Endpoint (`request.source`, `request.target`, or `endpoint` where the side is open) or of Settings
    (`settings`)."""
    return Remedy(options={attribute: value})


def _literal(value: Value | None) -> str:
    return repr(value).replace("`", r"\x60")


_MARKED = re.compile(
    r"`(?:service\.(?P<verb>[a-z_]+)\((?P<given>[^`]*)\)"
    r"|(?P<option>(?:request|options|live|endpoint|settings)(?:\.\w+)+)(?:=(?P<value>[^`]+))?)`"
)


def in_words(text: str, words: Callable[[Remedy], str | None]) -> str:
    """The text with `words` in the place of every remedy; None leaves it as it is."""

    def replace(match: re.Match[str]) -> str:
        found = _read(match)
        return (None if found is None else words(found)) or match[0]

    return _MARKED.sub(replace, text)


def remedies_in(text: str) -> list[Remedy]:
    """The remedies in a text, in their order."""
    return [found for match in _MARKED.finditer(text) if (found := _read(match)) is not None]


def _read(match: re.Match[str]) -> Remedy | None:
    """The remedy that was marked; None for what only looks like one, as texts of a server may."""
    try:
        if match["option"]:
            return Remedy(options={match["option"]: ast.literal_eval(match["value"]) if match["value"] else None})
        call = ast.parse(f"f({match['given']})", mode="eval").body
        assert isinstance(call, ast.Call)
        first = [ast.literal_eval(item) for item in call.args]
        given = {str(item.arg): ast.literal_eval(item.value) for item in call.keywords}
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None
    return Remedy(match["verb"], first[0] if first and isinstance(first[0], str) else "", given)


class VectorMigrateError(Exception):
    """Base of everything that this package raises on purpose."""

    exit_code: ClassVar[int] = 1

    @property
    def remedies(self) -> list[Remedy]:
        """What leads out of it, in the order of its message."""
        return remedies_in(str(self))


class ConfigError(VectorMigrateError):
    """The command line, the connections file or the environment is wrong."""

    exit_code = 2


class NoConnectionsFile(ConfigError):
    """A connection was named, and there is no connections file."""

    def __init__(self, name: str, file: str) -> None:
        super().__init__(f"no connection {name!r}: there is no {file}; name one with {option('settings.config')}")


class UnknownAdapter(ConfigError):
    """No adapter has this name."""

    def __init__(self, name: str, known: Sequence[str], edition_of: str = "") -> None:
        """`edition_of`: the type under which this edition goes."""
        hint = f"; {name!r} is of type {edition_of!r}" if edition_of else did_you_mean(name, known)
        super().__init__(f"unknown database type {name!r}; known types: {', '.join(known)}{hint}")


class MissingExtra(ConfigError):
    """The package that an adapter, or another part, needs is not installed."""

    def __init__(self, adapter: str, extra: str, module: str) -> None:
        super().__init__(
            f"{adapter!r} needs the package {module!r}, which is not installed; "
            f"install it with: pip install 'vectormigrate[{extra}]'"
        )


class PlanError(VectorMigrateError):
    """The migration cannot be planned as asked."""

    exit_code = 2


MOST_LOSSES = 6
"""Losses that an error explains; the plan explains all."""


class LossNotAccepted(PlanError):
    """The plan holds losses that nobody accepted."""

    def __init__(self, losses: Mapping[str, str]) -> None:
        """`losses`: the name of each, and what it means."""
        self.names = tuple(losses)
        shown = listed([f"{name} ({meaning})" if meaning else name for name, meaning in losses.items()], MOST_LOSSES)
        accepted = option("request.accepted_losses", self.names)
        super().__init__(f"this migration would lose data: {shown}; accept with: {accepted}")


class IncompatibleSchema(PlanError):
    """An existing target (or a changed source) does not fit the plan."""


class TargetNotEmpty(PlanError):
    """The target collection exists and holds records."""


class LookupFailed(VectorMigrateError):
    """No such migration, or it is in the wrong state for the verb."""

    exit_code = 4


class MigrationNotFound(LookupFailed):
    """The state file holds no migration with this id."""

    def __init__(self, migration_id: str, known: Iterable[str] = (), state: str = "") -> None:
        where = f"the state file {state!r}" if state else "the state file"
        hint = did_you_mean(migration_id, known)
        super().__init__(f"no migration {migration_id!r} in {where}{hint or ';'} see: {remedy('list')}")


class InvalidTransition(LookupFailed):
    """The migration is in a phase in which the verb is not allowed."""


class LeaseHeld(LookupFailed):
    """Another live process runs this migration."""


class StillRunning(LeaseHeld):
    """Another live process runs the migration that was asked for, and did not end in time. The same call later finds it
    further, or completed."""

    exit_code = 75


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """Whose error it is: one end of a migration, as the operator named it. It holds no credential.

    `side` is `source`, `target` or empty. `place` is the server or the folder; `key` is where the key came from:
    `given`, `env:NAME` or a connection, empty without a key. `held`: collections there, once one was not found.
    """

    side: str
    type: str
    place: str
    collection: str
    connection: str | None = None
    key: str = ""
    held: tuple[str, ...] = ()

    def __str__(self) -> str:
        # A connection is named without its place: its URL is for the eyes of who may read the file.
        who = f"connection {self.connection!r}" if self.connection else f"{self.type} at {self.place!r}"
        return f"{self.side}, {who}" if self.side else who


class AdapterError(VectorMigrateError):
    """A database refused or failed; `adapter` and `operation` name the call, `end` on which side and where."""

    end: End | None = None

    def __init__(self, message: str, *, adapter: str = "", operation: str = "") -> None:
        self.adapter = adapter
        self.operation = operation
        where = ":".join(part for part in (adapter, operation) if part)
        super().__init__(f"{where}: {message}" if where else message)

    def __str__(self) -> str:
        text = super().__str__()
        return f"{self.end}: {text}" if self.end else text


class TransientError(AdapterError):
    """Worth another try."""


class RateLimited(TransientError):
    """The database asks for less load; `retry_after` is its wish in seconds, if it named one."""

    def __init__(
        self, message: str, *, adapter: str = "", operation: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, adapter=adapter, operation=operation)
        self.retry_after = retry_after


class Unavailable(TransientError):
    """The database cannot be reached or is not ready."""


class TimedOut(TransientError):
    """No answer in time: the outcome is unknown, so the work counts as not done."""


class TerminalError(AdapterError):
    """Another try gives the same answer."""


class AuthFailed(TerminalError):
    """The credential is missing, wrong or lacks the right."""

    exit_code = 2


class CollectionNotFound(TerminalError):
    """The collection does not exist (which is not the same as "could not be read")."""

    exit_code = 4


class AlreadyExists(TerminalError):
    """The collection to create exists."""


class QuotaExceeded(TerminalError):
    """The database is full or over a limit that waiting does not lift."""


class InvalidRequest(TerminalError):
    """The database calls the whole request wrong."""


class RecordsRejected(AdapterError):
    """The database refuses some records of a batch. The engine bisects when it names none."""


class StateError(VectorMigrateError):
    """The state file cannot be used."""


class StateCorrupt(StateError):
    """The file is not a readable vectormigrate state file."""


class StateTooNew(StateError):
    """A newer version of vectormigrate wrote the file."""


class StateUnwritable(StateError):
    """The file or its disk cannot be written."""


class StateBusy(StateError):
    """Another process kept the file locked for as long as we could wait. Nothing was done; another try may succeed."""

    exit_code = 75


class JournalError(StateError):
    """The journal of a live migration cannot be read or written: no write may be forwarded."""


class LeaseLost(StateError):
    """Another process took the migration over; this one must not write any more."""


class MigrationFailed(VectorMigrateError):
    """The run gave up: too many rejects, retries used up, or a terminal answer. Resumable."""


class NotSwitched(VectorMigrateError):
    """A switch of a live migration was given up. Nothing was switched; another try may succeed."""

    exit_code = 75


class ValidationFailed(VectorMigrateError):
    """Source and target differ."""

    exit_code = 3


class Interrupted(VectorMigrateError):
    """The run was stopped by a signal; resumable."""

    exit_code = 130
