"""The emulator's process: `python -m tests.emulators.qdrant OPTIONS_JSON FD` writes its two ports to the descriptor."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import Generator
from pathlib import Path

import grpc.aio
import uvicorn

from tests.emulators import listening
from tests.emulators.qdrant.grpc_front import Front
from tests.emulators.qdrant.openapi import Contract
from tests.emulators.qdrant.rest import Cut, Rest
from tests.emulators.qdrant.store import Store
from vectormigrate.adapter import child_process

OPTIONS = (("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1), ("grpc.so_reuseport", 0))


class CuttingServer(uvicorn.Server):
    """Runs inside our loop, without handlers of signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield


def _cutting(app: object) -> object:
    """Closes the connection without an answer where the app raises Cut."""

    async def wrapped(scope: dict[str, object], receive: object, send: object) -> None:
        try:
            await app(scope, receive, send)  # pyright: ignore[reportCallIssue]
        except Cut:
            # Uvicorn closes a connection whose application ends without an answer.
            return

    return wrapped


async def serve(options: dict[str, object], descriptor: int) -> None:
    with_grpc = bool(options.pop("grpc", True))
    store = Store(**options)  # pyright: ignore[reportArgumentType]
    folder = os.environ.get("VECTORMIGRATE_TEST_OPENAPI")
    contract = Contract(Path(folder)) if folder and store.since(19) else None
    server = grpc.aio.server(options=OPTIONS)
    server.add_generic_rpc_handlers(tuple(Front(store).handlers()))
    grpc_port = server.add_insecure_port("127.0.0.1:0") if with_grpc else 0
    await server.start()
    sock = listening.listener()
    app = _cutting(Rest(store, contract).app())
    config = uvicorn.Config(app, log_level="critical", lifespan="off", timeout_keep_alive=60)  # pyright: ignore[reportArgumentType]
    os.write(descriptor, f"{sock.getsockname()[1]} {grpc_port}\n".encode())
    await CuttingServer(config).serve([sock])


if __name__ == "__main__":
    child_process.exit_when_parent_dies()
    asyncio.run(serve(json.loads(sys.argv[1]), int(sys.argv[2])))
