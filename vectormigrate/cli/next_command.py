"""The command to type next, after every verb: engine/next_step.py decides, here are the words."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.cli.inputs import Common
from vectormigrate.cli.render.console import show, show_command
from vectormigrate.engine.lifecycle import Verb
from vectormigrate.engine.next_step import Why, next_step
from vectormigrate.model.status import MigrationStatus, ValidationReport

_COMMANDS = {
    Verb.RESUME: ("resume with:", ("resume", "ID")),
    Verb.RETRY: ("try again:", ("resume", "ID", "--retry-rejects")),
    Verb.VALIDATE: ("prove it:", ("validate", "ID", "--full")),
    Verb.ROLLBACK: ("finish with:", ("rollback", "ID")),
    Verb.MIGRATE: ("ask again:", ("migrate", "ID", "…")),
}


def next_commands(
    common: Common,
    status: MigrationStatus,
    *,
    validation: ValidationReport | None = None,
    typed: Sequence[str] = (),
) -> list[tuple[str, str]]:
    """Labels and commands, the likeliest first. `validation`: the last one; `typed`: flags whose key is stored nowhere,
    so that a run needs them again."""
    step = next_step(status)
    if step.why is Why.RUNS:
        return [("watch it:", common.command("status", status.id, "--watch"))]
    if step.verb is None:
        return []
    lines: list[tuple[str, str]] = []
    if step.why is Why.REJECTS:
        lines.append(("see rejects:", common.command("status", status.id, "--rejects", "20")))
    if validation is not None and not validation.passed:
        lines.append(("repair with:", common.command("validate", status.id, "--full", "--repair")))
    elif not (step.verb is Verb.VALIDATE and _proved(validation)):
        lines.append(_line(common, status.id, step.verb, typed))
    if step.undo:
        _, undo = _line(common, status.id, Verb.ROLLBACK, ())
        lines.append(("undo it:", undo))
    return lines


def _proved(validation: ValidationReport | None) -> bool:
    """Whether every record was compared and found to be as it should."""
    return validation is not None and validation.passed and validation.diff is not None and validation.diff.full


def _line(common: Common, migration_id: str, verb: Verb, typed: Sequence[str]) -> tuple[str, str]:
    """The label and the command of a verb, with the flags of keys that a run needs again."""
    label, words = _COMMANDS[verb]
    command = common.command(*(migration_id if word == "ID" else word for word in words))
    keys = [f"{flag} KEY" for flag in typed if verb is not Verb.ROLLBACK]
    return label, " ".join([command, *keys])


def show_next(lines: Sequence[tuple[str, str]]) -> None:
    """Print them, one a line, ready to be copied."""
    if lines:
        show("")
    for label, command in lines:
        show_command(label, command)
