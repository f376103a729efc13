"""How fast a pair of engines is, alone and together.

    python -m tests.benchmarks.throughput --source milvus-server --target qdrant-edge --records 50000 --dim 384

Prints records per second of reading only, writing only, migrating (copy phase of a real migration, state file and
read-back checks included), reading both collections at once and the full diff; the CPU time of each, ours and the
engines' (which is that of the rest of the machine), and the peak memory of our own process. Each figure comes from a
process of its own, over the same data. "CPU ceiling": where reading, writing and both engines share the cores of one
machine, no migration can be faster than cores / (CPU of reading + CPU of writing a record).

`qdrant` and `weaviate` are the servers that VECTORMIGRATE_TEST_QDRANT_URL (with …_GRPC_PORT) and
VECTORMIGRATE_TEST_WEAVIATE_URL (with …_GRPC) name.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from uuid import NAMESPACE_OID as NAMESPACE
from uuid import UUID, uuid5

import anyio
import numpy as np
import psutil

from tests.harness.base import column_type
from vectormigrate.adapter import Capabilities
from vectormigrate.config.request import MigrationRequest
from vectormigrate.config.settings import Endpoint
from vectormigrate.engine.allocator import keep_memory_flat
from vectormigrate.engine.connect import open_endpoint, open_ends
from vectormigrate.engine.copy import PartitionTask
from vectormigrate.engine.events import Event, PhaseChanged, ignore
from vectormigrate.engine.executor import run_local
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.plan import RunOptions
from vectormigrate.model.position import Page
from vectormigrate.model.schema import CollectionSchema, MetadataField, Metric, VectorField, VectorKind
from vectormigrate.model.status import Phase
from vectormigrate.service import Service, open_service
from vectormigrate.validation.common import PAGE_ROWS, read_all

ENGINES = ("milvus-server", "milvus-lite", "qdrant-edge", "qdrant", "weaviate")
SEED_ROWS = 1000
SOURCE, TARGET = "Bench_source", "Bench_target"


def endpoint(engine: str, folder: Path, milvus_url: str, collection: str) -> Endpoint:
    """Where a collection of this engine lives."""
    match engine:
        case "milvus-server":
            return Endpoint(type="milvus", url=milvus_url, collection=collection)
        case "milvus-lite":
            return Endpoint(type="milvus", url=str(folder / "lite.db"), collection=collection)
        case "qdrant":
            port = {"grpc_port": int(os.environ.get("VECTORMIGRATE_TEST_QDRANT_GRPC_PORT", "6334"))}
            url = os.environ["VECTORMIGRATE_TEST_QDRANT_URL"]
            return Endpoint(type="qdrant", url=url, collection=collection, options=port)
        case "weaviate":
            grpc = {"grpc_url": os.environ["VECTORMIGRATE_TEST_WEAVIATE_GRPC"]}
            url = os.environ["VECTORMIGRATE_TEST_WEAVIATE_URL"]
            return Endpoint(type="weaviate", url=url, collection=collection, options=grpc)
        case _:
            return Endpoint(type="qdrant_edge", url=str(folder / "edge"), collection=collection)


def batch(first: int, rows: int, dim: int, ids: str) -> RecordBatch:
    """Records `first` … `first + rows - 1`: unit vectors, five small metadata fields."""
    rng = np.random.default_rng(first)
    values = rng.standard_normal((rows, dim), dtype=np.float32)
    values /= np.linalg.norm(values, axis=1, keepdims=True)
    numbers = range(first, first + rows)
    makers: dict[str, Callable[[int], RecordId]] = {
        "string": "record-{:09d}".format,
        "uuid": lambda number: uuid5(NAMESPACE, str(number)),
    }
    keys: list[RecordId] = [makers[ids](n) for n in numbers] if ids in makers else list(numbers)
    metadata: list[Metadata] = [
        {
            "title": f"title of record {n}",
            "year": 1900 + n % 120,
            "score": n / 7,
            "tags": ["alpha", f"t{n % 50}"],
            "source": {"page": n % 300, "ok": n % 2 == 0},
        }
        for n in numbers
    ]
    return RecordBatch("", keys, {"embedding": DenseColumn(values)}, metadata)


def schema(name: str, dim: int, ids: str) -> CollectionSchema:
    """The benchmark's collection. Flat index: a server that builds graphs in the background while it is read or written
    would be measured for that, differently in each phase."""
    flat = {"type": "flat"}
    vector = VectorField(name="embedding", kind=VectorKind.DENSE, dim=dim, metric=Metric.COSINE, index=flat)
    kind = IdKind.STRING if ids == "string" else IdKind.INT64
    return CollectionSchema(name=name, id_kinds=frozenset({kind}), vectors=(vector,))


def fitting(caps: Capabilities, made: RecordBatch) -> RecordBatch:
    """The batch without the nested field where the source's columns hold none."""
    if caps.metadata.dynamic:
        return made
    rows: list[Metadata] = [{key: value for key, value in item.items() if key != "source"} for item in made.metadata]
    return replace(made, metadata=rows)


