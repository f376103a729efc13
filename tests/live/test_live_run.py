"""A live migration from its beginning to its end, with an application that never stops to write."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.live.playing import QUICK, gateway, playing, running
from vectormigrate import Status
from vectormigrate.engine.events import Event, Warned
from vectormigrate.model.ids import IdKind

pytestmark = pytest.mark.anyio


async def test_the_authority_goes_there_and_back_while_the_application_writes(tmp_path: Path) -> None:
    heard: list[Event] = []
    async with (
        playing(tmp_path, "there-and-back", list(range(1000)), IdKind.INT64) as play,
        running(play.service.migrate(play.request, live=QUICK, listener=heard.append)) as run,
        gateway(play) as app,
    ):
        async with running(app.traffic(lambda n: n, 1200)):
            await play.until(lambda live: live.phase == "ready" or run.done())
            assert not run.done(), run.result()
            result = await play.service.cut_over("m")
            assert result.switched
            before = app.written
            await play.until(lambda live: app.written > before + 50)
            assert (await play.live()).authority == "target"
            back = await play.service.reverse("m")
            assert back.switched
            before = app.written
            await play.until(lambda live: app.written > before + 50)
        assert app.refused == 2
        await play.until(lambda live: live.dirty == 0 and live.phase == "ready")
        expected = dict.fromkeys(range(1000), 0) | app.history
        expected = {key: value for key, value in expected.items() if value is not None}
        assert await play.records(play.source) == expected
        assert await play.records(play.target) == expected
        await play.service.abort("m")
        status = await asyncio.wait_for(run, 10)
        assert status.status is Status.STOPPED
    warned = [event.message for event in heard if isinstance(event, Warned)]
    assert any("revoke the direct credential" in message for message in warned)
