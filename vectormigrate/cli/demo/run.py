"""`vectormigrate demo`: build, plan, copy, kill, resume, prove, report. Everything it shows, it did."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import anyio
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from vectormigrate.cli.demo.build import build
from vectormigrate.cli.demo.corpus import documents
from vectormigrate.cli.demo.place import prepare
from vectormigrate.cli.inputs import program
from vectormigrate.cli.render.console import document, err, pairs, show
from vectormigrate.cli.render.documents import plan_document, status_document
from vectormigrate.cli.render.plan import show_plan
from vectormigrate.cli.render.progress import display
from vectormigrate.cli.render.report import show_report
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint, load_settings
from vectormigrate.errors import LossNotAccepted, MigrationFailed
from vectormigrate.figures import counted, duration, plural
from vectormigrate.model.status import MigrationStatus, Status
from vectormigrate.service import Service, open_service
from vectormigrate.validation.report import html_report, report_to_json

MIGRATION = "demo"
COLLECTION = "docstrings"
RATE_LIMIT = 1500
"""Records per second of the run that is killed: slow enough to be met half-way on any machine."""
KILL_SECONDS = 120
QUERIES = 50


@dataclass(frozen=True, slots=True)
class Place:
    """The demo's folder."""

    folder: Path

    @property
    def state(self) -> Path:
        """The state file."""
        return self.folder / "state.db"

    @property
    def source(self) -> Endpoint:
        """The collection that is built."""
        return Endpoint(type="milvus", url=str(self.folder / "source.db"), collection=COLLECTION)

    @property
    def target(self) -> Endpoint:
        """The collection that it is migrated to."""
        return Endpoint(type="qdrant_edge", url=str(self.folder / "target"), collection=COLLECTION)

    def command(self, *words: str) -> str:
        """A command line for people to copy."""
        return shlex.join([*program(), *words, "--state", str(self.state)])

    def ends(self, source: Endpoint, target: Endpoint) -> list[str]:
        """The flags that name both ends."""
        sides = (("source", source), ("target", target))
        return [
            word
            for side, end in sides
            for word in (
                f"--{side}-type",
                end.type,
                f"--{side}-url",
                end.url,
                f"--{side}-collection",
                end.collection,
            )
        ]


