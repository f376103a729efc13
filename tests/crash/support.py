"""Runs real migrations in real processes, kills them, and looks at the result through the vendor's own package."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema, Metric, VectorField, VectorKind

DIM = 8
NAMESPACES = ("", "other")


def schema(name: str) -> CollectionSchema:
    """A dense field with a metric that leaves vectors as they are."""
    vector = VectorField(name="v", kind=VectorKind.DENSE, dim=DIM, metric=Metric.DOT)
    return CollectionSchema(name=name, id_kinds=frozenset({IdKind.INT64}), vectors=(vector,))


async def fill(endpoint: Endpoint, per_namespace: int, namespaces: Sequence[str] = NAMESPACES) -> None:
    """Create the collection and write numbered records; the vector of record i begins with i."""
    async with open_endpoint(endpoint) as target:
        await target.create(schema(endpoint.collection))
        for number, namespace in enumerate(namespaces):
            ids = list(range(number * per_namespace, (number + 1) * per_namespace))
            values = np.zeros((per_namespace, DIM), np.float32)
            values[:, 0] = ids
            values[:, 1] = 0.5
            rows: list[Metadata] = [{"n": i, "text": f"record {i}", "nested": {"even": i % 2 == 0}} for i in ids]
            for start in range(0, per_namespace, 1000):
                part = slice(start, start + 1000)
                batch = RecordBatch(namespace, list[RecordId](ids[part]), {"v": DenseColumn(values[part])}, rows[part])
                assert await target.upsert(batch) == []
        await target.finalize()


@dataclass(frozen=True, slots=True)
class Cli:
    """The command line over one state file."""

    state: Path

    def start(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.Popen[str]:
        """Start a command and return at once."""
        return subprocess.Popen(
            [sys.executable, "-m", "vectormigrate", *args],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "VECTORMIGRATE_STATE": str(self.state), **(env or {})},
        )

    def run(self, *args: str, env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command to its end, whatever that is."""
        with self.start(*args, env=env) as process:
            out, err = process.communicate(timeout=100)
        return subprocess.CompletedProcess(process.args, process.returncode, out, err)

    def json(self, *args: str) -> Any:
        """Run a command that must succeed and return its JSON answer."""
        done = self.run(*args, "--json")
        assert done.returncode == 0, done.stderr + done.stdout
        return json.loads(done.stdout)


def migrate_args(migration_id: str, source: Endpoint, target: Endpoint, *extra: str) -> list[str]:
    """The arguments of `migrate`."""
    ends: list[str] = []
    for side, end in (("source", source), ("target", target)):
        ends += [f"--{side}-type", end.type, f"--{side}-url", end.url, f"--{side}-collection", end.collection]
    return ["migrate", migration_id, *ends, *extra]


def kill(process: subprocess.Popen[str]) -> None:
    """SIGKILL, and wait for the end."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
