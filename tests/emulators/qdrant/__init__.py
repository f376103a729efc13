"""A Qdrant server for tests: REST and gRPC in a child process, in front of the real engine (qdrant-edge-py).

It answers what this project and the vendor's client ask, by the server's own rules; whatever it does not know it
refuses. It is meant to be stricter than a server, never more lenient. Not emulated: replicas, snapshots, inference,
conditional upserts, recommendations and the other query kinds, background indexing (`finalize` sees one yellow answer).
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vectormigrate.adapter import child_process


@dataclass(frozen=True, slots=True)
class Emulator:
    """`url` of the REST interface; `grpc_port` on the same host."""

    url: str
    grpc_port: int

    def fault(self, operation: str, kind: str = "status", **options: Any) -> None:
        """Let the next calls of the operation (`upsert`, `scroll`, …, `*`) fail; see faults.Rule."""
        self._control("faults", {"operation": operation, "kind": kind, **options})

    def collection(self, name: str, **settings: Any) -> None:
        """Set `status`, `busy` (answers that say yellow), `deferred` or `queue` of a collection."""
        self._control("collection", {"name": name, **settings})

    def store(self, **settings: Any) -> None:
        """Set `max_body` or `api_key` of the server."""
        self._control("store", settings)

    def calls(self) -> dict[str, int]:
        """How often each operation was asked for."""
        return self._control("calls", {})

    def _control(self, what: str, body: dict[str, Any]) -> Any:
        request = urllib.request.Request(f"{self.url}/_emulator/{what}", json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())


@contextmanager
def emulator(**options: Any) -> Generator[Emulator, None, None]:
    """A running server. `version` ("1.19.0"), `api_key`, `clustered`, `grpc` (False: only REST answers)."""
    reading, writing = os.pipe()
    folder = Path(tempfile.mkdtemp(prefix="vectormigrate-qdrant-"))
    log = os.open(folder / "log", os.O_WRONLY | os.O_CREAT)
    environment = os.environ.get("TMPDIR")
    os.environ["TMPDIR"] = str(folder)
    try:
        child = child_process.start(
            "tests.emulators.qdrant", json.dumps(options), str(writing), pass_fds=(writing,), log=log
        )
    finally:
        if environment is None:
            del os.environ["TMPDIR"]
        else:
            os.environ["TMPDIR"] = environment
        os.close(writing)
        os.close(log)
    try:
        ports = os.read(reading, 100).decode().split()
        if len(ports) != 2:
            raise RuntimeError(f"the emulator did not start: {(folder / 'log').read_text()[-2000:]}")
        yield Emulator(f"http://127.0.0.1:{ports[0]}", int(ports[1]) or 1)
    finally:
        os.close(reading)
        child_process.stop(child)
        shutil.rmtree(folder, ignore_errors=True)
