"""The processes of the demo: two servers, the application, and the commands of the migration. Each is ended by its own
process id, and dies with the demo where the system can do that."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Self

import anyio
import anyio.to_thread
import orjson
import psutil

from vectormigrate.cli.demo.live.collection import create_on_milvus
from vectormigrate.cli.demo.live.standalone import die_with_parent, standalone, unpack
from vectormigrate.cli.demo.live.traffic import Settings
from vectormigrate.errors import MigrationFailed
from vectormigrate.figures import duration

MODULE = "vectormigrate.cli.demo.live"
GRACE_SECONDS = 10


class Child:
    """A process of ours, whose output is in a log."""

    def __init__(self, name: str, words: Sequence[str], folder: Path, environment: Mapping[str, str]) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **environment},
                start_new_session=True,
                preexec_fn=die_with_parent,
            )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    @property
    def ended(self) -> int | None:
        """The exit code, None while it runs."""
        return self.process.poll()

    def check(self) -> None:
        """Raise MigrationFailed if it has ended, with the end of its log."""
        if self.ended is not None:
            raise MigrationFailed(f"the {self.name} ended with code {self.ended}: {self.last_words()}")

    def last_words(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        return " | ".join(lines[-3:]) or "it wrote nothing"

    async def kill(self) -> None:
        """SIGKILL, and wait for its end."""
        self.process.kill()
        await anyio.to_thread.run_sync(self.process.wait)

    async def stop(self) -> int:
        """Ask it to end, and kill it if it does not; returns the exit code."""
        if self.ended is None:
            self.process.terminate()
        return await self.wait(GRACE_SECONDS)

    async def wait(self, seconds: float) -> int:
        """Its exit code; it is killed after this time."""
        try:
            return await anyio.to_thread.run_sync(self.process.wait, seconds)
        except subprocess.TimeoutExpired:
            await self.kill()
            return -signal.SIGKILL


class Speaking:
    """A process that answers in lines on its standard output and ends with its standard input."""

    def __init__(self, process: asyncio.subprocess.Process, name: str) -> None:
        self.process = process
        self._name = name

    @classmethod
    async def start(cls, module: str, argument: str, log: IO[bytes]) -> Speaking:
        """`python -m` this module with one argument."""
        words = [sys.executable, "-m", module, argument]
        pipe = subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            *words, stdin=pipe, stdout=pipe, stderr=log, start_new_session=True
        )
        return cls(process, module.rpartition(".")[2])

    async def line(self, seconds: float = 60) -> bytes:
        """The next line. Raises MigrationFailed when it ends, or takes longer."""
        assert self.process.stdout is not None
        with anyio.move_on_after(seconds):
            line = await self.process.stdout.readline()
            if line:
                return line
        raise MigrationFailed(f"the {self._name} does not answer; its log is next to the others")

    async def ask(self, order: str, **values: object) -> dict[str, Any]:
        """Send an order and wait for its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(orjson.dumps({"do": order, **values}) + b"\n")
        return orjson.loads(await self.line())

    async def stop(self) -> None:
        """Close its input and wait for its end."""
        assert self.process.stdin is not None
        if self.process.returncode is None:
            self.process.stdin.close()
            with anyio.move_on_after(GRACE_SECONDS):
                await self.process.wait()
            if self.process.returncode is None:
                self.process.kill()
                await self.process.wait()


class Stage:
    """Servers, application and commands, all in one folder. Use it as a context."""

    def __init__(self, folder: Path, migration: str) -> None:
        self.folder = folder
        self.migration = migration
        self.source = ""
        self.target = ""
        self.history = folder / "history.jsonl"
        self._logs = folder / "logs"
        self._stack = AsyncExitStack()
        self._children: list[Child] = []
        self._traffic: Speaking | None = None

    async def __aenter__(self) -> Self:
        self._logs.mkdir()
        return self

    async def __aexit__(self, *error: object) -> None:
        with anyio.CancelScope(shield=True):
            for child in reversed(self._children):
                await child.stop()
            self._end_envoy()
            await self._stack.aclose()

    def _end_envoy(self) -> None:
        """The one that a killed gateway left to a next one, if there was none."""
        try:
            process = psutil.Process(orjson.loads((self.live / "envoy" / "envoy.pid").read_bytes())["pid"])
            if any(str(self.live) in word for word in process.cmdline()):
                process.kill()
        except (OSError, ValueError, psutil.Error):  # no file, or a torn one
            return

    @property
    def state(self) -> Path:
        """The state file."""
        return self.folder / "state.db"

    @property
    def live(self) -> Path:
        """The folder of the live migration."""
        return Path(f"{self.state}.live") / self.migration

    async def open_servers(self, records: int) -> None:
        """The Milvus server with its collection, and the Qdrant server, which is empty."""
        front = await self._speaking("front", str(self.folder / "target"))
        binaries = await anyio.to_thread.run_sync(unpack, self.folder / "milvus")
        data = self.folder / "source"
        data.mkdir()
        # From this thread: its end, not only the process's, would be the server's.
        self.source = self._stack.enter_context(standalone(data, binaries))
        self.target = (await front.line()).decode().strip()
        await anyio.to_thread.run_sync(create_on_milvus, self.source, records)

    async def start_traffic(self, records: int, writes: float, reads: float) -> None:
        """The application, straight at the source."""
        settings = Settings(
            history=str(self.history),
            source=self.source,
            target=self.target,
            initial=records,
            writes=writes,
            reads=reads,
        )
        self._traffic = await self._speaking("traffic", orjson.dumps(asdict(settings)).decode())
        await self._traffic.line()

    @property
    def traffic(self) -> Speaking:
        """The application."""
        assert self._traffic is not None
        return self._traffic

    async def _speaking(self, module: str, argument: str) -> Speaking:
        log = self._stack.enter_context((self._logs / f"{module}.log").open("ab"))
        found = await Speaking.start(module if "." in module else f"{MODULE}.{module}", argument, log)
        self._stack.push_async_callback(found.stop)
        return found

    def start(self, name: str, *words: str) -> Child:
        """A command that runs until it is ended, or ends by itself."""
        child = Child(name, self._command(*words), self._logs, self._environment)
        self._children.append(child)
        return child

    async def command(self, *words: str, seconds: float = 60) -> tuple[int, dict[str, Any]]:
        """Run a command to its end; returns its exit code and the object that it printed. Raises MigrationFailed when
        it takes longer."""
        process = await asyncio.create_subprocess_exec(
            *self._command(*words, "--json"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **self._environment},
            start_new_session=True,
        )
        try:
            with anyio.fail_after(seconds):
                printed, errors = await process.communicate()
        except TimeoutError as error:
            raise MigrationFailed(f"`vectormigrate {' '.join(words)}` did not end in {duration(seconds)}") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        with (self._logs / "commands.log").open("ab") as log:
            log.write(f"{' '.join(words)} -> {process.returncode}\n".encode() + printed + errors)
        try:
            found = orjson.loads(printed)
        except orjson.JSONDecodeError:
            found = {"error": errors.decode(errors="replace").strip()}
        return process.returncode or 0, found if isinstance(found, dict) else {"answer": found}

    @property
    def _environment(self) -> dict[str, str]:
        return {"VECTORMIGRATE_STATE": str(self.state)}

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "vectormigrate", *words]
