"""Series of live migrations, from their journals, their gateways and what their runners measured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from vectormigrate.model.answers import Observation
from vectormigrate.model.live import LiveStatus


def live_series(seen: Sequence[Observation]) -> Iterable[Metric]:
    """The families, also when no migration is live."""
    readable = GaugeMetricFamily(
        "vectormigrate_live_journal_readable", "Whether the journal could be read.", labels=["migration"]
    )
    info = GaugeMetricFamily(
        "vectormigrate_live_info",
        "One per live migration: its phase, and the side that has the authority.",
        labels=["migration", "phase", "authority"],
    )
    lives: list[tuple[str, LiveStatus]] = []
    for item in seen:
        if item.journal_unreadable:
            readable.add_metric([item.status.id], 0)
        if item.live is not None:
            readable.add_metric([item.status.id], 1)
            info.add_metric([item.status.id, item.live.phase, item.live.authority], 1)
            lives.append((item.status.id, item.live))
    yield from (readable, info)
    for name, (text, value) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"vectormigrate_live_{name}", text, labels=["migration"])
        for migration_id, live in lives:
            if (number := value(live)) is not None:
                gauge.add_metric([migration_id], number)
        yield gauge


def _writes(live: LiveStatus) -> float:
    return live.gateway.writes_per_second if live.gateway is not None and live.gateway_alive else 0.0


def _gateway_ms(name: str) -> Callable[[LiveStatus], float | None]:
    """In seconds; None where nothing was measured, or the gateway has ended."""

    def value(live: LiveStatus) -> float | None:
        found = getattr(live.gateway, name) if live.gateway_alive and live.gateway else None
        return None if found is None else found / 1000

    return value


_GAUGES: Mapping[str, tuple[str, Callable[[LiveStatus], float | None]]] = {
    "dirty_keys": ("Changed records that are not applied to the other side.", lambda live: live.dirty),
    "oldest_dirty_age_seconds": ("Age of the oldest change that is not applied: the lag.", lambda live: live.lag),
    "open_requests": ("Writes that were forwarded and have no answer yet.", lambda live: live.under_way),
    "in_doubt_requests": ("Writes without an answer that may yet take effect.", lambda live: live.in_doubt),
    "dirty_scopes": ("Parts to compare, since requests did not name their records.", lambda live: len(live.scopes)),
    "parked_keys": ("Changed records that the other side refuses.", lambda live: live.parked),
    "write_rate": ("Writes of the application per second, through a gateway that runs.", _writes),
    "apply_rate": (
        "Changes applied per second, by a runner that runs.",
        lambda live: live.figures.applied if live.runner_alive else 0.0,
    ),
    "drain_eta_seconds": (
        "Time until all changes are applied; missing while their number grows.",
        lambda live: live.drain_eta,
    ),
    "unverified_keys": ("Applied records that were not compared since.", lambda live: live.unverified),
    "divergences": (
        "Records that differed without a reason and that nobody has acknowledged.",
        lambda live: live.figures.proof.diverged,
    ),
    "longest_mismatch_seconds": (
        "Age of the oldest of these records.",
        lambda live: live.longest_mismatch,
    ),
    "journal_fsync_p99_seconds": (
        "A transaction of the journal, flushed, 99th percentile.",
        _gateway_ms("journal_ms_p99"),
    ),
    "tainted": ("1: a write may have been missed.", lambda live: int(bool(live.tainted or live.unnoted))),
    "gateway_running": ("1 while a gateway notes writes.", lambda live: int(live.gateway_alive)),
    "gateway_added_p50_seconds": ("What the gateway adds to a write, median.", _gateway_ms("added_ms_p50")),
    "gateway_added_p99_seconds": ("What the gateway adds to a write, 99th percentile.", _gateway_ms("added_ms_p99")),
    "longest_pause_seconds": (
        "For how long a switch held writes at most.",
        lambda live: live.figures.longest_pause_ms / 1000,
    ),
    "gate_blocked": (
        "Conditions of a switch that are not met.",
        lambda live: sum(not item.met for item in live.gate),
    ),
    "epoch": ("Number of switches.", lambda live: live.epoch),
}