def ids_for(caps: Capabilities, args: argparse.Namespace) -> str:
    """The kind of ids to make: as asked, or UUIDs where the source takes nothing else."""
    return "uuid" if caps.ids.kinds <= {IdKind.UUID} else args.ids


def shape(caps: Capabilities, wanted: CollectionSchema) -> CollectionSchema:
    """The schema as this database can hold it."""
    if not caps.ids.kinds & wanted.id_kinds:
        kind = IdKind.UUID if caps.ids.kinds <= {IdKind.UUID} else IdKind.UINT64
        wanted = replace(wanted, id_kinds=frozenset({kind}))
    if caps.metadata.dynamic:
        return wanted
    sample = batch(0, 1, 1, "int").metadata[0]
    columns = ((name, column_type(value)) for name, value in sample.items())
    fields = tuple(
        MetadataField(name=name, type=kind[0], element=kind[1], declared=True)
        for name, kind in columns
        if kind and name != "source"
    )
    return replace(wanted, fields=fields, dynamic=False)


def own_cpu() -> float:
    """CPU seconds of this process, without its children."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def machine_cpu() -> float:
    """CPU seconds of the whole machine."""
    times = psutil.cpu_times()
    return times.user + times.system


class Meter:
    """Time and CPU time between `start` and `stop`; what others used meanwhile counts as the engines'."""

    def start(self) -> None:
        self.clock, self.own, self.machine = time.perf_counter(), own_cpu(), machine_cpu()

    def stop(self) -> None:
        self.seconds = time.perf_counter() - self.clock
        self.own = own_cpu() - self.own
        self.engines = max(0.0, machine_cpu() - self.machine - self.own)


