"""The origin sidecar: what a record was before it was encoded, as compact JSON text in the field `_vm_origin`.

==== ==================================================================================================
v    version, 1
id   typed original id (model/ids.py), when the record's id is another one
ns   original namespace, when the record is in another one
at   CRC-32 of the typed id that the record was given, with `id` and `ns`
k o m  metadata notes (mapping/convert/metadata.py)
x    vector field -> 0 (was absent, filled), 1 or sign bits (was zeros), a length note (convert/vectors.py), or for a
     multi-vector `{"position": length note}`
==== ==================================================================================================

Names are those of the collection that holds the sidecar.

An application may copy a record's metadata, sidecar included, to another record. `id` and `ns` count only for the
record that they were written for, or two records would become one; the other notes hold for any record, because each
counts only while what it describes is as the encoding left it. Sidecars without `at`, of older versions, are believed.
"""

from __future__ import annotations

import zlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import orjson

from vectormigrate.mapping.convert.metadata import decode_metadata
from vectormigrate.mapping.convert.vectors import DENSE_FILLER, SPARSE_FILLER, LengthNote, denormalise, zeros_of
from vectormigrate.mapping.limits import ORIGIN, ORIGIN_ID
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import RecordId, id_key, parse_id_key
from vectormigrate.model.schema import DType

VERSION = 1

Sidecar = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Restored:
    """`batch`: the original records, still under the namespace that they were read from. `namespaces`: the original
    namespace per row, None where the row has no other one; None when that holds for all rows."""

    batch: RecordBatch
    namespaces: list[str | None] | None = None


def write_sidecar(sidecar: Sidecar) -> str:
    """The text of a sidecar (not empty, without its version): the version first, then its members in order."""
    members = orjson.dumps(sidecar, option=orjson.OPT_SORT_KEYS).decode()
    return f'{{"v":{VERSION},{members[1:]}'


def read_sidecar(value: object) -> Sidecar | None:
    """The sidecar in a field value, or None when this version did not write it. It never writes an empty one."""
    if not isinstance(value, str) or not value.startswith('{"v":'):
        return None
    try:
        sidecar = orjson.loads(value)
    except ValueError:
        return None
    return sidecar if sidecar.get("v") == VERSION and len(sidecar) > 1 and _well_formed(sidecar) else None


def _well_formed(sidecar: Sidecar) -> bool:
    """Whether the members have their types, so that an edited sidecar cannot make restoring fail."""
    types: tuple[tuple[str, type], ...] = (("id", str), ("ns", str), ("k", dict), ("o", dict), ("m", list), ("x", dict))
    if not all(isinstance(sidecar[name], kind) for name, kind in types if name in sidecar):
        return False
    notes = all(isinstance(note, list) and _is_value_note(note) for note in sidecar.get("m", ()))
    names = all(isinstance(key, str) for key in sidecar.get("k", {}).values())
    shapes = all(isinstance(shape, dict) for shape in sidecar.get("o", {}).values())
    return notes and names and shapes


def _is_value_note(note: list[Any]) -> bool:
    if len(note) < 2 or (len(note) == 2 and note[0] != "n"):
        return False
    steps = note[1] if isinstance(note[1], list) else [note[1]]
    return bool(steps) and all(isinstance(step, str | int) for step in steps)


def restore(batch: RecordBatch) -> Restored:
    """Undo every sidecar in the batch. A record without one comes back as it is; the input is not changed."""
    rows = [row for row, metadata in enumerate(batch.metadata) if ORIGIN in metadata]
    sidecars = {row: note for row in rows if (note := read_sidecar(batch.metadata[row][ORIGIN])) is not None}
    if not sidecars:
        return Restored(batch)
    ids: list[RecordId] = list(batch.ids)
    metadata = list(batch.metadata)
    namespaces: list[str | None] = [None] * len(ids)
    for row, sidecar in sidecars.items():
        metadata[row] = _original_metadata(metadata[row], sidecar)
        if sidecar.get("at", check := id_check(ids[row])) == check:
            ids[row] = _original_id(sidecar, ids[row])
            namespaces[row] = sidecar.get("ns")
    vectors = _original_vectors(batch.vectors, sidecars)
    restored = replace(batch, ids=ids, metadata=metadata, vectors=vectors)
    return Restored(restored, namespaces if any(name is not None for name in namespaces) else None)


