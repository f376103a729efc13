"""A stateful stand-in for a Weaviate server: REST and gRPC on two loopback ports, in a thread of this process.

Written from the server's source and compared with a real 1.39.0; where it differs it is the stricter one (auto schema
invents classes, but no properties of a class that exists). Not imitated: approximate search, BM25 and tokenization,
modules, replicas, backups, the phone number library. Use it as `with emulator() as server:
weaviate.connect_to_custom(...)`.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass

import uvicorn

from tests.emulators import listening
from tests.emulators.weaviate.faults import Fault, Knobs
from tests.emulators.weaviate.grpc_front import Front, served
from tests.emulators.weaviate.openapi import checker
from tests.emulators.weaviate.rest import Rest
from tests.emulators.weaviate.store import Store

__all__ = ["Emulator", "Fault", "Knobs", "emulator"]

MESSAGE_BYTES = 104_858_000
VERSION = "1.39.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """A running emulator. `knobs` may be changed at any time, `store` looked at."""

    url: str
    grpc: str
    store: Store
    rest: Rest
    front: Front

    @property
    def knobs(self) -> Knobs:
        return self.store.knobs

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def grpc_port(self) -> int:
        return int(self.grpc.rpartition(":")[2])

    def calls(self) -> Counter[str]:
        """How often each operation was asked for since the last call."""
        found = Counter([*self.rest.log, *self.front.log])
        self.rest.log.clear()
        self.front.log.clear()
        return found

    def check(self) -> None:
        """Fail when an answer did not fit the server's Swagger file."""
        found = self.rest.checker
        assert found is None or not found.problems, "\n".join(sorted(set(found.problems))[:20])


@contextmanager
def emulator(
    *, api_key: str | None = None, message_bytes: int = MESSAGE_BYTES, version: str = VERSION
) -> Generator[Emulator, None, None]:
    """A running server for as long as the context lasts."""
    stopping = threading.Event()
    store = Store(Knobs())
    front = Front(store, api_key, stopping)
    rest = Rest(store, api_key, message_bytes, version, stopping)
    rest.checker = checker()
    listener = listening.listener()
    server = uvicorn.Server(
        uvicorn.Config(
            rest, log_level="critical", lifespan="off", timeout_graceful_shutdown=1, interface="asgi3", ws="none"
        )
    )
    thread = threading.Thread(target=server.run, args=([listener],), name="weaviate-emulator", daemon=True)
    with served(front, message_bytes) as grpc_port:
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        found = Emulator(url=url, grpc=f"127.0.0.1:{grpc_port}", store=store, rest=rest, front=front)
        try:
            yield found
        finally:
            stopping.set()
            server.should_exit = True
            thread.join(15)
            listener.close()
    assert not thread.is_alive(), "the emulator did not stop"
    found.check()
