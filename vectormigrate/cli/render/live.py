"""A live migration as tables: figures, and the gate with what is in its way."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.text import Text

from vectormigrate.cli.render.console import clean, pairs, worded
from vectormigrate.figures import counted, duration, milliseconds, plural, rate
from vectormigrate.model.live import GateCondition, LiveStatus


def live_view(live: LiveStatus) -> RenderableType:
    """Everything that an operator looks at during a switch."""
    rows = [
        ("phase", f"{live.phase}, epoch {live.epoch}; the {live.authority} has the authority"),
        ("gateway", _gateway(live)),
        ("lag", _lag(live)),
        ("requests", f"{counted(live.under_way)} under way, {counted(live.in_doubt)} in doubt"),
        ("unsettled", f"{plural(len(live.scopes), 'part')} to compare, {plural(live.parked, 'record')} refused"),
        ("rates", _rates(live)),
        ("compared", _proof(live)),
    ]
    if live.pace.value != "full":
        rows.append(("pace", live.pace.value))
    if live.rollback_blocked:
        rows.append(("way back", f"blocked: {clean(live.rollback_blocked)}"))
    rows += [("notice", worded(notice)) for notice in live.figures.notices]
    rows.append(("gate", "open" if live.ready else "closed"))
    return Group("", Text("live", style="bold"), pairs(rows), pairs([_condition(each) for each in live.gate]))


def _gateway(live: LiveStatus) -> str:
    if not live.gateway_alive:
        return "does not run"
    info = live.gateway
    if info is None or info.added_ms_p50 is None:
        return "runs"
    p99 = info.added_ms_p50 if info.added_ms_p99 is None else info.added_ms_p99
    line = f"runs; adds {milliseconds(info.added_ms_p50)} to a write (p99 {milliseconds(p99)})"
    return (
        line if info.journal_ms_p99 is None else f"{line}, its journal takes {milliseconds(info.journal_ms_p99)} (p99)"
    )


def _lag(live: LiveStatus) -> str:
    line = f"{duration(live.lag)}; {plural(live.dirty, 'key')} to apply"
    if live.dirty and live.drain_eta is not None:
        line += f", {duration(live.drain_eta)} to go"
    return line


def _rates(live: LiveStatus) -> str:
    writes = 0.0 if live.gateway is None else live.gateway.writes_per_second
    return f"written {rate(writes)}, applied {rate(live.figures.applied)}, read again {rate(live.figures.reread)}"


def _proof(live: LiveStatus) -> str:
    proof = live.figures.proof
    line = f"{counted(proof.verified)} verified, {counted(proof.pending)} pending, {counted(proof.hot)} hot"
    line += f", {counted(proof.diverged)} diverged, {counted(proof.errors)} not read"
    if live.longest_mismatch:
        line += f"; the oldest difference was found {duration(live.longest_mismatch)} ago"
    # After the switch only what is touched is compared: the rest was equal then.
    return line if proof.pass_done or live.authority == "target" else f"{line}; not all yet"


def _condition(condition: GateCondition) -> tuple[str, str]:
    return f"  {condition.name}", "met" if condition.met else clean(condition.reason)
