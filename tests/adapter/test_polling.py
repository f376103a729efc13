"""A database that takes its time is asked less and less often."""

from __future__ import annotations

import time
from itertools import pairwise
from pathlib import Path

import pytest

from vectormigrate.adapter import polling
from vectormigrate.adapter.polling import GROWTH, Poll

ADAPTERS = Path(polling.__file__).parent.parent / "adapters"


async def questions(seconds: float, first: float) -> list[float]:
    """When a question was asked, in seconds."""
    began = time.monotonic()
    asked = [0.0]
    poll = Poll(seconds, first=first)
    while await poll.again():
        asked.append(time.monotonic() - began)
    return asked


@pytest.mark.anyio
async def test_each_pause_is_longer_than_the_one_before_until_the_time_is_up() -> None:
    asked = await questions(0.5, 0.02)
    # Each 20 ms it would be 25; a slow machine asks less often.
    assert 2 <= len(asked) <= 10
    assert asked[-1] >= 0.5
    pauses = [after - before for before, after in pairwise(asked)]
    assert all(pause >= 0.02 * GROWTH**number for number, pause in enumerate(pauses[:-1]))


@pytest.mark.anyio
async def test_no_pause_is_longer_than_the_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LONGEST", 0.02)
    assert len(await questions(0.4, 0.02)) > 3


@pytest.mark.anyio
async def test_without_time_there_is_no_further_question() -> None:
    assert not await Poll(0).again()


def test_no_adapter_waits_in_another_way() -> None:
    waiting = {path.relative_to(ADAPTERS).as_posix() for path in ADAPTERS.rglob("*.py") if "sleep(" in path.read_text()}
    # Lite is a child process of ours and a file, the Edge engine is a lock: no database is asked.
    assert waiting == {"milvus/embedded.py", "qdrant/edge/embedded.py"}
