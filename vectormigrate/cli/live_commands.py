"""The commands of live migrations, each from flags to a call of `verbs_live`."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import typer

from vectormigrate.cli import examples
from vectormigrate.cli import options as opt
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.run import run_verb

Strict = Annotated[
    str,
    typer.Option(
        "--verify",
        metavar="fast|strict",
        help="Compare while writes are held: fast, what was touched and a sample; strict, every record.",
    ),
]
HoldSeconds = Annotated[
    float, typer.Option("--pause", metavar="S", min=0.1, help="Give an attempt up when writes are held for S seconds.")
]
Budget = Annotated[float, typer.Option("--budget", metavar="S", min=0.0, help="Try for S seconds.")]
Rehearse = Annotated[bool, typer.Option("--rehearse", help="Everything but the switch itself.")]
Postpone = Annotated[bool, typer.Option("--postpone", help="Wait until all is ready, and leave the switch to later.")]


def cutover(
    migration_id: opt.Id,
    verify: Strict = "fast",
    pause: HoldSeconds = 4.0,
    budget: Budget = 30.0,
    rehearse: Rehearse = False,
    postpone: Postpone = False,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Switch the application over to the target. Exit code 75 when something is in the way; nothing has changed then.

    Writes are held while the last changes are applied and compared; reads are never held. `reverse` leads back.
    """
    from vectormigrate.cli import verbs_live

    common = Common(state=state, config=config, as_json=as_json)
    flags = verbs_live.SwitchFlags(verify=verify, pause=pause, budget=budget, rehearse=rehearse, postpone=postpone)
    return run_verb(partial(verbs_live.switch, common, migration_id, "cut_over", flags))


def reverse(
    migration_id: opt.Id,
    verify: Strict = "fast",
    pause: HoldSeconds = 4.0,
    budget: Budget = 30.0,
    rehearse: Rehearse = False,
    postpone: Postpone = False,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Switch the application back to the source, with every write since the cut-over. Exit codes as of `cutover`."""
    from vectormigrate.cli import verbs_live

    common = Common(state=state, config=config, as_json=as_json)
    flags = verbs_live.SwitchFlags(verify=verify, pause=pause, budget=budget, rehearse=rehearse, postpone=postpone)
    return run_verb(partial(verbs_live.switch, common, migration_id, "reverse", flags))


def complete(
    migration_id: opt.Id,
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """End a live migration after the cut-over: the source is not kept up to date any more, and there is no way back."""
    from vectormigrate.cli import verbs_live

    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(verbs_live.end, common, migration_id, "complete", force=force))


def abort(
    migration_id: opt.Id,
    force: Annotated[bool, typer.Option("--force", help="Do not ask.")] = False,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """End a live migration before the cut-over. The source stays as it is; `rollback` then removes the copy."""
    from vectormigrate.cli import verbs_live

    common = Common(state=state, config=config, as_json=as_json)
    return run_verb(partial(verbs_live.end, common, migration_id, "abort", force=force))


def thaw(
    migration_id: opt.Id,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Let writes through again while a switch holds them: the switch is given up."""
    return _order(Common(state=state, config=config, as_json=as_json), migration_id, "thaw")


def acknowledge(
    migration_id: opt.Id,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Accept the differences that were found and repaired, and what stopped the applying of changes."""
    return _order(Common(state=state, config=config, as_json=as_json), migration_id, "acknowledge")


def fenced(
    migration_id: opt.Id,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Confirm that every writer goes through the gateway, or marks its writes; the copy begins after that."""
    return _order(Common(state=state, config=config, as_json=as_json), migration_id, "confirm_fence")


def throttle(
    migration_id: opt.Id,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Only apply changes; copying and comparing wait until `unthrottle`."""
    return _pace(Common(state=state, config=config, as_json=as_json), migration_id, "slow")


def unthrottle(
    migration_id: opt.Id,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """End `throttle` and `pause`."""
    return _pace(Common(state=state, config=config, as_json=as_json), migration_id, "full")


def pause(
    migration_id: opt.Id,
    state: opt.State = None,
    config: opt.Config = None,
    as_json: opt.AsJson = False,
) -> int:
    """Neither copy nor apply until `unthrottle`; changes are only noted, which never stops."""
    return _pace(Common(state=state, config=config, as_json=as_json), migration_id, "paused")


def _order(common: Common, migration_id: str, verb: Literal["thaw", "acknowledge", "confirm_fence"]) -> int:
    from vectormigrate.cli import verbs_live

    return run_verb(partial(verbs_live.order, common, migration_id, verb))


def _pace(common: Common, migration_id: str, pace: str) -> int:
    from vectormigrate.cli import verbs_live

    return run_verb(partial(verbs_live.set_pace, common, migration_id, pace))


def add_live_commands(app: typer.Typer) -> None:
    """Register them."""
    app.command(epilog=examples.CUTOVER)(cutover)
    app.command(epilog=examples.REVERSE)(reverse)
    for command in (complete, abort, thaw, acknowledge, fenced, throttle, unthrottle, pause):
        app.command(epilog=f"[bold]Examples[/]\n  vectormigrate {command.__name__} docs")(command)
