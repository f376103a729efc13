"""A process dies at one place of one request's way to the target; the next one ends with both sides equal."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.capture.live_pair import Live, Wrapped, live
from tests.capture.test_reconcile import reconciler
from tests.live.faults import fault
from tests.validation.support import batch_of, id_of, pair
from vectormigrate.capture.journal.records import Scope
from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.frozen import strict

pytestmark = pytest.mark.anyio

ROWS = [1, 2]
DEADLINE = 60_000
"""Milliseconds after which a request has taken effect, or never will."""


class Killed(BaseException):
    """The process is gone: nothing that it would do about an error is done."""


async def upsert(made: Live) -> None:
    assert not await made.both.source.upsert(batch_of(ROWS, "a", seed=8))


async def delete(made: Live) -> None:
    await made.both.source.delete([id_of(row) for row in ROWS], "a")


async def change_part(made: Live) -> None:
    held = await made.both.source.fetch([id_of(row) for row in ROWS], "a")
    metadata = [{**each, "part": "changed"} for each in held.metadata]
    assert not await made.both.source.upsert(replace(held, metadata=metadata))


REQUESTS: dict[str, tuple[Callable[[Live], Awaitable[None]], bool, bool]] = {
    "upsert": (upsert, False, False),
    "delete": (delete, True, False),
    "partial": (change_part, False, False),
    "change by filter": (change_part, False, True),
    "delete by filter": (delete, True, True),
}
"""What the request does, whether it deletes, and whether it names no keys."""

RUNNER = {
    "read": ("source", ("fetch",), True),
    "to be sent": ("target", ("upsert", "delete"), False),
    "acknowledged": ("target", ("upsert", "delete"), True),
    "looked for": ("source", ("scan",), False),
}
"""Places of the runner: in which verbs of which side, and whether after they were done."""


def dying(true: Any, after: bool) -> Any:
    async def verb(*arguments: Any, **options: Any) -> Any:
        if after:
            await true(*arguments, **options)
        raise Killed

    return verb


def dying_scan(true: Any) -> Any:
    async def scan(*arguments: Any, **options: Any) -> AsyncGenerator[Any]:
        async for page in true(*arguments, **options):
            raise Killed
            yield page

    return scan


async def run(made: Live) -> None:
    """What a runner does until nothing is left to do."""
    assert (await reconciler(made).round()).problems == []
    await made.apply()


@fault(1)
@pytest.mark.parametrize("place", ["noted", "in effect", "answered", *RUNNER])
@pytest.mark.parametrize("request_name", REQUESTS)
async def test_whoever_dies_wherever_both_sides_are_equal_when_the_next_one_is_done(
    tmp_path: Path, request_name: str, place: str
) -> None:
    effect, deletes, by_filter = REQUESTS[request_name]
    async with pair(rows=20) as both, live(both, tmp_path) as made:
        keys = [] if by_filter else [Key("a", id_of(row)) for row in ROWS]
        scopes = [Scope("a", "filter", ids_only=deletes)] if by_filter else []
        seq = made.begin(*keys, deletes=deletes and not by_filter, scopes=scopes)
        if place == "noted":
            made.intents.begin_session(fail_open=False)
            await run(made)
            await effect(made)
        else:
            await effect(made)
            if place == "in effect":
                made.intents.begin_session(fail_open=False)
            else:
                made.end(seq)
        if place in RUNNER:
            side, verbs, after = RUNNER[place]
            inner: Any = getattr(both, side)
            make = dying_scan if verbs == ("scan",) else partial(dying, after=after)
            made.changes[side] = Wrapped(inner, **{verb: make(getattr(inner, verb)) for verb in verbs})
            died = place != "looked for" or by_filter
            with pytest.raises((Killed, BaseExceptionGroup)) if died else nullcontext():
                await run(made)
            made.changes.clear()
        made.now += DEADLINE
        made.intents.end_doubts(DEADLINE)
        await run(made)
        verdict = await strict(made.sides, made.touched)
        assert verdict.passed, verdict.problems
        assert (made.dirty(), made.touched.scopes()) == (set(), [])
