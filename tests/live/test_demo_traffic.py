"""The demo's application: it follows the authority, and its history explains what the servers hold."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from qdrant_client import QdrantClient, models

from vectormigrate.cli.demo.live.checker import check
from vectormigrate.cli.demo.live.collection import COLLECTION, read_milvus, read_qdrant
from vectormigrate.cli.demo.live.history import READS, Kind, Operation, Outcome, read_history
from vectormigrate.cli.demo.live.measured import Spans, added_read, added_write, longest_pause
from vectormigrate.cli.demo.live.processes import Stage
from vectormigrate.cli.demo.live.records import DIM, Row
from vectormigrate.model.live import GatewayInfo, GatewayPort

pytestmark = [pytest.mark.slow]

RECORDS = 200


def authority(live: Path, side: str) -> None:
    """As a gateway writes it."""
    (live / "new.json").write_text(json.dumps({"side": side}))
    (live / "new.json").replace(live / "authority.json")


async def done(stage: Stage, enough: Callable[[list[Operation]], bool]) -> list[Operation]:
    """The history once that is in it."""
    while True:
        with stage.history.open("rb") as file:
            found = read_history(file)
        if enough(found):
            return found
        await anyio.sleep(0.05)


def successes(operations: list[Operation], kind: Kind, side: str, route: str) -> int:
    return sum(
        (item.kind, item.side, item.route, item.outcome) == (kind, side, route, Outcome.OK) for item in operations
    )


async def play(folder: Path) -> None:
    async with Stage(folder, "shop") as stage:
        await stage.open_servers(RECORDS)
        vectors = {"embedding": models.VectorParams(size=DIM, distance=models.Distance.DOT)}
        QdrantClient(url=stage.target).create_collection(COLLECTION, vectors_config=vectors)
        await stage.start_traffic(RECORDS, 60, 60)
        await done(stage, lambda found: successes(found, Kind.PUT, "source", "direct") > 20)
        # Nothing is in front of the servers here: only where the application goes is in question.
        stage.live.mkdir(parents=True)
        ports = tuple(
            GatewayPort(name=side, side=side, interface="http", address=url.removeprefix("http://"))
            for side, url in (("source", stage.source), ("target", stage.target))
        )
        info = GatewayInfo(pid=1, started="", at="", ports=ports)
        (stage.live / "gateway.json").write_text(json.dumps(info.to_json()))
        authority(stage.live, "source")
        await stage.traffic.ask("repoint", folder=str(stage.live))
        repointed = time.monotonic()
        await done(stage, lambda found: successes(found, Kind.DELETE_GROUP, "source", "gateway") > 0)
        authority(stage.live, "target")
        await done(stage, lambda found: successes(found, Kind.DELETE_GROUP, "target", "gateway") > 0)
        found = await done(stage, lambda found: successes(found, Kind.NOTE, "target", "gateway") > 0)
        assert (await stage.traffic.ask("stale"))["outcome"] == Outcome.OK
        await stage.traffic.ask("stop")
        found = await done(stage, lambda found: len(found) > 0)
        source, target = read_milvus(stage.source), read_qdrant(stage.target)
    judge(found, repointed, source, target)


def judge(found: list[Operation], repointed: float, source: list[Row], target: list[Row]) -> None:
    writes = [item for item in found if item.kind not in READS]
    assert not [item for item in writes if item.route == "direct" and item.start > repointed]
    for side, initial, rows in (("source", RECORDS, source), ("target", 0, target)):
        here = [item for item in found if item.side == side]
        assert {item.kind for item in here} >= {Kind.PUT, Kind.DELETE, Kind.DELETE_GROUP, Kind.GET, Kind.SEARCH}
        verdict = check(initial, here, rows)
        assert verdict.clean, verdict
        assert verdict.compared > 30
        # And it does not explain another state.
        assert not check(initial, [item for item in here if item.number % 7], rows).clean
        assert check(initial, here, rows[1:]).lost == 1


@pytest.mark.server
def test_the_application_follows_the_authority_and_its_history_explains_what_both_servers_hold(tmp_path: Path) -> None:
    anyio.run(play, tmp_path)


def operation(start: float, milliseconds: float, kind: Kind, route: str) -> Operation:
    end = start + milliseconds / 1000
    return Operation(
        number=0, kind=kind, key=0, side="source", route=route, start=start, end=end, outcome=Outcome.OK, base=0
    )


def test_what_the_gateway_adds_and_the_pauses_are_read_from_the_history() -> None:
    spans = Spans(direct=(0, 10), steady=(20, 30), switches=[(40, 42), (50, 53)])
    history = [
        *(operation(n, 5, Kind.PUT, "direct") for n in range(1, 10)),
        *(operation(n, 9, Kind.PUT, "gateway") for n in range(21, 30)),
        *(operation(n, 4, Kind.DELETE, "gateway") for n in range(21, 30)),
        *(operation(n, 100, Kind.DELETE_GROUP, "gateway") for n in range(21, 30)),
        *(operation(n + 0.2, 2, Kind.SEARCH, "direct") for n in range(1, 10)),
        *(operation(n + 0.2, 3, Kind.SEARCH, "direct") for n in range(21, 30)),
        *(operation(n + 0.4, 4.5, Kind.SEARCH, "gateway") for n in range(21, 30)),
        operation(41, 500, Kind.PUT, "gateway"),
        operation(52, 0, Kind.GET, "gateway"),
    ]
    assert added_write(history, spans) == 4
    assert added_read(history, spans) == 1.5
    assert longest_pause(history, spans, reads=False) == 3000
    assert longest_pause(history, spans, reads=True) == 2000
    assert added_write([], spans) is None
    assert longest_pause(history, Spans(), reads=True) is None
