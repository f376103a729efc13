"""The gate of a switch: from a migration that is ready, each condition is flipped by what it is about, and by nothing
else."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.gateway.files import note_taint, write_json
from vectormigrate.capture.journal.connection import connect, make
from vectormigrate.capture.journal.taints import add_taint
from vectormigrate.capture.running.gate import gate
from vectormigrate.capture.running.look import look_from_outside
from vectormigrate.model.live import (
    GatewayInfo,
    GatewayPort,
    LiveFigures,
    LiveOptions,
    LiveStatus,
    Pace,
    Proof,
)
from vectormigrate.state.live import LiveRow

GATEWAY = GatewayInfo(
    pid=1,
    started="",
    at="",
    ports=tuple(
        GatewayPort(name=f"{side}-rest", side=side, interface="rest", address="a:1") for side in ("source", "target")
    ),
)
COMPARED = LiveFigures(proof=Proof(pass_done=True, verified=9))
READY = LiveStatus(
    phase="ready", epoch=0, authority="source", gateway=GATEWAY, gateway_alive=True, runner_alive=True, figures=COMPARED
)
SOAK = replace(READY, phase="soak", epoch=1, authority="target")
UNSERVED = replace(GATEWAY, unserved=("target",))


def proof(**changes: int | bool) -> LiveFigures:
    return replace(COMPARED, proof=replace(COMPARED.proof, **changes))


FLIPPED: dict[str, tuple[LiveStatus, str]] = {
    "gateway": (replace(READY, gateway_alive=False), "no gateway runs"),
    "ports": (replace(READY, gateway=UNSERVED), "no port of the target"),
    "copied": (replace(READY, phase="backfill"), "the copy has not ended"),
    "rejects": (replace(READY, rejected=4), "4 refused records of the source"),
    "pace": (replace(READY, pace=Pace.PAUSED), "paused"),
    "lag": (replace(READY, lag=6.0), "6"),
    "in doubt": (replace(READY, in_doubt=2), "2 requests may yet take effect"),
    "scopes": (replace(READY, scopes=("delete by filter",)), "delete by filter"),
    "parked": (replace(READY, parked=1, parked_examples=("i:7: too large",)), "i:7: too large"),
    "unknown writes": (replace(READY, figures=replace(COMPARED, quarantined=1)), "1 write of ours"),
    "fuse": (replace(READY, figures=replace(COMPARED, fuse_blown=True)), "lacks too many records"),
    "compared": (replace(READY, figures=proof(pass_done=False)), "not every record"),
    "divergence": (replace(READY, figures=proof(diverged=3)), "3 records differed"),
    "complete journal": (replace(READY, tainted=("forwarded unnoted",)), "forwarded unnoted"),
    "journal in use": (replace(READY, unnoted=("no space left",)), "no space left"),
}


def unmet(status: LiveStatus, *, strict: bool = False) -> dict[str, str]:
    """What is in the way, by condition."""
    found = gate(status, lag_limit=5.0, strict=strict)
    assert all(item.met == (not item.reason) for item in found)
    return {item.name: item.reason for item in found if not item.met}


def test_nothing_is_in_the_way_of_a_migration_that_is_ready_in_either_direction() -> None:
    assert unmet(READY) == unmet(SOAK) == {}


@pytest.mark.parametrize("condition", FLIPPED)
def test_each_condition_is_flipped_by_what_it_is_about_alone(condition: str) -> None:
    status, reason = FLIPPED[condition]
    found = unmet(status)
    assert list(found) == [condition]
    assert reason in found[condition]


def test_every_condition_has_a_case() -> None:
    assert {item.name for item in gate(READY, lag_limit=5.0)} == FLIPPED.keys()


def test_comparing_every_record_settles_what_was_missed_but_not_a_journal_that_takes_no_notes() -> None:
    settled = {"compared", "divergence", "complete journal"}
    assert {name for name, (status, _) in FLIPPED.items() if not unmet(status, strict=True)} == settled


def test_the_way_back_needs_no_port_of_the_side_that_it_leaves() -> None:
    assert unmet(replace(SOAK, gateway=UNSERVED)) == {}


def test_notes_next_to_the_journal_and_those_in_it_are_seen_with_the_ports_of_the_gateway(tmp_path: Path) -> None:
    folder = LiveFolder(tmp_path)
    make(folder.journal, "m")
    row = LiveRow(
        options=LiveOptions(), folder=tmp_path, journal="", seen=0, reverse=None, pace=Pace.FULL, figures=None
    )
    assert not look_from_outside(row, "m", runner_alive=True).unnoted
    journal = connect(folder.journal, "m", durable=True)
    add_taint(journal, "an old copy")
    journal.close()
    assert note_taint(folder, "the disk is full")
    write_json(folder.gateway, UNSERVED.to_json())
    found = look_from_outside(row, "m", runner_alive=True)
    assert (found.tainted, found.unnoted, found.gateway) == (("an old copy",), ("the disk is full",), UNSERVED)
    reasons = {item.name: item.reason for item in found.gate}
    assert "the disk is full" in reasons["journal in use"]
    assert "no port of the target" in reasons["ports"]
