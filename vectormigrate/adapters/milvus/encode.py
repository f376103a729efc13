"""Record batches -> insert columns, with a reject for every record that Milvus could not hold exactly. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from vectormigrate.adapter import Reject
from vectormigrate.adapters.milvus.capabilities import INT64_MAX, META, META_MAX
from vectormigrate.adapters.milvus.encode_columns import column_check, column_data
from vectormigrate.adapters.milvus.layout import Layout, VectorColumn
from vectormigrate.adapters.milvus.proto import sp
from vectormigrate.adapters.milvus.values import json_bytes, text_size
from vectormigrate.figures import counted, plural
from vectormigrate.model.batch import NUMPY_DTYPE, BoolMask, DenseColumn, RecordBatch, SparseColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import DType

T = sp.DataType

SPARSE_INDEX_MAX = 2**32 - 2

_PAIR = np.dtype([("index", "<u4"), ("value", "<f4")])
_BYTES_FIELD: Mapping[int, str] = {
    T.Float16Vector: "float16_vector",
    T.BFloat16Vector: "bfloat16_vector",
    T.Int8Vector: "int8_vector",
    T.BinaryVector: "binary_vector",
}


@dataclass(slots=True)
class _Rejects:
    """The first reason of every refused row."""

    batch: RecordBatch
    found: dict[int, Reject] = field(default_factory=dict[int, Reject])

    def add(self, row: int, code: str, reason: str) -> None:
        reject = Reject(self.batch.ids[row], self.batch.namespace, code, reason)
        self.found.setdefault(row, reject)

    def add_all(self, rows: Sequence[int], code: str, reason: str) -> None:
        for row in rows:
            self.add(row, code, reason)


@dataclass(frozen=True, slots=True)
class Encoded:
    """`fields` hold `count` records; `rejects` are the others, but for those that a later one of the batch replaces."""

    fields: list[sp.FieldData]
    count: int
    rejects: list[Reject]


def encode(batch: RecordBatch, layout: Layout, *, lite: bool, objects_only: bool = False) -> Encoded:
    """The columns of an insert. `lite`: Milvus Lite counts characters where the server counts bytes, and holds the
    id INT64_MAX. `objects_only`: see `column_check`."""
    last = {record_id: row for row, record_id in enumerate(batch.ids)}
    chosen = list(range(len(batch))) if len(last) == len(batch) else sorted(last.values())
    if len(chosen) < len(batch):
        batch = batch.take(chosen)
    rejects = _Rejects(batch)
    _check_ids(batch, layout, rejects, lite=lite)
    _check_vectors(batch, layout, rejects, lite=lite)
    meta = _encode_metadata(batch, layout, rejects, lite=lite)
    for column in layout.scalars:
        check = column_check(column, lite=lite, objects_only=objects_only)
        for row, metadata in enumerate(batch.metadata):
            wrong = check(metadata)
            if wrong is not None:
                rejects.add(row, *wrong)
    if rejects.found:
        kept = [row for row in range(len(batch)) if row not in rejects.found]
        batch, meta = batch.take(kept), [meta[row] for row in kept]
    fields = _fields(batch, layout, meta) if len(batch) else []
    return Encoded(fields, len(batch), [rejects.found[row] for row in sorted(rejects.found)])


def _check_ids(batch: RecordBatch, layout: Layout, rejects: _Rejects, *, lite: bool) -> None:
    wrong = _wrong_text(layout.pk.max_length, lite=lite) if layout.text_ids else _wrong_int(lite=lite)
    for row, record_id in enumerate(batch.ids):
        found = wrong(record_id)
        if found is not None:
            rejects.add(row, *found)


def _wrong_text(longest: int | None, *, lite: bool) -> Callable[[RecordId], tuple[str, str] | None]:
    def check(record_id: RecordId) -> tuple[str, str] | None:
        if not isinstance(record_id, str):
            return "id_kind", f"ids of this collection are strings, not {type(record_id).__name__}"
        size = text_size(record_id, lite=lite)
        if size is None:
            return "id_text", "the id holds half of a surrogate pair"
        if longest is not None and size > longest:
            return "id_size", f"the id has {plural(size, 'byte')}; {counted(longest)} fit"
        return None

    return check


def _wrong_int(*, lite: bool) -> Callable[[RecordId], tuple[str, str] | None]:
    def check(record_id: RecordId) -> tuple[str, str] | None:
        if not isinstance(record_id, int) or isinstance(record_id, bool):
            return "id_kind", f"ids of this collection are INT64, not {type(record_id).__name__}"
        if not -(2**63) <= record_id < 2**63:
            return "id_range", "the id does not fit into INT64"
        if record_id == INT64_MAX and not lite:
            return "int64_max", "Milvus stores the id 2**63 - 1 but can never return it"
        return None

    return check


def _check_vectors(batch: RecordBatch, layout: Layout, rejects: _Rejects, *, lite: bool) -> None:
    rows = range(len(batch))
    known = {item.name for item in layout.vectors}
    for name, column in batch.vectors.items():
        if name not in known:
            held = rows if column.valid is None else np.flatnonzero(column.valid).tolist()
            rejects.add_all(held, "vector_unknown", f"the collection has no vector field {name!r}")
    for item in layout.vectors:
        column = batch.vectors.get(item.name)
        if column is None:
            missing: Sequence[int] = rows
        else:
            missing = [] if column.valid is None else np.flatnonzero(~column.valid).tolist()
        if not item.nullable:
            rejects.add_all(missing, "vector_missing", f"the vector field {item.name!r} needs a value")
        if column is not None:
            _check_column(column, item, rows, rejects)
        if lite and isinstance(column, SparseColumn):
            _check_lite_sparse(column, item, rejects)


def _check_column(column: Any, item: VectorColumn, rows: Sequence[int], rejects: _Rejects) -> None:
    if item.dim is None:
        if not isinstance(column, SparseColumn):
            rejects.add_all(rows, "vector_kind", f"the vector field {item.name!r} is sparse")
            return
        bad = ~np.isfinite(column.values) | (column.indices > SPARSE_INDEX_MAX)
        for row in np.unique(np.searchsorted(column.offsets, np.flatnonzero(bad), side="right") - 1).tolist():
            rejects.add(row, "nan", f"the sparse vector {item.name!r} holds a value or index that Milvus refuses")
        return
    if not isinstance(column, DenseColumn) or column.dtype is not item.dtype:
        rejects.add_all(rows, "vector_kind", f"the vector field {item.name!r} holds {item.dtype} vectors")
        return
    width = item.row_bytes // NUMPY_DTYPE[item.dtype].itemsize
    if column.values.ndim != 2 or column.values.shape[1] != width:
        dim = column.values.shape[-1] * (8 if item.dtype is DType.BITS else 1)
        rejects.add_all(rows, "dimension", f"the vector field {item.name!r} has dimension {item.dim}, not {dim}")
        return
    finite = finite_rows(column)
    if finite is not None:
        for row in np.flatnonzero(~finite).tolist():
            rejects.add(row, "nan", f"the vector {item.name!r} holds NaN or an infinity")


def _check_lite_sparse(column: SparseColumn, item: VectorColumn, rejects: _Rejects) -> None:
    """Lite refuses a vector without weights and forgets weights of zero."""
    for row in np.flatnonzero(np.diff(column.offsets) == 0).tolist():
        rejects.add(row, "sparse_empty", f"Milvus Lite takes no empty sparse vector in {item.name!r}")
    for row in np.unique(
        np.searchsorted(column.offsets, np.flatnonzero(column.values == 0), side="right") - 1
    ).tolist():
        rejects.add(row, "sparse_zero", f"Milvus Lite forgets weights of zero in {item.name!r}")


def finite_rows(column: DenseColumn) -> BoolMask | None:
    """Which rows hold only finite numbers; None when all do."""
    if column.dtype in (DType.FLOAT32, DType.FLOAT16):
        good = np.isfinite(column.values)
    elif column.dtype is DType.BFLOAT16:
        good = (column.values & 0x7F80) != 0x7F80
    else:
        return None
    rows: BoolMask = np.all(good, axis=1)
    return None if bool(np.all(rows)) else rows


def _encode_metadata(batch: RecordBatch, layout: Layout, rejects: _Rejects, *, lite: bool) -> list[bytes]:
    """The dynamic part of every record as JSON; empty bytes for a rejected row."""
    declared = {column.name for column in layout.scalars}
    taken = layout.taken
    longest = None if lite else META_MAX
    found: list[bytes] = []
    for row, metadata in enumerate(batch.metadata):
        if not taken.isdisjoint(metadata):
            name = min(taken & metadata.keys())
            rejects.add(row, "reserved_field", f"the collection has an own field {name!r}")
            found.append(b"")
            continue
        rest = {key: value for key, value in metadata.items() if key not in declared} if declared else metadata
        if rest and not layout.dynamic:
            rejects.add(row, "field_undeclared", f"the collection has no field {min(rest)!r} and takes no others")
        data, wrong = json_bytes(rest)
        if wrong is None and longest is not None and len(data) > longest:
            wrong = ("size", f"the metadata has {plural(len(data), 'byte')} as JSON; {counted(longest)} fit")
        if wrong is not None:
            rejects.add(row, *wrong)
        found.append(data)
    return found


def _fields(batch: RecordBatch, layout: Layout, meta: list[bytes]) -> list[sp.FieldData]:
    pk = sp.FieldData(type=layout.pk.type, field_name=layout.pk.name)  # pyright: ignore[reportArgumentType]
    (pk.scalars.string_data if layout.text_ids else pk.scalars.long_data).data.extend(batch.ids)  # pyright: ignore[reportArgumentType]
    fields = [pk, *(column_data(column, batch.metadata) for column in layout.scalars)]
    if layout.dynamic:
        dynamic = sp.FieldData(type=T.JSON, field_name=META, is_dynamic=True)
        dynamic.scalars.json_data.data.extend(meta)
        fields.append(dynamic)
    fields.extend(_vector_data(item, batch.vectors, len(batch)) for item in layout.vectors)
    return fields


def _vector_data(item: VectorColumn, vectors: Mapping[str, Any], count: int) -> sp.FieldData:
    found = sp.FieldData(type=item.type, field_name=item.name)  # pyright: ignore[reportArgumentType]
    column = vectors.get(item.name)
    valid = np.zeros(count, np.bool_) if column is None else column.valid
    rows: Any = slice(None)
    if item.nullable:
        # Nulls are left out of the payload and marked beside it.
        found.valid_data.extend([True] * count if valid is None else valid.tolist())
        rows = slice(None) if valid is None else np.flatnonzero(valid)
    if item.dim is None:
        contents = [] if column is None else sparse_rows(column)
        wanted = range(len(contents))[rows] if isinstance(rows, slice) else rows.tolist()
        found.vectors.sparse_float_vector.contents.extend(contents[row] for row in wanted)
        found.vectors.sparse_float_vector.dim = (
            int(column.indices.max()) + 1 if column is not None and len(column.indices) else 0
        )
        return found
    found.vectors.dim = item.dim
    kind = NUMPY_DTYPE[item.dtype]
    data = b"" if column is None else np.ascontiguousarray(column.values[rows], kind).tobytes()
    if item.dtype is DType.FLOAT32:
        found.vectors.float_vector.MergeFromString(packed_message(data))
    else:
        setattr(found.vectors, _BYTES_FIELD[item.type], data)
    return found


def packed_message(data: bytes) -> bytes:
    """A message whose packed repeated field 1 holds these bytes; the inverse of decode.packed_payload."""
    size = len(data)
    head = bytearray(b"\x0a")
    while size > 0x7F:
        head.append(size & 0x7F | 0x80)
        size >>= 7
    head.append(size)
    return bytes(head) + data


def sparse_rows(column: SparseColumn) -> list[bytes]:
    """Each row as (index, value) pairs."""
    pairs = np.empty(len(column.indices), _PAIR)
    pairs["index"], pairs["value"] = column.indices, column.values
    data = pairs.tobytes()
    ends = (column.offsets * _PAIR.itemsize).tolist()
    return [data[start:end] for start, end in pairwise(ends)]