class Demo:
    """One performance. With `as_json` it is silent until the document at the end."""

    def __init__(self, place: Place, records: int, as_json: bool) -> None:
        self._place = place
        self._records = records
        self._json = as_json
        self._step = 0
        self._started = time.monotonic()

    async def run(self) -> int:
        """0 when every record was proved, 3 when not."""
        prepare(self._place.folder)
        counts = await self._build()
        async with open_service(load_settings(state=self._place.state)) as service:
            self._say("Plan: what will happen, and what the target cannot hold as it is")
            plan = await service.plan(
                MigrationRequest(id=MIGRATION, source=self._place.source, target=self._place.target)
            )
            if not self._json:
                show_plan(plan)
            if plan.unaccepted:
                raise LossNotAccepted(plan.refused)
            killed = await self._copy_and_kill(service)
            self._say("Resume it in a new process")
            status = await self._resume(service)
            self._say("Compare every record of both sides, both ways, and the answers to the same searches")
            with display() as shown:
                report = await service.validate(MIGRATION, full=True, queries=QUERIES, listener=shown.listen)
            page = self._place.folder / "report.html"
            await anyio.Path(page).write_text(html_report(report, status, plan), encoding="utf-8")
        if self._json:
            document(
                {
                    "records": counts,
                    "plan": plan_document(plan),
                    "killed_at": asdict(killed),
                    "status": status_document(status, {}),
                    "validation": report_to_json(report),
                    "seconds": round(time.monotonic() - self._started, 1),
                }
            )
        else:
            show_report(report, plan.losses)
            self._farewell(killed, status, page)
        return 0 if report.passed else 3

    def _say(self, text: str) -> None:
        self._step += 1
        if not self._json:
            show(Text(f"\n{self._step}. {text}", style="bold cyan"))

    async def _build(self) -> dict[str, int]:
        self._say("Build a collection in a Milvus Lite file from the docstrings of Python's standard library")
        found = await anyio.to_thread.run_sync(documents, self._records)
        with _bar("writing the source", len(found)) as advance:
            counts = await build(self._place.source, found, advance)
        if not self._json:
            words = ", ".join(f"{counted(n)} in {name or '(default)'}" for name, n in counts.items())
            show(f"{plural(sum(counts.values()), 'record')}: {words}; 256-d embedding, sparse terms, nested metadata")
        return counts

    async def _copy_and_kill(self, service: Service) -> MigrationStatus:
        """Start the migration as a process of its own and kill it once half of the records are settled."""
        self._say("Migrate to a Qdrant Edge folder in another process, and kill that process half-way")
        words = ["migrate", MIGRATION, *self._place.ends(self._place.source, self._place.target)]
        child = await anyio.to_thread.run_sync(
            self._spawn, [*words, "--rate-limit", str(RATE_LIMIT), "--batch-size", "50"]
        )
        try:
            status = await self._await_half(service, child)
            child.send_signal(signal.SIGKILL)
        finally:
            if child.poll() is None:
                child.kill()
            await anyio.to_thread.run_sync(child.wait)
        if not self._json:
            show(
                f"SIGKILL sent to process {child.pid} at {counted(status.migrated_records)} of "
                f"{counted(status.total_records)} records; it ended with code {child.returncode}"
            )
        return await service.status(MIGRATION)

    async def _await_half(self, service: Service, child: subprocess.Popen[bytes]) -> MigrationStatus:
        with _bar("copying", self._records) as advance, anyio.fail_after(KILL_SECONDS):
            seen = 0
            while True:
                known = {status.id: status for status in await service.list()}
                status = known.get(MIGRATION)
                if status is not None:
                    advance(status.migrated_records - seen)
                    seen = status.migrated_records
                    if 2 * seen >= status.total_records and status.status is Status.IN_PROGRESS:
                        return status
                if child.poll() is not None:
                    raise MigrationFailed(f"the demo's migration ended early with code {child.returncode}")
                await anyio.sleep(0.02)

    def _spawn(self, words: list[str]) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "VECTORMIGRATE_STATE": str(self._place.state)}
        command = [sys.executable, "-m", "vectormigrate", *words]
        return subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)

    async def _resume(self, service: Service) -> MigrationStatus:
        words = ["resume", MIGRATION, "--rate-limit", "1000000"]
        child = await anyio.to_thread.run_sync(self._spawn, words)
        code = await anyio.to_thread.run_sync(child.wait)
        if code:
            raise MigrationFailed(f"the demo's resume ended with code {code}")
        status = await service.status(MIGRATION)
        if not self._json:
            show(
                f"{counted(status.migrated_records)} of {counted(status.total_records)} records, "
                f"{counted(status.checked_records)} read back"
            )
        return status

    def _farewell(self, killed: MigrationStatus, status: MigrationStatus, page: Path) -> None:
        place = self._place
        back = Endpoint(type="milvus", url=str(place.folder / "back.db"), collection=COLLECTION)
        seconds = time.monotonic() - self._started
        show(
            Text(
                f"\nKilled at {counted(killed.migrated_records)}, resumed, {counted(status.migrated_records)} of "
                f"{counted(status.total_records)} migrated; all of it in {duration(seconds)}.",
                style="bold",
            )
        )
        show(f"The report as a page: {page}\n\nLook further:")
        show(
            pairs(
                [
                    ("progress", place.command("status", MIGRATION)),
                    ("once more", place.command("validate", MIGRATION, "--full")),
                    ("and back", place.command("migrate", "back", *place.ends(place.target, back))),
                    ("prove it", place.command("validate", "back", "--full")),
                ]
            )
        )


@contextmanager
def _bar(text: str, total: int) -> Generator[Callable[[int], None]]:
    """A progress bar on stderr, when that is a terminal; gives the function that advances it."""
    columns = (TextColumn(text), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err(), disable=not sys.stderr.isatty()) as progress:
        task = progress.add_task(text, total=total)
        yield lambda records: progress.advance(task, records)


async def run_demo(records: int, directory: Path, json_output: bool) -> int:
    """Perform the demo in `directory` with up to `records` records. Returns the exit code; raises ConfigError."""
    return await Demo(Place(directory), records, json_output).run()
