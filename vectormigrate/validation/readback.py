"""Read-back of records that were just written: the inline check of a running migration."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from vectormigrate.adapter import Source
from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.status import Difference
from vectormigrate.validation.common import PAGE_ROWS, take
from vectormigrate.validation.compare import Rules
from vectormigrate.validation.findings import enter_fetched
from vectormigrate.validation.tally import Tally


class ReadBack(NamedTuple):
    """How many records were read back, and those that are not as they were written."""

    checked: int
    mismatches: tuple[Difference, ...]


async def readback(
    *,
    target: Source,
    expected: Mapped,
    namespace: str,
    rules: Rules,
    rows: Sequence[int] | None = None,
    page_rows: int = PAGE_ROWS,
) -> ReadBack:
    """Fetch these rows of a mapped batch (None: all) and compare them by their compare classes.

    `namespace`: the source's, for the differences. A record that cannot be read raises what the adapter raises: it is
    not checked.
    """
    chosen = list(range(len(expected.batch))) if rows is None else list(rows)
    tally = Tally(limit=len(chosen))
    for start in range(0, len(chosen), page_rows):
        piece = take(expected, chosen[start : start + page_rows])
        actual = await target.fetch(piece.batch.ids, piece.batch.namespace)
        tally.expect(piece.batch)
        enter_fetched(tally, piece, [actual], rules, namespace=namespace)
    return ReadBack(len(chosen), tuple(item for _, item in tally.kept))


def written(batch: RecordBatch, source_ids: Sequence[RecordId] | None = None) -> Mapped:
    """A batch in target form as `readback` takes it, where the mapping's own result is no longer at hand."""
    ids = list(batch.ids if source_ids is None else source_ids)
    return Mapped(batch, np.arange(len(batch)), ids, [], Counter())
