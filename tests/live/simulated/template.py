"""The files of a live migration that was just begun, made once, and copied for every seed."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.live.simulated.database import LIFE, Record
from vectormigrate import Endpoint, MigrationRequest, RunOptions
from vectormigrate.capture.folder import live_folder
from vectormigrate.capture.keys import Key
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.model.batch import DenseColumn, Metadata, RecordBatch
from vectormigrate.model.ids import IdKind
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.schema import CollectionSchema, DType, Metric, VectorField, VectorKind
from vectormigrate.service import open_service

OPTIONS = LiveOptions(fenced=False, source_deadline=LIFE, target_deadline=LIFE)

FIELD = VectorField(name="v", kind=VectorKind.DENSE, dim=2, metric=Metric.L2, dtype=DType.FLOAT32)

RECORDS: dict[Key, Record] = {
    Key(namespace, item): (item, item) for namespace, most in (("", 12), ("b", 6)) for item in range(most)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """`state` and `folder` are where the files of a seed are; `kept` is of those that they are copied from."""

    state: Path
    folder: Path
    kept: Path
    schema: CollectionSchema
    records: dict[Key, Record]

    def renew(self) -> None:
        """The files as they were at the beginning."""
        shutil.rmtree(self.folder)
        shutil.copytree(self.kept / "folder", self.folder)
        for path in self.state.parent.glob(f"{self.state.name}-*"):
            path.unlink()
        shutil.copyfile(self.kept / "state", self.state)


async def make_template(folder: Path) -> Template:
    """Plan and begin a live migration of a few records."""
    ends = [
        Endpoint(type="memory", url=f"memory://{folder.name}-{side}", collection="c") for side in ("source", "target")
    ]
    request = MigrationRequest(id="m", source=ends[0], target=ends[1], partitions=1)
    state = folder / "state.db"
    async with open_endpoint(ends[0]) as source, open_service(state=state) as service:
        await source.create(CollectionSchema(name="c", id_kinds=frozenset({IdKind.INT64}), vectors=(FIELD,)))
        for name in ("", "b"):
            rows = {key.id: record for key, record in RECORDS.items() if key.namespace == name}
            column = DenseColumn(np.array(list(rows.values()), np.float32))
            values: list[Metadata] = [{"n": n, "p": p} for n, p in rows.values()]
            await source.upsert(RecordBatch(name, list(rows), {"v": column}, values))
        plan = await service.plan(request)
        await service.begin(plan, RunOptions(), live=OPTIONS)
        schema = await source.describe()
    kept, there = folder / "kept", live_folder(state, "m").path
    kept.mkdir()
    shutil.copytree(there, kept / "folder")
    shutil.copyfile(state, kept / "state")
    return Template(state=state, folder=there, kept=kept, schema=schema, records=RECORDS)
