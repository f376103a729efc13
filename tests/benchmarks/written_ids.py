"""How long looking up written ids takes, against their number: `python -m tests.benchmarks.written_ids [--ids N]`.

Ids are UUID texts, the dearest kind. `validate` after `--into-existing` asks for each page of the target which of its
ids the migration wrote; the copy asks the same before it refuses a record.
"""

from __future__ import annotations

import argparse
import random
import time
from pathlib import Path
from uuid import UUID

import anyio

from tests.state.support import make_plan
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import PageCommit, open_store

PAGE = 1000


async def measure(total: int, folder: Path) -> None:
    """Commit `total` ids page by page, then look every one of them up page by page."""
    rng = random.Random(7)
    path = folder / f"{total}.db"
    async with open_store(path) as store:
        await store.migrations.create(make_plan(partitions=1), RunOptions())
        pages: list[list[RecordId]] = []
        async with store.leases.hold("orders") as lease:
            started = time.perf_counter()
            for seq in range(1, total // PAGE + 1):
                ids: list[RecordId] = [str(UUID(int=rng.getrandbits(128), version=4)) for _ in range(PAGE)]
                pages.append(ids)
                await store.progress.commit(lease, PageCommit(partition_id="eu-0", seq=seq, written_ids=[("n", ids)]))
            wrote = time.perf_counter() - started
        started = time.perf_counter()
        await store.written_ids.which_written("orders", "n", pages[0])
        first = time.perf_counter() - started
        started = time.perf_counter()
        for ids in pages:
            assert len(await store.written_ids.which_written("orders", "n", ids)) == PAGE
        rest = time.perf_counter() - started
    size = (await anyio.Path(path).stat()).st_size
    lookups = total // PAGE
    print(
        f"{total:>10,} ids: committed in {wrote:6.1f} s, read in {first:6.1f} s, {lookups:,} lookups in {rest:6.1f} s "
        f"({1000 * rest / lookups:.2f} ms a page); {size / total:.1f} bytes an id in the file"
    )


async def main(most: int) -> None:
    """A tenth, a half and all."""
    async with anyio.TemporaryDirectory() as folder:
        for total in (most // 10, most // 2, most):
            await measure(total, Path(folder))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ids", type=int, default=2_000_000)
    anyio.run(main, parser.parse_args().ids)
