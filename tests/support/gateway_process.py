"""`vectormigrate gateway` as a process, before a server of the test, for a live migration that is planned here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import httpx

from vectormigrate.capture.folder import LiveFolder, live_folder
from vectormigrate.capture.journal.connection import Connection, connect, make
from vectormigrate.capture.journal.phase import move, position
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Side
from vectormigrate.capture.phases import LivePhase
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint, Settings
from vectormigrate.model.clock import steady_milliseconds
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.plan import RunOptions
from vectormigrate.service import open_service
from vectormigrate.state.store import open_store

SECONDS = 60.0
"""How long a condition may take to come true on a busy machine."""

CAPTURING = (LivePhase.CAPTURING, LivePhase.BACKFILL, LivePhase.CATCH_UP, LivePhase.READY)
FLIP = (LivePhase.FREEZING, LivePhase.DRAINING, LivePhase.VERIFYING, LivePhase.FLIPPED)


def eventually(true: Callable[[], Any], about: object = "") -> Any:
    """What `true` returns once that is not empty."""
    until = time.monotonic() + SECONDS
    while not (found := true()):
        assert time.monotonic() < until, about
        time.sleep(0.02)
    return found


@dataclass(slots=True)
class GatewayProcess:
    """A running gateway and the lines that it printed."""

    process: subprocess.Popen[str]
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    errors: list[str] = field(default_factory=list[str])
    readers: list[threading.Thread] = field(default_factory=list[threading.Thread])

    def event(self, kind: str) -> dict[str, Any]:
        """The first event of this kind, once it is there."""

        def found() -> dict[str, Any] | None:
            here = next((event for event in self.events if event["event"] == kind), None)
            assert here is not None or self.process.poll() is None, "".join(self.errors)
            return here

        return eventually(found, self.events)

    def port(self, name: str) -> str:
        """The address of a port."""
        return next(port["address"] for port in self.event("started")["ports"] if port["name"] == name)

    @property
    def http(self) -> str:
        """The URL of its own pages."""
        return self.event("started")["http"]

    def end(self, number: int = signal.SIGTERM) -> int:
        """Its exit code after this signal."""
        self.process.send_signal(number)
        return self.ended()

    def ended(self) -> int:
        """Its exit code, once it has ended and all that it printed is here."""
        code = self.process.wait(SECONDS)
        for reader in self.readers:
            reader.join(SECONDS)
        return code


@dataclass(slots=True, kw_only=True)
class LiveMigration:
    """A live migration that is planned, without a runner; the test enters the phases."""

    state: Path
    id: str
    folder: LiveFolder
    journal: Connection

    def keys(self, side: Side = Side.SOURCE) -> TouchedKeys:
        """As the runner sees them."""
        return TouchedKeys(self.journal, side, steady_milliseconds)

    def dirty(self, side: Side = Side.SOURCE) -> set[str]:
        """The ids that are dirty, as text."""
        return {str(each.key.id) for each in self.keys(side).dirty(10_000)}

    def go(self, *phases: LivePhase, **evidence: object) -> None:
        """Enter these phases one after another."""
        for phase in phases:
            with self.journal.transaction():
                move(self.journal, position(self.journal).phase, phase, evidence)

    @property
    def phase(self) -> LivePhase:
        """Now."""
        with self.journal.snapshot():
            return position(self.journal).phase

    def taints(self) -> list[str]:
        """Reasons."""
        with self.journal.snapshot():
            return [reason for _, reason in self.journal.rows("taints")]

    @contextmanager
    def gateway(self, *flags: str, env: Mapping[str, str] | None = None) -> Generator[GatewayProcess]:
        """A gateway; whatever is left of it and its Envoy ends with the context."""
        running = start(self.state, self.id, *flags, env=env)
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.process.terminate()
            running.ended()
            self.end_envoy()

    def envoy(self) -> int | None:
        """The number of Envoy's process, None when it has ended in order."""
        try:
            return int(json.loads((self.folder.envoy / "envoy.pid").read_bytes())["pid"])
        except FileNotFoundError:
            return None

    def end_envoy(self) -> None:
        """As an operator would."""
        number = self.envoy()
        if number is not None:
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                return


def start(state: Path, migration_id: str, *flags: str, env: Mapping[str, str] | None = None) -> GatewayProcess:
    """The process, not waited for."""
    command = [sys.executable, "-m", "vectormigrate", "gateway", migration_id, "--state", str(state), "--json", *flags]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **(env or {})},
    )
    running = GatewayProcess(process)

    def read_events() -> None:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                running.events.append(json.loads(line))

    def read_errors() -> None:
        assert process.stderr is not None
        with process.stderr as lines:
            running.errors.extend(lines)

    for reader in (read_events, read_errors):
        running.readers.append(threading.Thread(target=reader, daemon=True))
        running.readers[-1].start()
    return running


async def _plan(state: Path, source: Endpoint, target: Endpoint, live: LiveOptions) -> str:
    settings = Settings(state=state, config=None)
    async with open_service(settings) as service:
        plan = await service.plan(MigrationRequest(id="docs", source=source, target=target))
    folder = live_folder(state, "docs")
    make(folder.journal, "docs")
    journal = connect(folder.journal, "docs", durable=False)
    identity = str(journal.row("load_journal")[1])
    journal.close()
    async with open_store(state) as store:
        await store.live.create(plan, RunOptions(), live, folder=folder.path, journal=identity)
    return identity


@contextmanager
def live_migration(
    state: Path, source: Endpoint, target: Endpoint, *, deadline: float = 60.0
) -> Generator[LiveMigration]:
    """Planned as `docs`, in phase preflight."""
    live = LiveOptions(source_deadline=deadline, target_deadline=deadline, fenced=True)
    anyio.run(_plan, state, source, target, live)
    folder = live_folder(state, "docs")
    journal = connect(folder.journal, "docs", durable=True)
    try:
        yield LiveMigration(state=state, id="docs", folder=folder, journal=journal)
    finally:
        journal.close()


def request(method: str, url: str, body: Any = None, **more: Any) -> httpx.Response:
    """A request over a connection of its own."""
    return httpx.request(method, url, json=body, timeout=more.pop("timeout", 20), **more)
