"""What must be true of the target's own records, said without our mapping code: every value is there as it was, or the
record's sidecar names it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tests.conformance.data import typed
from tests.natively import NativeRecord
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, VectorColumn
from vectormigrate.model.ids import id_key

Sidecar = dict[str, Any]
Key = tuple[str, str]


def shown(found: Sequence[NativeRecord]) -> dict[Key, Any]:
    """The records in a form that compares exactly, types included."""
    assert len({(item.namespace, str(item.id)) for item in found}) == len(found)
    return {
        (item.namespace, f"{type(item.id).__name__}:{item.id}"): (typed(dict(item.fields)), dict(item.vectors))
        for item in found
    }


def check(
    batches: Sequence[RecordBatch], found: Sequence[NativeRecord], names: Mapping[str, str], *, units: bool
) -> list[str]:
    """What is wrong, one line each. `names`: source vector field -> target's, without the fields that were lost.
    `units`: the source itself made the dense vectors unit vectors."""
    expected = {
        (batch.namespace, id_key(record_id)): (batch, row)
        for batch in batches
        for row, record_id in enumerate(batch.ids)
    }
    wrong: list[str] = []
    seen: set[Key] = set()
    for item in found:
        sidecar = _sidecar(item.fields.get("_vm_origin"))
        key = _key(item, sidecar, expected)
        if key is None or key in seen:
            wrong.append(f"{item.namespace!r} {item.id!r}: {'twice' if key else 'not expected'}")
            continue
        seen.add(key)
        batch, row = expected[key]
        wrong += [f"{key}: {line}" for line in _fields(batch.metadata[row], item.fields, sidecar)]
        for name, target in names.items():
            line = _vector(batch.vectors[name], row, item.vectors.get(target), sidecar.get("x", {}).get(target), units)
            wrong += [f"{key}: vector {name!r}: {line}"] if line else []
    return wrong + [f"{key}: missing" for key in sorted(expected.keys() - seen)]


def _sidecar(value: object) -> Sidecar:
    """The sidecar of a record; a field of that name that holds anything else is the record's own."""
    return json.loads(value) if isinstance(value, str) and value.startswith('{"v":') else {}


def _key(item: NativeRecord, sidecar: Sidecar, expected: Mapping[Key, Any]) -> Key | None:
    """Namespace and typed id of the original record."""
    namespace = sidecar.get("ns", item.namespace)
    texts = [sidecar["id"]] if "id" in sidecar else [f"{kind}:{item.id}" for kind in ("i", "s", "u")]
    return next(((namespace, text) for text in texts if (namespace, text) in expected), None)


def _fields(source: Metadata, target: Mapping[str, Any], sidecar: Sidecar) -> list[str]:
    noted = {note[1] if isinstance(note[1], str) else note[1][0] for note in sidecar.get("m", ())}
    noted |= {path[0] for path, _ in json.loads(target.get("_vm_exact", "[]"))}
    renamed: dict[str, str] = {original: name for name, original in sidecar.get("k", {}).items()}
    flattened: dict[str, Any] = sidecar.get("o", {})
    wrong: list[str] = []
    explained = {"_vm_origin", "_vm_id", "_vm_exact"}
    for key, value in source.items():
        name = renamed.get(key, key)
        explained.add(name)
        if key in flattened:
            explained |= set(_flat_names(flattened[key], key))
        elif key not in noted and (name not in target or typed(target[name]) != typed(value)):
            wrong.append(f"field {key!r}: {value!r} became {target.get(name, 'nothing')!r}, which no note says")
    return wrong + [f"field {name!r} came from nowhere" for name in sorted(target.keys() - explained)]


def _flat_names(shape: Any, path: str) -> list[str]:
    if isinstance(shape, str):
        return [shape]
    if not isinstance(shape, dict):
        return [path]
    return [name for key, inner in shape.items() for name in _flat_names(inner, f"{path}.{key}")]


def _vector(column: VectorColumn, row: int, found: Any, note: Any, units: bool) -> str | None:
    """What is wrong with one vector. A note explains a changed length, a filler and a missing one."""
    present = column.valid is None or bool(column.valid[row])
    if found is None or not present:
        explained = found is None or note is not None
        return None if not present and explained else "missing" if present else "came from nowhere"
    assert not isinstance(column, MultiColumn)
    if isinstance(column, SparseColumn):
        part = slice(int(column.offsets[row]), int(column.offsets[row + 1]))
        wanted = dict(zip(column.indices[part].tolist(), column.values[part].tolist(), strict=True))
        return None if found == wanted or note is not None else f"{wanted} became {found}"
    return _dense(column, row, np.array(found, np.float32), note, units)


def _dense(column: DenseColumn, row: int, got: Any, note: Any, units: bool) -> str | None:
    wanted = column.values[row]
    if np.array_equal(got, wanted):
        return None
    length = float(np.linalg.norm(wanted.astype(np.float64)))
    if note is None:
        close = length > 0 and np.allclose(got, wanted / length, atol=1e-6) and (units or abs(length - 1) < 1e-5)
        return None if close else f"{wanted} became {got}, which no note says"
    if length == 0:
        return None
    return None if np.allclose(got, wanted / length, atol=1e-6) else f"{wanted} became {got}"