class Bench:
    """One pair; each method runs in a process of its own, meters its part and returns the records of it."""

    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.meter = Meter()
        self.folder = Path(args.folder)
        self.source = endpoint(args.source, self.folder, args.milvus_url, SOURCE)
        self.target = endpoint(args.target, self.folder, args.milvus_url, TARGET)
        self.options = RunOptions(batch_size=args.batch_size)
        self.request = MigrationRequest(id="bench", source=self.source, target=self.target, partitions=args.partitions)

    @asynccontextmanager
    async def service(self) -> AsyncGenerator[Service]:
        async with open_service(state=self.folder / "state.db") as service:
            yield service

    async def clean(self) -> int:
        """Drop both collections: a server of the user's outlives this."""
        self.meter.start()
        for end in (self.source, self.target):
            async with open_endpoint(end) as collection:
                await collection.drop()
        self.meter.stop()
        return self.args.records

    async def seed(self) -> int:
        await self.clean()
        self.meter.start()
        async with open_endpoint(self.source) as source:
            await source.create(shape(source.capabilities, schema(SOURCE, self.args.dim, self.args.ids)))
            for first in range(0, self.args.records, SEED_ROWS):
                rows = min(SEED_ROWS, self.args.records - first)
                caps = source.capabilities
                made = fitting(caps, batch(first, rows, self.args.dim, ids_for(caps, self.args)))
                rejects = await source.upsert(made)
                if rejects:
                    raise SystemExit(f"seeding failed: {rejects[0]}")
            await source.finalize()
        self.meter.stop()
        return self.args.records

    async def read(self) -> int:
        async with open_ends(self.source, self.target, self.options, ignore) as ends:
            source = ends.source
            wanted = self.args.partitions or source.capabilities.collection.readers
            partitions = await source.partitions(wanted)
            rows = 0

            async def drain(task: PartitionTask) -> None:
                nonlocal rows
                async for page in source.scan(task.partition, page_rows=4000):
                    rows += len(page.batch)

            tasks = [PartitionTask(partition=p, after=None, next_seq=1) for p in partitions]
            self.meter.start()
            await run_local(tasks, drain, source.capabilities.collection.readers)
            self.meter.stop()
        if rows != self.args.records:
            raise SystemExit(f"read {rows} of {self.args.records} records")
        return rows

    async def write(self) -> int:
        """Writes what the migration will write: batches are made and mapped beforehand, eight in turn with new ids."""
        async with self.service() as service:
            plan = await service.plan(self.request)
        mapper = Mapper(plan.rules)
        size = self.args.batch_size
        async with open_endpoint(self.source) as source:
            caps = source.capabilities
        made = [fitting(caps, batch(n * size, size, self.args.dim, ids_for(caps, self.args))) for n in range(8)]
        pool = [mapper.convert(item)[0].batch for item in made]
        rows = self.args.records // size * size
        async with open_ends(self.source, self.target, self.options, ignore) as ends:
            target = ends.target
            await target.drop()
            await target.create(plan.target_schema)
            self.meter.start()
            async with anyio.create_task_group() as tasks:
                flow = anyio.Semaphore(8)

                async def put(first: int) -> None:
                    model = pool[first // size % len(pool)]
                    ids: list[RecordId] = (
                        [UUID(int=first + n) for n in range(size)]
                        if isinstance(model.ids[0], UUID)
                        else [f"record-{first + n:09d}" for n in range(size)]
                        if isinstance(model.ids[0], str)
                        else list(range(first, first + size))
                    )
                    rejects = await target.upsert(RecordBatch("", ids, model.vectors, model.metadata))
                    if rejects:
                        raise SystemExit(f"write refused: {rejects[0]}")
                    flow.release()

                for first in range(0, rows, size):
                    await flow.acquire()
                    tasks.start_soon(put, first)
            self.meter.stop()
            await target.drop()
        return rows

    async def migrate(self) -> int:
        marks = {Phase.COPYING: self.meter.start, Phase.FINALIZING: self.meter.stop}

        def listen(event: Event) -> None:
            if isinstance(event, PhaseChanged) and event.phase in marks:
                marks[event.phase]()

        async with self.service() as service:
            status = await service.migrate(self.request, self.options, listen)
        if status.migrated_records != self.args.records:
            raise SystemExit(f"migrated {status.migrated_records} of {self.args.records} records")
        return status.migrated_records

    async def both(self) -> int:
        """Both collections read to the end at once, nothing compared."""
        async with open_ends(self.source, self.target, self.options, ignore) as ends:
            counts = [0, 0]

            async def count(side: int, page: Page) -> None:
                counts[side] += len(page.batch)

            self.meter.start()
            async with anyio.create_task_group() as tasks:
                for side, end in enumerate((ends.source, ends.target)):
                    read = partial(read_all, end, None, partial(count, side), page_rows=PAGE_ROWS)
                    tasks.start_soon(read)
            self.meter.stop()
        if counts != [self.args.records] * 2:
            raise SystemExit(f"read {counts} of {self.args.records} records")
        return self.args.records

    async def diff(self) -> int:
        async with self.service() as service:
            self.meter.start()
            report = await service.validate("bench", full=True, queries=0)
        if not report.passed or report.diff is None or report.diff.compared != self.args.records:
            raise SystemExit(f"validation failed: {report}")
        self.meter.stop()
        self.meter.seconds = report.diff.seconds
        return self.args.records


PHASES = ("seed", "read", "write", "migrate", "both", "diff")


def run_phase(args: argparse.Namespace) -> None:
    """Child process: one phase, one JSON line; CPU times in microseconds per record."""
    keep_memory_flat()
    bench = Bench(args)
    records = anyio.run(getattr(bench, args.phase))
    meter = bench.meter
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    cpu = {"own": 1e6 * meter.own / records, "engines": 1e6 * meter.engines / records}
    print(json.dumps({"rate": records / meter.seconds, "peak_mb": peak, **cpu}))


@contextmanager
def milvus(args: argparse.Namespace) -> Generator[str, None, None]:
    """The URL of the Milvus server to use: the one named, or a fresh one; empty when none is needed."""
    if "milvus-server" not in (args.source, args.target) or args.milvus_url:
        yield args.milvus_url
        return
    from tests.harness.milvus_server import standalone

    with standalone(tick_ms=50) as url:
        yield url


def main() -> None:
    """Parse, run every phase in a child, print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--source", choices=ENGINES, default="milvus-server")
    parser.add_argument("--target", choices=ENGINES, default="qdrant-edge")
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--dim", type=int, default=384)
    parser.add_argument("--ids", choices=("int", "string"), default="int")
    parser.add_argument("--batch-size", type=int, default=1000)
    parser.add_argument("--partitions", type=int, default=None)
    parser.add_argument("--phases", default=",".join(PHASES))
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    parser.add_argument("--milvus-url", default="")
    parser.add_argument("--phase", choices=(*PHASES, "clean"), help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.phase:
        run_phase(args)
        return
    with ExitStack() as stack:
        args.folder = stack.enter_context(tempfile.TemporaryDirectory())
        args.milvus_url = stack.enter_context(milvus(args))
        report(args)


def child(args: argparse.Namespace, phase: str) -> dict[str, float]:
    """Run a phase in a process of its own."""
    flags = [f"--{name.replace('_', '-')}={value}" for name, value in vars(args).items() if value and name != "phase"]
    command = [sys.executable, "-m", "tests.benchmarks.throughput", *flags, f"--phase={phase}"]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=False)
    if done.returncode:
        raise SystemExit(f"phase {phase} failed")
    return json.loads(done.stdout.splitlines()[-1])


def report(args: argparse.Namespace) -> None:
    """Run the phases and print what came out."""
    print(f"{args.source} -> {args.target}: {args.records:,} records, {args.dim} dimensions, {args.ids} ids,")
    print(f"batches of {args.batch_size}, {psutil.cpu_count()} cores")
    results: dict[str, dict[str, float]] = {}
    try:
        for phase in args.phases.split(","):
            found = results[phase] = child(args, phase)
            if phase != "seed":
                print(
                    f"  {phase:8} {found['rate']:>9,.0f} records/s   peak {found['peak_mb']:5.0f} MB   "
                    f"CPU per record: own {found['own']:5.1f} us, engines {found['engines']:5.1f} us"
                )
    finally:
        child(args, "clean")
    if {"read", "write", "migrate"} <= results.keys():
        slower = min(results["read"]["rate"], results["write"]["rate"])
        print(f"  migration / min(read, write) = {results['migrate']['rate'] / slower:.2f}")
        micros = sum(results[phase][part] for phase in ("read", "write") for part in ("own", "engines"))
        ceiling = 1e6 * (psutil.cpu_count() or 1) / micros
        print(
            f"  migration / CPU ceiling      = {results['migrate']['rate'] / ceiling:.2f} (of {ceiling:,.0f} records/s)"
        )
    if {"both", "diff"} <= results.keys():
        print(f"  full diff / reading both     = {results['diff']['rate'] / results['both']['rate']:.2f}")
    if {"read", "diff"} <= results.keys():
        print(f"  full diff / read             = {results['diff']['rate'] / results['read']['rate']:.2f}")


if __name__ == "__main__":
    main()
