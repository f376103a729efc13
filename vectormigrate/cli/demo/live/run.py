"""`vectormigrate demo --live`: an application that never stops, a live migration under kills, there and back, and a
comparison of every record with what the application did. Everything it shows, it did."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from rich.text import Text

from vectormigrate.cli.demo.live.checker import Verdict, check
from vectormigrate.cli.demo.live.collection import COLLECTION, read_milvus, read_qdrant
from vectormigrate.cli.demo.live.history import READS, Operation, Outcome, counted_by, read_history
from vectormigrate.cli.demo.live.measured import Spans, added_read, added_write, longest_pause
from vectormigrate.cli.demo.live.processes import Child, Stage
from vectormigrate.cli.demo.place import prepare
from vectormigrate.cli.render.console import document, show
from vectormigrate.config.settings import load_settings
from vectormigrate.errors import MigrationFailed, MissingExtra, VectorMigrateError
from vectormigrate.figures import counted, duration, milliseconds, plural
from vectormigrate.model.live import LiveStatus
from vectormigrate.model.status import Phase
from vectormigrate.service import Service, open_service

MIGRATION = "shop"
RECORDS = 4000
WRITES, READS_PER_SECOND = 40.0, 40.0
DEADLINE = "3"
"""Seconds after which a request of the demo has taken effect or never will, on either side."""

COPY_RATE = 500
"""Records per second of the copy: slow enough to be met half-way on any machine."""

DIRECT_SECONDS = 5.0
STEADY_SECONDS = 5.0
AFTER_SWITCH_SECONDS = 5.0
WAIT_SECONDS = 60.0
POLL_SECONDS = 0.1
MODULES = ("milvus", "pymilvus", "qdrant_client", "qdrant_edge", "starlette", "uvicorn", "grpc")


@dataclass(slots=True)
class Told:
    """What happened, apart from the history."""

    spans: Spans = field(default_factory=Spans)
    killed: list[str] = field(default_factory=list[str])
    max_lag: float = 0.0
    cut_over: bool = False
    reversed: bool = False
    stopped_by: str = ""
    authority: Verdict | None = None
    other: Verdict | None = None


class LiveDemo:
    """One performance. With `as_json` it is silent until the document at the end."""

    def __init__(self, folder: Path, records: int, as_json: bool) -> None:
        self._records = records
        self._json = as_json
        self._stage = Stage(folder, MIGRATION)
        self._told = Told()
        self._step = 0
        self._last: LiveStatus | None = None
        self._started = time.monotonic()

    async def run(self) -> int:
        """0 when both switches were made and every record is right, else 1."""
        told = self._told
        async with self._stage as stage:
            self._say(f"Start a Milvus server with {counted(self._records)} records and a Qdrant server with none")
            await stage.open_servers(self._records)
            async with open_service(load_settings(state=stage.state)) as service, anyio.create_task_group() as tasks:
                tasks.start_soon(self._watch_lag, service)
                try:
                    await self._perform(service)
                except VectorMigrateError as error:
                    told.stopped_by = str(error)
                    self._tell(f"stopped: {error}")
                tasks.cancel_scope.cancel()
            operations = await self._compare()
        found = self._document(operations)
        if self._json:
            document(found)
        else:
            self._farewell(found)
        return 0 if self._clean() else 1

    def _clean(self) -> bool:
        told = self._told
        sides = (told.authority, told.other)
        proved = all(side is not None and side.clean for side in sides)
        return proved and told.cut_over and told.reversed and not told.stopped_by

    def _say(self, text: str) -> None:
        self._step += 1
        if not self._json:
            show(Text(f"\n{self._step}. {text}", style="bold cyan"))

    def _tell(self, text: str) -> None:
        if not self._json:
            seconds = time.monotonic() - self._started
            show(f"{duration(seconds).rjust(12)}  {text}")

    # The performance

    async def _perform(self, service: Service) -> None:
        stage, spans = self._stage, self._told.spans
        self._say("Start the application: pymilvus, straight at the source")
        await stage.start_traffic(self._records, WRITES, READS_PER_SECOND)
        begin = time.monotonic()
        await anyio.sleep(DIRECT_SECONDS)
        spans.direct = (begin, time.monotonic())

        self._say("Begin the migration and its gateway, and point the application at the gateway")
        runner = stage.start("migrate", *self._migrate_words())
        gateway = stage.start("gateway", "gateway", MIGRATION)
        await self._until("the gateway to answer", lambda: self._answers(gateway), runner, gateway)
        addresses = (await stage.traffic.ask("repoint", folder=str(stage.live)))["addresses"]
        await self._ordered("fenced")
        self._tell(f"the application now uses {addresses['source']}, and {addresses['target']} after the cut-over")

        self._say("Kill the copy half-way, the applier at work, and the gateway; start each again")
        await self._until("half of the copy", lambda: self._half_copied(service), runner, gateway)
        runner = await self._kill_runner(runner, "copy", service)
        await self._until("the copy to end", lambda: self._copied(service), runner, gateway)
        runner = await self._kill_runner(runner, "applier", service)
        await self._until("the migration to be ready", lambda: self._ready(service), runner, gateway)
        gateway = await self._kill_gateway(gateway)
        await self._until("the gateway to answer", lambda: self._answers(gateway), runner, gateway)
        await self._until("the migration to be ready", lambda: self._ready(service), runner, gateway)
        begin = time.monotonic()
        await anyio.sleep(STEADY_SECONDS)
        spans.steady = (begin, time.monotonic())

        await self._switch("cutover", "target", service, runner, gateway)
        self._told.cut_over = True
        await self._switch("reverse", "source", service, runner, gateway)
        self._told.reversed = True
        await self._end(service, runner, gateway)

    def _migrate_words(self) -> list[str]:
        stage = self._stage
        ends = (("source", "milvus", stage.source), ("target", "qdrant", stage.target))
        named = [
            word
            for side, kind, url in ends
            for word in (f"--{side}-type", kind, f"--{side}-url", url, f"--{side}-collection", COLLECTION)
        ]
        deadlines = ["--source-deadline", DEADLINE, "--target-deadline", DEADLINE]
        pace = ["--rate-limit", str(COPY_RATE), "--batch-size", "100"]
        return [
            "migrate",
            MIGRATION,
            *named,
            "--target-option",
            "prefer_grpc=false",
            "--live",
            "--fenced",
            *deadlines,
            *pace,
        ]

    async def _kill_runner(self, runner: Child, what: str, service: Service) -> Child:
        status = await service.status(MIGRATION)
        await runner.kill()
        self._told.killed.append(what)
        self._tell(f"SIGKILL to the {what}, process {runner.pid}, at {counted(status.migrated_records)} records copied")
        return self._stage.start("resume", "resume", MIGRATION)

    async def _kill_gateway(self, gateway: Child) -> Child:
        await gateway.kill()
        self._told.killed.append("gateway")
        self._tell(f"SIGKILL to the gateway, process {gateway.pid}")
        return self._stage.start("gateway", "gateway", MIGRATION)

    async def _switch(self, verb: str, side: str, service: Service, runner: Child, gateway: Child) -> None:
        name = {"source": "Milvus", "target": "Qdrant"}[side]
        self._say(f"{'Cut over' if verb == 'cutover' else 'Reverse'}: the application moves to {name} by itself")
        begin = time.monotonic()
        await self._ordered(verb)
        await anyio.sleep(AFTER_SWITCH_SECONDS / 2)
        self._told.spans.switches.append((begin, time.monotonic()))
        stale = (await self._stage.traffic.ask("stale"))["outcome"]
        self._tell(f"a write to the old side, as of an instance that missed the switch: {stale}")
        if stale != Outcome.REFUSED:
            raise MigrationFailed(f"a write to the side without authority ended with {stale!r} instead of a refusal")
        await anyio.sleep(AFTER_SWITCH_SECONDS / 2)
        await self._until("the other side to follow", lambda: self._ready(service), runner, gateway)

    async def _end(self, service: Service, runner: Child, gateway: Child) -> None:
        self._say("Stop the application, let the other side follow, and end the migration")
        await self._stage.traffic.ask("stop")
        await self._until("the last change to be applied", lambda: self._drained(service), runner, gateway)
        await self._ordered("abort", "--force")
        await runner.wait(WAIT_SECONDS)
        await gateway.stop()

    async def _ordered(self, verb: str, *flags: str) -> None:
        code, answer = await self._stage.command(verb, MIGRATION, *flags)
        if code:
            raise MigrationFailed(f"`{verb}` ended with code {code}: {answer}")

    # Conditions

    async def _until(self, what: str, true: Callable[[], Awaitable[bool]], *children: Child) -> None:
        """Wait for a condition, while these processes run. Raises MigrationFailed when it takes too long."""
        begin = time.monotonic()
        while not await true():
            for child in children:
                child.check()
            if time.monotonic() - begin > WAIT_SECONDS:
                unmet = [] if self._last is None else [item.reason for item in self._last.gate if not item.met]
                raise MigrationFailed(f"waited {duration(WAIT_SECONDS)} for {what}: {'; '.join(unmet)}")
            await anyio.sleep(POLL_SECONDS)
        self._tell(f"{what}: after {duration(time.monotonic() - begin)}")

    async def _answers(self, gateway: Child) -> bool:
        """Whether this gateway has written its file, not the one before it."""
        try:
            found = json.loads(await anyio.Path(self._stage.live / "gateway.json").read_text())
        except (OSError, json.JSONDecodeError):
            return False
        return found["pid"] == gateway.pid

    async def _half_copied(self, service: Service) -> bool:
        status = await service.status(MIGRATION)
        return 2 * status.migrated_records >= self._records

    async def _live(self, service: Service) -> LiveStatus:
        found = await service.live_status(MIGRATION)
        if found is None:
            raise MigrationFailed("the migration of the demo is not live")
        self._last = found
        return found

    async def _copied(self, service: Service) -> bool:
        return (await service.status(MIGRATION)).phase is Phase.LIVE

    async def _ready(self, service: Service) -> bool:
        return (await self._live(service)).ready

    async def _drained(self, service: Service) -> bool:
        status = await self._live(service)
        return not (status.dirty or status.under_way or status.scopes)

    async def _watch_lag(self, service: Service) -> None:
        while True:
            with suppress(VectorMigrateError):
                live = await self._live(service)
                self._told.max_lag = max(self._told.max_lag, live.lag)
            await anyio.sleep(5 * POLL_SECONDS)

    # The proof

    async def _compare(self) -> list[Operation]:
        """Every record of both sides with the history, read with the vendors' clients past everything of ours."""
        stage, told = self._stage, self._told
        self._say("Compare every record of both sides with what the application did")
        with suppress(VectorMigrateError):
            await stage.traffic.ask("stop")
        with stage.history.open("rb") as file:
            operations = read_history(file)
        for name, read, url in (("authority", read_milvus, stage.source), ("other", read_qdrant, stage.target)):
            try:
                rows = await anyio.to_thread.run_sync(read, url)
            except Exception as error:
                told.stopped_by = told.stopped_by or f"{name} could not be read: {error}"
                continue
            setattr(told, name, check(self._records, operations, rows))
        return operations

    def _document(self, operations: list[Operation]) -> dict[str, Any]:
        told, spans = self._told, self._told.spans
        sides = [side for side in (told.authority, told.other) if side is not None]
        counts = counted_by(operations)
        return {
            "operations": len(operations),
            "reads": sum(item.kind in READS for item in operations),
            "writes": sum(item.kind not in READS for item in operations),
            "refused": counts[Outcome.REFUSED],
            "unknown": counts[Outcome.UNKNOWN],
            "compared": sum(side.compared for side in sides),
            **{name: sum(getattr(side, name) for side in sides) for name in WRONG},
            "longest_write_pause_ms": longest_pause(operations, spans, reads=False),
            "longest_read_pause_ms": longest_pause(operations, spans, reads=True),
            "added_read_ms_p50": added_read(operations, spans),
            "added_write_ms_p50": added_write(operations, spans),
            "max_lag_s": round(told.max_lag, 2),
            "kills": len(told.killed),
            "killed": told.killed,
            "cut_over": told.cut_over,
            "reversed": told.reversed,
            "stopped_by": told.stopped_by,
            "examples": [text for side in sides for text in side.examples],
            "seconds": round(time.monotonic() - self._started, 1),
        }

    def _farewell(self, found: dict[str, Any]) -> None:
        for name, side in (("source", self._told.authority), ("target", self._told.other)):
            if side is not None:
                wrong = ", ".join(f"{getattr(side, word)} {word}" for word in WRONG)
                show(f"{name}: {plural(side.compared, 'id')} compared; {wrong}")
                for text in side.examples:
                    show(f"  {text}")
        show(
            f"{counted(found['writes'])} writes and {counted(found['reads'])} reads, {found['refused']} refused, "
            f"{found['unknown']} of unknown outcome; {plural(found['kills'], 'kill')}",
            f"around the switches, the longest pause: {_ms(found['longest_write_pause_ms'])} of writes, "
            f"{_ms(found['longest_read_pause_ms'])} of reads",
            f"the gateway adds {_ms(found['added_write_ms_p50'])} to a write and {_ms(found['added_read_ms_p50'])} "
            f"to a read (p50); the longest lag was {duration(found['max_lag_s'])}",
        )
        text = "Nothing was lost, doubled, brought back or altered" if self._clean() else "The demo FAILED"
        show(Text(f"\n{text}; {duration(found['seconds'])}.", style="bold"))


WRONG = ("lost", "doubled", "resurrected", "altered")


def _ms(value: float | None) -> str:
    return "an unknown time" if value is None else milliseconds(value)


async def run_live_demo(records: int, directory: Path, json_output: bool) -> int:
    """Perform the demo in `directory`, with at most so many records at the start. Returns the exit code. Raises
    ConfigError, and MissingExtra without its packages."""
    for module in MODULES:
        if find_spec(module) is None:
            raise MissingExtra("demo --live", "live-demo", module)
    # Its tracebacks of calls that failed are no part of the story.
    logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
    prepare(directory)
    folder = Path(await anyio.Path(directory).absolute())
    return await LiveDemo(folder, min(records, RECORDS), json_output).run()
