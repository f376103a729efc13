"""Whether a switch is allowed: every condition, and what is in its way. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from vectormigrate.capture.phases import LivePhase, authority
from vectormigrate.figures import duration, plural
from vectormigrate.model.live import GateCondition, LiveStatus, Pace

_BEFORE_CATCH_UP = (LivePhase.PREFLIGHT, LivePhase.CAPTURING, LivePhase.BACKFILL)


def gate(status: LiveStatus, *, lag_limit: float, strict: bool = False) -> tuple[GateCondition, ...]:
    """The conditions for switching away from the side that has the authority. `strict`: every record is compared while
    writes are held, which also settles what else would be in doubt."""
    return tuple(_conditions(status, lag_limit, strict))


def _conditions(status: LiveStatus, lag_limit: float, strict: bool) -> Iterator[GateCondition]:
    yield _condition("gateway", "" if status.gateway_alive else "no gateway runs, so no write can be noted")
    following = authority(LivePhase(status.phase)).other.value
    unserved = status.gateway is not None and following in status.gateway.unserved
    yield _condition("ports", f"the gateway has no port of the {following} yet, to write to it" if unserved else "")
    if following == "target":
        copied = LivePhase(status.phase) not in _BEFORE_CATCH_UP
        yield _condition("copied", "" if copied else "the copy has not ended")
        refused = _count(status.rejected, "refused record", "of the source would be missing on the target")
        yield _condition("rejects", refused)
    yield _condition("pace", "" if status.pace is not Pace.PAUSED else "the runner is paused")
    late = status.lag > lag_limit
    yield _condition("lag", f"the oldest change that is not applied is {duration(status.lag)} old" if late else "")
    yield _condition("in doubt", _count(status.in_doubt, "request", "may yet take effect"))
    scopes = f"{plural(len(status.scopes), 'part')} to compare first: {status.scopes[0]}" if status.scopes else ""
    yield _condition("scopes", scopes)
    parked = _count(status.parked, "changed record", "refused by the other side")
    yield _condition("parked", f"{parked}: {status.parked_examples[0]}" if status.parked_examples else parked)
    yield _condition("unknown writes", _count(status.figures.quarantined, "write", "of ours may yet take effect"))
    fuse = "the side that is read lacks too many records that nobody deleted"
    yield _condition("fuse", fuse if status.figures.fuse_blown else "")
    yield from _proof(status, strict)


def _proof(status: LiveStatus, strict: bool) -> Iterator[GateCondition]:
    proof = status.figures.proof
    # Since the switch both sides only differ in what was touched, which is compared key by key.
    compared = proof.pass_done or strict or status.authority == "target"
    yield _condition("compared", "" if compared else "not every record was compared yet")
    yield _condition("divergence", "" if strict else _count(proof.diverged, "record", "differed without a reason"))
    taint = f"a write may have been missed: {status.tainted[0]}" if status.tainted and not strict else ""
    yield _condition("complete journal", taint)
    # Comparing everything does not settle these: a journal that takes no notes misses the next write, too.
    unnoted = f"the gateway could not note it, restart it: {status.unnoted[0]}" if status.unnoted else ""
    yield _condition("journal in use", unnoted)


def _count(n: int, word: str, what: str) -> str:
    return f"{plural(n, word)} {what}" if n else ""


def _condition(name: str, reason: str) -> GateCondition:
    return GateCondition(name=name, met=not reason, reason=reason)
