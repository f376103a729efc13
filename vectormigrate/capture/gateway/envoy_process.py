"""Runs Envoy next to this process: started, watched, started again, and found again by the next one of us.

Envoy outlives this process when that is killed, because reads must continue: writes are refused until somebody answers
its questions again. So the next process looks for it and takes it over, with the nonce it was started with.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anyio
import anyio.to_thread
import orjson
import psutil

from vectormigrate.capture.gateway.envoy_config import Gateway, envoy_config, late_config, validate
from vectormigrate.capture.gateway.ports import Port
from vectormigrate.errors import ConfigError

READY_SECONDS = 20.0
LOOK_SECONDS = 0.05
RESTART_SECONDS = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class _Running:
    """An Envoy that was started: process and its time of start, which tells it from another one of the same number."""

    pid: int
    started: float

    def process(self) -> psutil.Process | None:
        """The process, None when it has ended."""
        try:
            process = psutil.Process(self.pid)
            alive = process.create_time() == self.started and process.status() != psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:
            return None
        return process if alive else None


class Envoy:
    """Envoy with these ports, its files in `folder`, its sockets in `sockets` (their paths must be short). `late`:
    those that may come, go and change while it runs."""

    def __init__(
        self, binary: Path, folder: Path, sockets: Path, ports: Sequence[Port], late: Sequence[Port] = ()
    ) -> None:
        self._binary = binary
        self._folder = folder
        self._late = late
        self._config = folder / "envoy.json"
        self._note = folder / "envoy.pid"
        self._log = folder / "envoy.log"
        kept = self._kept_nonce()
        self.gateway = Gateway(
            ports=ports,
            socket=sockets / "ask.sock",
            admin=sockets / "admin.sock",
            nonce=kept or secrets.token_hex(16),
            late=folder,
        )
        self._running: _Running | None = None
        self._child: subprocess.Popen[bytes] | None = None

    def _kept_nonce(self) -> str | None:
        """The nonce of the last configuration, so that an Envoy which still runs can be taken over."""
        try:
            return str(orjson.loads(self._note.read_bytes())["nonce"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def start(self) -> bool:
        """Start it, or take over the one that runs with this configuration; returns whether it was taken over. Raises
        ConfigError when Envoy refuses the configuration."""
        wanted = orjson.dumps(envoy_config(self.gateway), option=orjson.OPT_INDENT_2)
        self.set_late(self._late)
        found = self._left_behind()
        if found is not None:
            if self._config.exists() and self._config.read_bytes() == wanted:
                self._running = found
                return True
            self._end(found)
        self._write(self._config, wanted)
        validate(self._binary, self._config)
        self._spawn()
        return False

    def set_late(self, ports: Sequence[Port]) -> None:
        """Listen on these besides, at once and without a break for the others. Raises ConfigError when Envoy refuses
        their configuration."""
        if ports:
            checked = self._folder / "checked.json"
            self._write(checked, orjson.dumps(envoy_config(replace(self.gateway, ports=ports, late=None))))
            validate(self._binary, checked)
            checked.unlink()
        for name, content in late_config(self.gateway, ports).items():
            self._write(self._folder / name, orjson.dumps(content))

    def _left_behind(self) -> _Running | None:
        try:
            note = orjson.loads(self._note.read_bytes())
            found = _Running(pid=note["pid"], started=note["started"])
        except (OSError, ValueError, KeyError):
            return None
        return found if found.process() is not None else None

    def _spawn(self) -> None:
        command = [self._binary, "-c", self._config, "-l", "warning", "--log-path", self._log]
        command += ["--disable-hot-restart", "--concurrency", str(min(2, os.cpu_count() or 1))]
        # A session of its own: the Ctrl-C that ends us must not cut off what is on its way.
        self._child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        pid = self._child.pid
        self._running = _Running(pid=pid, started=psutil.Process(pid).create_time())
        note = {"pid": pid, "started": self._running.started, "nonce": self.gateway.nonce}
        self._write(self._note, orjson.dumps(note))

    def _write(self, path: Path, content: bytes) -> None:
        """The nonce is a secret of this user."""
        draft = path.with_name(path.name + ".new")
        with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
            file.write(content)
        draft.replace(path)

    async def wait_ready(self) -> None:
        """Until it listens. Raises ConfigError with the end of its log when it does not."""
        with anyio.move_on_after(READY_SECONDS):
            while self.alive():
                if await admin_page(self.gateway.admin, "/ready") is not None:
                    return
                await anyio.sleep(LOOK_SECONDS)
        tail = await anyio.to_thread.run_sync(self._tail)
        raise ConfigError(f"Envoy does not start: {tail}")

    def _tail(self) -> str:
        lines = self._log.read_text("utf-8", "replace").splitlines() if self._log.exists() else []
        return " / ".join(lines[-3:]) or f"no word in {str(self._log)!r}"

    def alive(self) -> bool:
        """Whether the process runs."""
        if self._child is not None:
            self._child.poll()
        return self._running is not None and self._running.process() is not None

    async def watch(self, restarted: Callable[[], None]) -> None:
        """Start it again whenever it has ended, until cancelled."""
        while True:
            await anyio.sleep(RESTART_SECONDS)
            if not self.alive():
                self._spawn()
                restarted()

    def stop(self) -> None:
        """End it, if it runs."""
        if self._running is not None:
            self._end(self._running)
            self._note.unlink(missing_ok=True)
            self.alive()
            self._running = None

    def _end(self, running: _Running) -> None:
        process = running.process()
        if process is None:
            return
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=10)
            except psutil.TimeoutExpired:
                process.kill()
                process.wait(timeout=10)


@asynccontextmanager
async def envoy_running(envoy: Envoy, leave: Callable[[], bool] = lambda: False) -> AsyncGenerator[bool]:
    """Envoy while the context is open, watched; yields whether it was taken over. Where `leave` returns true at the
    end, it is left to the next process."""
    taken_over = await anyio.to_thread.run_sync(envoy.start)
    try:
        await envoy.wait_ready()
        watcher = asyncio.create_task(envoy.watch(lambda: None))
        try:
            yield taken_over
        finally:
            watcher.cancel()
            await asyncio.gather(watcher, return_exceptions=True)
    finally:
        if not leave():
            with anyio.CancelScope(shield=True):
                await anyio.to_thread.run_sync(envoy.stop)


async def admin_page(socket: Path, path: str) -> str | None:
    """A page of Envoy's own, None when it does not answer with one."""
    try:
        reader, writer = await asyncio.open_unix_connection(socket)
    except OSError:
        return None
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: admin\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        answer = (await reader.read()).decode("utf-8", "replace")
    except OSError:
        return None
    finally:
        writer.close()
    head, _, body = answer.partition("\r\n\r\n")
    return body if " 200 " in head.split("\r\n")[0] + " " else None
