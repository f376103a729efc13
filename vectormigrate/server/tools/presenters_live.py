"""From a live migration to what the tools answer."""

from __future__ import annotations

from vectormigrate.config.redaction import scrub
from vectormigrate.model.live import GateCondition, LiveStatus
from vectormigrate.server.runtime.remedies import FOR_A_PERSON, in_tool_words
from vectormigrate.server.tools import answers_live as answers


def live_answer(live: LiveStatus) -> answers.LiveAnswer:
    """Phase, figures, gate and the gateway's addresses."""
    gateway, figures = live.gateway, live.figures
    return answers.LiveAnswer.of(
        live,
        scopes=[_shown(text) for text in live.scopes],
        tainted=[_shown(text) for text in live.tainted],
        unnoted=[_shown(text) for text in live.unnoted],
        rollback_blocked=_shown(live.rollback_blocked),
        ready=live.ready,
        gate=[answers.GateLine.of(item, reason=_shown(item.reason)) for item in live.gate],
        ports=[] if gateway is None else [answers.PortLine.of(port) for port in gateway.ports],
        authority_url="" if gateway is None or not gateway.http else f"{gateway.http}/authority",
        write_rate=0.0 if gateway is None else gateway.writes_per_second,
        apply_rate=figures.applied,
        added_ms_p50=None if gateway is None else gateway.added_ms_p50,
        added_ms_p99=None if gateway is None else gateway.added_ms_p99,
        journal_ms_p99=None if gateway is None else gateway.journal_ms_p99,
        diverged=figures.proof.diverged,
        longest_pause_ms=figures.longest_pause_ms,
        notices=[_shown(text) for text in figures.notices],
    )


def blocking(live: LiveStatus) -> list[GateCondition]:
    """The conditions of the gate that are not met."""
    return [item for item in live.gate if not item.met]


def next_live(migration_id: str, live: LiveStatus) -> str | None:
    """What an agent would do next while a runner follows the application; None when the migration is over."""
    name = f"migration_id={migration_id!r}"
    if live.phase in ("completed", "aborted"):
        return None
    if live.authority == "target":
        return (
            f"the application is on the target: complete_migration({name}) ends it, reverse_migration({name}) goes "
            "back; either needs the user's consent"
        )
    if live.ready:
        return f"ready: cutover_migration({name}, dry_run=true) shows the gate; cutover_migration({name}) switches"
    if not live.gateway_alive:
        return f"it needs its gateway; {FOR_A_PERSON}vectormigrate gateway {migration_id}"
    reasons = "; ".join(f"{item.name}: {_shown(item.reason)}" for item in blocking(live)[:3])
    return f"migration_status({name}) again; a switch waits for {reasons}"


def _shown(text: str) -> str:
    return scrub(in_tool_words(text))