def id_check(record_id: RecordId) -> int:
    """What a sidecar knows the record by that it was written for."""
    return zlib.crc32(id_key(record_id).encode(errors="surrogatepass"))


def _original_id(sidecar: Sidecar, record_id: RecordId) -> RecordId:
    try:
        return parse_id_key(sidecar["id"]) if "id" in sidecar else record_id
    except ValueError:
        return record_id


def _original_metadata(metadata: Metadata, sidecar: Sidecar) -> Metadata:
    rest = {
        key: value for key, value in metadata.items() if key != ORIGIN and (key != ORIGIN_ID or "id" not in sidecar)
    }
    return decode_metadata(rest, sidecar) if sidecar.keys() & {"k", "o", "m"} else rest


def _original_vectors(
    columns: Mapping[str, VectorColumn], sidecars: Mapping[int, Sidecar]
) -> Mapping[str, VectorColumn]:
    notes: defaultdict[str, dict[int, Any]] = defaultdict(dict)
    for row, sidecar in sidecars.items():
        for name, note in sidecar.get("x", {}).items():
            if name in columns:
                notes[name][row] = note
    if not notes:
        return columns
    return {
        name: _original_column(column, notes[name]) if name in notes else column for name, column in columns.items()
    }


def _original_column(column: VectorColumn, notes: Mapping[int, Any]) -> VectorColumn:
    if isinstance(column, DenseColumn):
        column = _unzero(column, notes)
        valid = _unfill(column, [row for row, note in notes.items() if note == 0])
        lengths = {row: note for row, note in notes.items() if _is_length_note(note)}
        if not lengths or column.dtype is not DType.FLOAT32:
            return replace(column, valid=valid)
        return DenseColumn(denormalise(column.values, lengths), column.dtype, valid)
    if isinstance(column, SparseColumn):
        return _unfill_sparse(column, notes)
    if isinstance(column, MultiColumn) and column.dtype is DType.FLOAT32:
        return replace(column, values=denormalise(column.values, _flat_notes(column, notes)))
    return column


def _unzero(column: DenseColumn, notes: Mapping[int, Any]) -> DenseColumn:
    """The column with zeros where DENSE_FILLER still stands for them."""
    dim = column.values.shape[1]
    found = {row: np.zeros(dim) if note == 0 else zeros_of(note, dim) for row, note in notes.items()}
    still = [
        row
        for row, zeros in found.items()
        if zeros is not None and column.values[row, 0] == DENSE_FILLER and not column.values[row, 1:].any()
    ]
    if not still:
        return column
    values = column.values.copy()
    for row in still:
        values[row] = found[row]
    return replace(column, values=values)


def _unfill(column: DenseColumn, rows: Sequence[int]) -> Any:
    """The mask without the rows that were filled and still hold zeros."""
    still = [row for row in rows if not column.values[row].any()]
    if not still:
        return column.valid
    valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid.copy()
    valid[still] = False
    return valid


def _unfill_sparse(column: SparseColumn, notes: Mapping[int, Any]) -> SparseColumn:
    """The column without the rows that were filled and still hold the filler; a note of 1 leaves an empty vector."""
    index, weight = SPARSE_FILLER
    starts = column.offsets[:-1]
    still = [
        row
        for row, note in notes.items()
        if note in (0, 1)
        and column.offsets[row + 1] - starts[row] == 1
        and column.indices[starts[row]] == index
        and column.values[starts[row]] == weight
    ]
    if not still:
        return column
    valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid.copy()
    valid[[row for row in still if notes[row] == 0]] = False
    lengths = np.diff(column.offsets)
    lengths[still] = 0
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    gone = starts[still]
    return SparseColumn(
        offsets, np.delete(column.indices, gone), np.delete(column.values, gone), None if valid.all() else valid
    )


def _flat_notes(column: MultiColumn, notes: Mapping[int, Any]) -> dict[int, LengthNote]:
    flat: dict[int, LengthNote] = {}
    for row, note in notes.items():
        start, end = int(column.offsets[row]), int(column.offsets[row + 1])
        for position, inner in note.items() if isinstance(note, dict) else ():
            if position.isdecimal() and start + int(position) < end and _is_length_note(inner):
                flat[start + int(position)] = inner
    return flat


def _is_length_note(note: object) -> bool:
    if not isinstance(note, list) or len(note) not in (2, 3) or not isinstance(note[-1], str):
        return False
    return len(note) == 2 or isinstance(note[1], float | int)
