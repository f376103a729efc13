"""A live migration in one process: collections in memory, an application that writes through the journal, a runner."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from vectormigrate import Endpoint, MigrationRequest
from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.journal.connection import connect
from vectormigrate.capture.journal.intents import Intents, Session
from vectormigrate.capture.journal.records import Admitted, Held, Intent, Outcome, Refused
from vectormigrate.capture.keys import Key, Side
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import MigrationNotFound
from vectormigrate.model.batch import DenseColumn, RecordBatch
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.live import LiveOptions, LiveStatus
from vectormigrate.model.schema import CollectionSchema, DType, Metric, VectorField, VectorKind
from vectormigrate.service import Service, open_service

FIELD = VectorField(name="v", kind=VectorKind.DENSE, dim=4, metric=Metric.L2, dtype=DType.FLOAT32)
QUICK = LiveOptions(fenced=True, source_deadline=0.2, target_deadline=0.2)


def batch(ids: list[Any], value: int) -> RecordBatch:
    """Records that hold this value."""
    vectors = DenseColumn(np.array([[hash(str(item)) % 97, value % 89, 1, 2] for item in ids], np.float32))
    return RecordBatch("", ids, {"v": vectors}, [{"n": value} for _ in ids])


@dataclass(slots=True)
class App:
    """An application that marks each write and follows the authority. `history`: the value of each key, None when
    deleted; `refused` counts writes that came to the wrong side."""

    intents: Intents
    sides: dict[Side, RetryingTarget]
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    history: dict[Any, int | None] = field(default_factory=dict[Any, int | None])
    side: Side = Side.SOURCE
    written: int = 0
    refused: int = 0
    longest: float = 0.0
    one: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def admit(self, *arguments: Any) -> Any:
        """As Intents.admit; the connection is that of the beat, too."""
        async with self.one:
            return await asyncio.to_thread(self.intents.admit, *arguments)

    async def write(self, ids: list[Any], *, deletes: bool = False, content: RecordBatch | None = None) -> None:
        """One request, held while the journal holds it, sent again to the other side when it is refused. `content`:
        these records, else some that hold the number of the request."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        intent = partial(Intent, keys=[Key("", item) for item in ids], deletes=deletes)
        while True:
            (admission,) = await self.admit([intent(side=self.side)])
            match admission:
                case Held():
                    await asyncio.sleep(0.01)
                case Refused():
                    self.refused += 1
                    self.side = self.side.other
                case _:
                    break
        self.longest = max(self.longest, loop.time() - began)
        self.written += 1
        value, there = self.written, self.sides[self.side]
        if deletes:
            await there.delete(ids, "")
        else:
            await there.upsert(content or batch(ids, value))
        self.history |= dict.fromkeys(ids, None if deletes else value)
        if isinstance(admission, Admitted):
            outcome = Outcome(seq=admission.seq, side=self.side, definite=True)
            await self.admit([], [outcome])

    @asynccontextmanager
    async def traffic(self, make_id: Callable[[int], RecordId], among: int) -> AsyncGenerator[None]:
        """Writes to few keys next to the block; the last one is ended, since half a one is under way for ever."""
        over = False

        async def writing() -> None:
            while not over:
                ids = [make_id(n) for n in self.chance.sample(range(among), self.chance.randint(1, 5))]
                await self.write(ids, deletes=self.chance.random() < 0.3)
                await asyncio.sleep(0.002)

        task = asyncio.create_task(writing())
        try:
            yield
        finally:
            over = True
            await task


@dataclass(slots=True, kw_only=True)
class Play:
    """Everything that takes part."""

    service: Service
    request: MigrationRequest
    state: Path
    source: RetryingTarget
    target: RetryingTarget
    app: App | None = None

    async def live(self) -> LiveStatus:
        """As `status` shows it."""
        found = await self.service.live_status(self.request.id)
        assert found is not None
        return found

    async def until(self, reached: Callable[[LiveStatus], bool]) -> LiveStatus:
        """Until it is so."""
        while True:
            with contextlib.suppress(MigrationNotFound):  # it is still being planned
                found = await self.live()
                if reached(found):
                    return found
            await asyncio.sleep(0.05)

    async def records(self, collection: RetryingTarget) -> dict[Any, int]:
        """What a collection holds: the value of each id."""
        found: dict[Any, int] = {}
        for partition in await collection.partitions(1):
            async for page in collection.scan(partition):
                found |= {
                    item: int(str(metadata["n"]))
                    for item, metadata in zip(page.batch.ids, page.batch.metadata, strict=True)
                }
        return found


@asynccontextmanager
async def playing(
    folder: Path,
    name: str,
    ids: list[Any],
    kind: IdKind = IdKind.INT64,
    *,
    profile: str | None = None,
    source_profile: str | None = None,
) -> AsyncGenerator[Play]:
    """A source with these ids, a target that is not made yet, with the limits of these profiles."""
    ends = [Endpoint(type="memory", url=f"memory://{name}-{side}", collection="c") for side in ("source", "target")]
    for number, limits in enumerate((source_profile, profile)):
        if limits is not None:
            ends[number] = replace(ends[number], options={"profile": limits})
    request = MigrationRequest(id="m", source=ends[0], target=ends[1])
    state = folder / "state.db"
    async with (
        open_endpoint(ends[0]) as source,
        open_endpoint(ends[1]) as target,
        open_service(state=state) as service,
    ):
        await source.create(CollectionSchema(name="c", id_kinds=frozenset({kind}), vectors=(FIELD,)))
        await source.upsert(batch(ids, 0))
        yield Play(service=service, request=request, state=state, source=source, target=target)


@asynccontextmanager
async def gateway(play: Play) -> AsyncGenerator[App]:
    """What the gateway process does for the journal, and the application before it."""
    path = live_folder(play.state, play.request.id).journal
    while not path.exists():  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    connection = connect(path, play.request.id, durable=True)
    intents = Intents(connection, steady_milliseconds)
    session = intents.begin_session(fail_open=False)
    app = App(intents, {Side.SOURCE: play.source, Side.TARGET: play.target})
    beating = asyncio.create_task(_beat(app, session))
    play.app = app
    try:
        yield app
    finally:
        beating.cancel()
        await asyncio.gather(beating, return_exceptions=True)
        intents.end_session(session)
        connection.close()


async def _beat(app: App, session: Session) -> None:
    while True:
        async with app.one:
            await asyncio.to_thread(app.intents.beat, session)
            await asyncio.to_thread(app.intents.end_doubts, 200)
        await asyncio.sleep(0.3)


@asynccontextmanager
async def running(work: Awaitable[Any]) -> AsyncGenerator[asyncio.Future[Any]]:
    """The work next to the block, cancelled at its end."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    except Exception as error:
        if task.done() and not task.cancelled() and task.exception() is not None:
            error.add_note(f"the work next to it had ended: {task.exception()!r}")
        raise
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
