"""The checks and the reconcile between real engines."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.capture.live_pair import live
from tests.capture.test_reconcile import reconciler
from tests.harness.base import Harness, all_harnesses
from tests.live.faults import fault
from tests.validation.test_engines import ROWS, copied, record_ids
from vectormigrate.capture.journal.records import Scope
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.frozen import draw, fast, strict
from vectormigrate.capture.proving.full_pass import run_pass

pytestmark = pytest.mark.anyio

ENGINES = [each for each in all_harnesses() if each.name in ("milvus", "qdrant_edge")]


@pytest.fixture(scope="module", params=ENGINES, ids=lambda each: each.name)
def harness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Generator[Harness, None, None]:
    chosen: Harness = request.param
    reason = chosen.unavailable()
    if reason is not None:
        pytest.skip(reason)
    with chosen.running(tmp_path_factory.mktemp(chosen.name)):
        yield chosen


@fault(30)
async def test_what_was_written_through_and_past_the_gateway_is_told_apart(harness: Harness, tmp_path: Path) -> None:
    ids = record_ids(harness)
    async with copied(harness) as both, live(both, tmp_path) as made:
        audit = await draw(made.sides, size=50)
        record = await both.source.fetch([ids[1]], "")
        await made.upsert(replace(record, metadata=[{**record.metadata[0], "n": 77}]))
        await made.delete([ids[2]], "")
        seq = made.begin(scopes=[Scope(None, "filter", ids_only=True)])
        await both.source.delete(ids[10:20], "")
        made.end(seq)
        assert not (await fast(made.confirmer, made.touched, audit, count_seconds=60)).passed
        found = await reconciler(made).round()
        assert (found.problems, found.ended, found.marked >= 10) == ([], 1, True)
        await made.apply()
        quick = await fast(made.confirmer, made.touched, audit, count_seconds=60)
        assert (quick.passed, quick.problems) == (True, ())
        full = await strict(made.sides, made.touched)
        assert (full.passed, full.compared) == (True, ROWS - 11)
        await both.target.delete([ids[30]], "")
        result = await run_pass(made.confirmer, made.saved)
        assert (result.diverged, result.errors, result.pending) == (1, 0, 0)
        assert made.dirty() == {Key("", ids[30])}
