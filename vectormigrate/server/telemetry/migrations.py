"""Series of migrations and their validations, from one look at the state file."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from vectormigrate.model.answers import Observation
from vectormigrate.model.status import Phase, Status
from vectormigrate.server.telemetry.live import live_series

if TYPE_CHECKING:
    from vectormigrate.service import Service

MOST_MIGRATIONS = 200
"""Migrations with series of their own: those in progress, then the newest. A state file may hold thousands."""

log = logging.getLogger(__name__)


class MigrationCollector(Collector):
    """Series made from the last look at the state file."""

    def __init__(self) -> None:
        self._seen: Sequence[Observation] = ()
        self._readable = True

    async def look(self, service: Service) -> None:
        """Read the state file. An error of any kind leaves the series of migrations out, never the whole answer."""
        try:
            self._seen, self._readable = await service.observe(MOST_MIGRATIONS), True
        except Exception as error:
            log.error("the state file cannot be read: %s", error)
            self._seen, self._readable = (), False

    def collect(self) -> Iterable[Metric]:
        """The families, also when there is no migration, so that the names always exist."""
        yield GaugeMetricFamily(
            "vectormigrate_state_readable", "Whether the state file could be read.", value=int(self._readable)
        )
        yield from _progress(self._seen)
        yield from _validation(self._seen)
        yield from live_series(self._seen)


def _progress(seen: Sequence[Observation]) -> Iterable[Metric]:
    info = GaugeMetricFamily(
        "vectormigrate_migration_info",
        "One per migration: source, target and status.",
        labels=["migration", "source", "target", "status", "phase"],
    )
    for item in seen:
        s = item.status
        info.add_metric([s.id, s.source, s.target, str(s.status), str(s.phase)], 1)
    yield info
    for name, (text, count) in _COUNTERS.items():
        counter = CounterMetricFamily(f"vectormigrate_migration_{name}", text, labels=["migration"])
        for item in seen:
            counter.add_metric([item.status.id], count(item))
        yield counter
    for name, (text, value) in _GAUGES.items():
        gauge = GaugeMetricFamily(f"vectormigrate_migration_{name}", text, labels=["migration"])
        for item in seen:
            if (number := value(item)) is not None:
                gauge.add_metric([item.status.id], number)
        yield gauge


def _bytes(item: Observation) -> int:
    return item.status.migrated_records * item.bytes_per_record


def _lag(item: Observation) -> int:
    s = item.status
    return 0 if s.phase is Phase.ROLLED_BACK else max(0, s.total_records - s.migrated_records - s.rejected_records)


def _age(item: Observation) -> float | None:
    if item.status.status is not Status.IN_PROGRESS or item.last_commit is None:
        return None
    return max(0.0, time.time() - item.last_commit)


def _epoch(text: str | None) -> float | None:
    return None if text is None else datetime.fromisoformat(text).timestamp()


_COUNTERS: Mapping[str, tuple[str, Callable[[Observation], float]]] = {
    "records": ("Records written and acknowledged.", lambda i: i.status.migrated_records),
    "bytes": ("Records written, times the mean size that the plan measured.", _bytes),
    "batches": ("Writes sent.", lambda i: i.status.batches),
    "retries": ("Tries again, all operations.", lambda i: i.status.retries),
    "checked_records": ("Records read back and compared while copying.", lambda i: i.status.checked_records),
}
_GAUGES: Mapping[str, tuple[str, Callable[[Observation], float | None]]] = {
    "expected_records": ("Records of the plan.", lambda i: i.status.total_records),
    "rejected_records": ("Records refused and not yet written.", lambda i: i.status.rejected_records),
    "lag_records": ("Records of the plan that are not settled yet.", _lag),
    "rate_records": ("Records settled per second, over the last half minute.", lambda i: i.status.rate or 0.0),
    "running": ("1 while a live process runs it.", lambda i: int(i.status.runner_alive)),
    "checkpoint_age_seconds": ("Time since the last commit of a migration in progress.", _age),
    "ended_timestamp_seconds": ("When it ended.", lambda i: _epoch(i.status.ended_at)),
}


def _validation(seen: Sequence[Observation]) -> Iterable[Metric]:
    passed = GaugeMetricFamily("vectormigrate_validation_passed", "1: the newest report passed.", labels=["migration"])
    when = GaugeMetricFamily(
        "vectormigrate_validation_timestamp_seconds", "When the newest report was made.", labels=["migration"]
    )
    records = GaugeMetricFamily(
        "vectormigrate_validation_records", "Records of the newest report, by result.", labels=["migration", "result"]
    )
    recall = GaugeMetricFamily(
        "vectormigrate_validation_overlap",
        "Share of the same search results on both sides, 0 to 1: the worst vector field and namespace.",
        labels=["migration"],
    )
    for item in seen:
        report, name = item.validation, item.status.id
        if report is None:
            continue
        passed.add_metric([name], int(report.passed))
        when.add_metric([name], _epoch(report.ended_at) or 0.0)
        if report.search:
            recall.add_metric([name], min(check.overlap for check in report.search))
        if (diff := report.diff) is not None:
            for result in ("compared", "identical", "within_bound", "missing", "extra", "different", "unreadable"):
                records.add_metric([name, result], getattr(diff, result))
    yield from (passed, when, records, recall)
