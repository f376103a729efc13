"""What a person waits for when a collection moves to Qdrant: until all can be read, until it is indexed, until the
command ends; beside another tool's command if one is given.

    python -m tests.benchmarks.waiting --source qdrant --records 60000 --dim 384 \\
        --peer 'other-tool --from {source} --to {target}'

The servers are those that VECTORMIGRATE_TEST_QDRANT_URL (with …_GRPC_PORT) and, for `--source milvus-server`,
`--milvus-url` name. `{source}` and `{target}` stand for the names of the collections. The target is asked ten times
a second over its own REST interface: exact count, and green with every vector in an index.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import anyio
import httpx2

from tests.benchmarks.throughput import batch, endpoint, ids_for, schema
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.connect import open_endpoint

SOURCE = "Wait_source"
SEED_ROWS = 1000
PAUSE_SECONDS = 0.1


async def seed(source: Endpoint, args: argparse.Namespace) -> None:
    """Fill the source anew, with the index that its server makes by default."""
    async with open_endpoint(source) as there:
        await there.drop()
        wanted = schema(SOURCE, args.dim, args.ids)
        await there.create(replace(wanted, vectors=tuple(replace(item, index={}) for item in wanted.vectors)))
        for first in range(0, args.records, SEED_ROWS):
            rows = min(SEED_ROWS, args.records - first)
            rejects = await there.upsert(batch(first, rows, args.dim, ids_for(there.capabilities, args)))
            if rejects:
                raise SystemExit(f"seeding failed: {rejects[0]}")
        await there.finalize()


class Watch:
    """A collection of the target's server."""

    def __init__(self, url: str, name: str, records: int) -> None:
        self._http = httpx2.Client(base_url=f"{url}/collections/{name}", timeout=30)
        self._records = records

    def drop(self) -> None:
        """Remove it, if it is there."""
        self._http.delete("")

    def readable(self) -> bool:
        """Whether it holds all records."""
        answer = self._http.post("/points/count", json={"exact": True})
        return answer.status_code == 200 and answer.json()["result"]["count"] == self._records

    def indexed(self) -> bool:
        """Whether nothing is left to be built, and an index holds nearly all of it (small segments have none)."""
        found = self._http.get("").json()["result"]
        return found["status"] == "green" and found["indexed_vectors_count"] > 0.8 * self._records


def measure(command: Sequence[str], watch: Watch) -> dict[str, float]:
    """Seconds from the start of the command to each mark."""
    watch.drop()
    marks: dict[str, float] = {}
    start = time.perf_counter()
    with tempfile.TemporaryFile() as output, subprocess.Popen(command, stdout=output, stderr=output) as process:
        while len(marks) < 3:
            found = {
                "ended": "ended" in marks or process.poll() is not None,
                "readable": "readable" in marks or watch.readable(),
                "indexed": "readable" in marks and ("indexed" in marks or watch.indexed()),
            }
            for name, now in found.items():
                if now and name not in marks:
                    marks[name] = time.perf_counter() - start
            if process.returncode:
                output.seek(0)
                raise SystemExit(f"exit code {process.returncode}: {output.read().decode()[-2000:]}")
            time.sleep(PAUSE_SECONDS)
    return marks


def ours(source: Endpoint, target: Endpoint, folder: Path, more: Sequence[str]) -> list[str]:
    """Our command line for it."""
    command = [sys.executable, "-m", "vectormigrate", "migrate", "wait", "--state", str(folder / "state.db")]
    for side, end in (("source", source), ("target", target)):
        command += [
            f"--{side}-type",
            end.type or "",
            f"--{side}-url",
            end.url or "",
            f"--{side}-collection",
            end.collection,
        ]
        for name, value in end.options.items():
            command += [f"--{side}-option", f"{name}={value}"]
    return [*command, *more]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=("qdrant", "milvus-server"), default="qdrant")
    parser.add_argument("--milvus-url", default="")
    parser.add_argument("--records", type=int, default=60_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--ids", choices=("int", "string"), default="int")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-seed", action="store_true", help="the source is as an earlier run left it")
    parser.add_argument("--option", action="append", default=[], help="one more argument of our command line")
    parser.add_argument("--peer", help="another tool's command line")
    args = parser.parse_args()
    source = endpoint(args.source, Path(), args.milvus_url, SOURCE)
    if not args.no_seed:
        anyio.run(seed, source, args)
    for number in range(args.rounds):
        for name in ("ours", "peer") if args.peer else ("ours",):
            target = endpoint("qdrant", Path(), "", f"Wait_{name}")
            with tempfile.TemporaryDirectory() as folder:
                command = ours(source, target, Path(folder), args.option)
                if name == "peer":
                    command = shlex.split(args.peer.format(source=SOURCE, target=target.collection))
                watch = Watch(os.environ["VECTORMIGRATE_TEST_QDRANT_URL"], target.collection, args.records)
                marks = measure(command, watch)
            shown = " · ".join(f"{mark} {seconds:.1f} s" for mark, seconds in sorted(marks.items(), key=lambda m: m[1]))
            print(f"{number + 1} {name}: {shown}", flush=True)


if __name__ == "__main__":
    main()
