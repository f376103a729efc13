"""Where a reader is: partitions (units of read work), cursors and pages."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vectormigrate.model.schema import Json

if TYPE_CHECKING:
    from vectormigrate.model.batch import RecordBatch

Cursor = Json
"""Opaque JSON that an adapter makes and only it reads: "everything up to this page end has been returned".

Durable: it holds a position (the last id), never only a token that expires.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A unit of read work. The partitions of one plan are disjoint and together hold every record.

    `bounds` is opaque JSON of the adapter; `rows` is an estimate.
    """

    id: str
    namespace: str
    bounds: Json
    rows: int


@dataclass(frozen=True, slots=True)
class Page:
    """A batch and the cursor after it."""

    batch: RecordBatch
    cursor: Cursor
