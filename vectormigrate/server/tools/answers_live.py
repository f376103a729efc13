"""What the tools answer about a live migration. Times in seconds, rates per second, unless the name has a unit."""

from __future__ import annotations

from pydantic import Field

from vectormigrate.model.live import GateCondition, GatewayPort, LiveStatus, SwitchResult
from vectormigrate.server.tools.shows import Answer, shows


@shows(GateCondition)
class GateLine(Answer):
    """One of the conditions of a switch; `reason`: what is in the way."""


@shows(GatewayPort, without=("repoint",))
class PortLine(Answer):
    """An address for the application."""


@shows(
    LiveStatus,
    without=("gateway", "figures", "touched", "parked_examples", "runner_alive"),
    described={
        "authority": "source or target: the side that the application reads and writes.",
        "lag": "Age of the oldest change that is not applied to the other side.",
        "dirty": "Changed records that are not applied yet.",
        "in_doubt": "Requests of which nobody knows yet whether they took effect.",
        "scopes": "Parts that must be compared, since requests did not name their records.",
        "parked": "Changed records that the other side refuses.",
        "tainted": "Why a write may have been missed.",
        "drain_eta": "Seconds until all changes are applied; null while their number grows.",
        "longest_mismatch": "Age in seconds of the oldest of the diverged records.",
        "rollback_blocked": "Why the source cannot take a change of the target; empty: it can.",
    },
)
class LiveAnswer(Answer):
    """A live migration now."""

    scopes: list[str]
    ready: bool = Field(description="Every condition of the gate is met: a switch is allowed.")
    gate: list[GateLine]
    ports: list[PortLine] = Field(description="The gateway's addresses, one per port of a side.")
    authority_url: str = Field(description="Where applications follow the authority; empty without a gateway.")
    write_rate: float = Field(description="Writes of the application per second.")
    apply_rate: float = Field(description="Changes applied per second.")
    added_ms_p50: float | None = Field(description="What the gateway adds to a write, in milliseconds.")
    added_ms_p99: float | None
    journal_ms_p99: float | None = Field(
        description="A transaction of the gateway's journal, flushed, in milliseconds."
    )
    diverged: int = Field(description="Records that differed without a reason and that nobody has acknowledged.")
    longest_pause_ms: float = Field(description="For how long a switch held writes at most.")
    notices: list[str]


@shows(SwitchResult, without=("migration_id", "switched", "rehearsed", "postponed"), optional=True)
class SwitchAnswer(Answer):
    """How a switch, or the end of a live migration, went."""

    migration_id: str
    state: str = Field(
        description="switched, rehearsed, completed, dry_run (nothing was done), or running: it is not over yet."
    )
    live: LiveAnswer | None
    next_step: str
