"""A stateful stand-in for Pinecone: control plane and data planes of all indexes on one loopback port.

Written from the vendor's specification, SDK and documentation; where the real rule is unknown it is the stricter one.
Use it as `with running() as pinecone: AsyncPinecone(api_key=pinecone.api_key, host=pinecone.url)`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager

import uvicorn

from tests.emulators import listening
from tests.emulators.pinecone.app import App
from tests.emulators.pinecone.control import Control
from tests.emulators.pinecone.faults import Fault, Knobs
from tests.emulators.pinecone.openapi import checker
from tests.emulators.pinecone.state import Index

__all__ = ["Emulator", "Fault", "Knobs", "running"]

API_KEY = "pcsk_emulator_0123456789"


class Emulator:
    """A running emulator. `knobs` may be changed at any time."""

    def __init__(self, url: str, app: App) -> None:
        self.url = url
        self.api_key = app.api_key
        self.knobs = app.control.knobs
        self._app = app

    def index(self, name: str) -> Index:
        """The state of an index, for setting up what no API can."""
        return self._app.control.indexes[name]

    def add_pod_index(self, name: str, dimension: int = 8) -> None:
        """A pod index, which the API can no longer create."""
        deployment = {"deployment_type": "pod", "environment": "us-east-1-aws", "pod_type": "p1.x1"}
        deployment |= {"replicas": 1, "shards": 1}  # pyright: ignore[reportAssignmentType]
        fields = {"_values": {"type": "dense_vector", "dimension": dimension, "metric": "cosine"}}
        index = Index(name, "pod", fields, deployment, None, "disabled", dense="_values", dimension=dimension)  # pyright: ignore[reportArgumentType]
        self._app.control.indexes[name] = index

    def release(self) -> None:
        """Index everything that was written."""
        for index in self._app.control.indexes.values():
            for space in index.spaces.values():
                space.catch_up()

    def requests(self) -> list[tuple[str, int, int]]:
        """(operation, status, request bytes) of every request since the last call."""
        taken, self._app.log = self._app.log, []
        return taken

    def counts(self) -> Counter[str]:
        """How often each operation was asked for since the last call of this or `requests`."""
        return Counter(op for op, _, _ in self.requests())

    def check(self) -> None:
        """Fails when an exchange did not fit the vendor's specification."""
        checks = self._app.checker
        assert checks is None or not checks.problems, "\n".join(checks.problems[:20])


@contextmanager
def running(host: str = "127.0.0.1", knobs: Knobs | None = None) -> Generator[Emulator, None, None]:
    """Start on a free port of this loopback address and stop at the end, checking the exchanges (see openapi.py)."""
    listener = listening.listener(host)
    url = f"http://{host}:{listener.getsockname()[1]}"
    app = App(Control(knobs or Knobs(), url), API_KEY, checker())
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        emulator = Emulator(url, app)
        yield emulator
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()
    emulator.check()
