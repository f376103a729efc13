"""The series of a live migration that come from its gateway and its status, in seconds."""

from __future__ import annotations

from prometheus_client.core import GaugeMetricFamily

from vectormigrate.model.answers import Observation
from vectormigrate.model.live import GatewayInfo, LiveStatus
from vectormigrate.model.status import MigrationStatus, Phase, Status
from vectormigrate.server.telemetry.live import live_series

STATUS = MigrationStatus(
    id="m",
    status=Status.IN_PROGRESS,
    phase=Phase.LIVE,
    source="a",
    target="b",
    total_records=1,
    migrated_records=1,
    rejected_records=0,
    batches=1,
    created_at="2026-01-01T00:00:00.000Z",
)


def series(live: LiveStatus) -> dict[str, float]:
    seen = [Observation(status=STATUS, bytes_per_record=1, last_commit=None, validation=None, live=live)]
    return {
        family.name.removeprefix("vectormigrate_live_"): sample.value
        for family in live_series(seen)
        if isinstance(family, GaugeMetricFamily)
        for sample in family.samples
    }


def test_times_of_the_gateway_are_seconds_and_missing_when_it_has_ended() -> None:
    info = GatewayInfo(pid=1, started="", at="", added_ms_p50=2.0, added_ms_p99=40.0, journal_ms_p99=12.5)
    live = LiveStatus(
        phase="ready", epoch=0, authority="source", gateway=info, gateway_alive=True, longest_mismatch=7.5
    )
    found = series(live)
    names = ("gateway_added_p50_seconds", "gateway_added_p99_seconds", "journal_fsync_p99_seconds")
    assert [found[name] for name in names] == [0.002, 0.04, 0.0125]
    assert found["longest_mismatch_seconds"] == 7.5
    ended = series(LiveStatus(phase="ready", epoch=0, authority="source", gateway=info))
    assert ended.keys().isdisjoint(names)
