"""Starts the real standalone Milvus 2.3.5 from the package `milvus` as a subprocess.

The package's own wrapper orphans the server on SIGTERM and shares the etcd ports, so the binary is started directly:
every port is free and our own, the data directory is the caller's, and the server is stopped by process id.
"""

from __future__ import annotations

import ctypes
import fcntl
import importlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

ROLES = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")


def free_ports(count: int) -> list[int]:
    """That many different TCP ports that are free now, below the ephemeral range, so that no client takes them."""
    with ExitStack() as stack:
        ports: list[int] = []
        start = 20_000 + os.getpid() * 37 % 10_000
        for port in range(start, 32_000):
            sock = stack.enter_context(socket.socket())
            try:
                sock.bind(("", port))
            except OSError:
                continue
            ports.append(port)
            if len(ports) == count:
                return ports
    raise RuntimeError("no free ports")


def unpack(base: Path) -> Path:
    """The folder with the unpacked binaries (246 MB) below `base`; made once, also when several processes ask."""
    milvus: Any = importlib.import_module("milvus")
    base.mkdir(parents=True, exist_ok=True)
    with open(base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        milvus._initialize_data_files(str(base))
    return base / "bin"


def _configure(data: Path, ports: dict[str, int], tick_ms: int) -> None:
    milvus: Any = importlib.import_module("milvus")
    config = milvus.MilvusServerConfig(data_dir=str(data))
    for key, port in ports.items():
        if key in config.configurable_items:
            config.configs[key] = port
    config.set("common.gracefulStopTimeout", 1)
    config.set("proxy.timeTickInterval", tick_ms)
    config.set("etcd.endpoints", f"127.0.0.1:{ports['etcd_port']}")
    for role in ROLES:
        config.set(f"{role}.ip", "127.0.0.1")
    config.resolve()
    client, peer = ports["etcd_port"], ports["etcd_peer"]
    (data / "etcd.yaml").write_text(
        f"name: default\ndata-dir: {data / 'data' / 'etcd.data'}\n"
        f"listen-client-urls: http://127.0.0.1:{client}\nadvertise-client-urls: http://127.0.0.1:{client}\n"
        f"listen-peer-urls: http://127.0.0.1:{peer}\ninitial-advertise-peer-urls: http://127.0.0.1:{peer}\n"
        f"initial-cluster: default=http://127.0.0.1:{peer}\n"
    )


def die_with_parent() -> None:
    """In a child, before it becomes its program: end when the parent's thread that started it does, where the system
    knows how."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _await_health(server: subprocess.Popen[bytes], port: int, log: Path, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
                if b"OK" in answer.read():
                    return
        except (urllib.error.URLError, OSError):
            time.sleep(0.05)
    tail = log.read_bytes()[-2000:].decode(errors="replace")
    raise RuntimeError(f"milvus did not start (exit code {server.poll()}): {tail}")


@contextmanager
def standalone(
    data: Path, binaries: Path, *, tick_ms: int = 20, authorization: bool = False
) -> Generator[str, None, None]:
    """A server for as long as the context lasts; yields its URL. `data`: its empty folder, `binaries`: of `unpack`.
    Its data is not to be used afterwards. Raises RuntimeError when it does not start."""
    names = ["etcd_port", "etcd_peer", "root_coord_port", "proxy_port", "proxy_internal_port", "query_coord_port"]
    names += ["query_node_port", "index_coord_port", "index_node_port", "data_coord_port", "data_node_port", "metrics"]
    ports = dict(zip(names, free_ports(len(names)), strict=True))
    (data / "bin").symlink_to(binaries)
    _configure(data, ports, tick_ms)
    if authorization:
        path = data / "configs" / "milvus.yaml"
        path.write_text(path.read_text().replace("authorizationEnabled: false", "authorizationEnabled: true"))
    log = data / "milvus.log"
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "METRICS_PORT": str(ports["metrics"]),
        "MILVUS_RUN_DIR": str(data / "run"),
        "LD_LIBRARY_PATH": str(binaries),
        "ETCD_CONFIG_PATH": str(data / "etcd.yaml"),
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(binaries / "milvus"), "run", "standalone"],
            cwd=data,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
            preexec_fn=die_with_parent,
        )
    try:
        _await_health(server, ports["metrics"], log)
        yield f"http://127.0.0.1:{ports['proxy_port']}"
    finally:
        # Its data is thrown away: an orderly end would only take seconds.
        server.kill()
        server.wait()
