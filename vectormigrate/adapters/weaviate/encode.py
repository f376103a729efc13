"""From record batches to Weaviate's batch objects, with a reject for everything that Weaviate would refuse or alter.

Weaviate's own per-object errors come too late: an object whose vector has the wrong length may be stored all the same.
Pure.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from vectormigrate.adapter import Reject
from vectormigrate.adapters.weaviate import values as v
from vectormigrate.adapters.weaviate.beacons import links_of
from vectormigrate.adapters.weaviate.layout import Layout, Property, Vector
from vectormigrate.adapters.weaviate.proto import base
from vectormigrate.adapters.weaviate.proto import batch as pb
from vectormigrate.adapters.weaviate.values import BadValue
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, VectorColumn
from vectormigrate.model.schema import VectorKind

SINGLE = base.Vectors.VectorType.VECTOR_TYPE_SINGLE_FP32
MULTI = base.Vectors.VectorType.VECTOR_TYPE_MULTI_FP32

Links = list[tuple[str, str | None, str]]
"""References of one record: property, target class, target uuid; no uuid stands for an empty list that has to wait."""


@dataclass(slots=True, kw_only=True)
class Encoded:
    """`objects[i]` came from row `rows[i]`; `links[i]` are its references."""

    objects: list[pb.BatchObject] = field(default_factory=list[pb.BatchObject])
    rows: list[int] = field(default_factory=list[int])
    links: list[Links] = field(default_factory=list[Links])
    rejects: list[Reject] = field(default_factory=list[Reject])


def encode(batch: RecordBatch, layout: Layout, dims: Mapping[str, int | None]) -> Encoded:
    """The objects of the records that can be written; of one id twice only the last."""
    encoded = Encoded()
    bad = _bad_vectors(batch, layout, dims)
    last = {record_id: row for row, record_id in enumerate(batch.ids)}
    writers = {item.name: _writer(item) for item in layout.plain}
    references = {item.name: item for item in layout.references}
    later = {item.name for item in layout.later}
    vectors = [(item, batch.vectors[item.name]) for item in layout.vectors if item.name in batch.vectors]
    for row, record_id in enumerate(batch.ids):
        if last[record_id] != row:
            continue
        try:
            if not isinstance(record_id, UUID):
                raise BadValue("id", f"ids are UUIDs on Weaviate, not {type(record_id).__name__}")
            if row in bad:
                raise bad[row]
            item = pb.BatchObject(collection=layout.name, tenant=batch.namespace, uuid=str(record_id))
            links = _properties(item.properties, batch.metadata[row], writers, references, later)
        except BadValue as error:
            encoded.rejects.append(Reject(record_id, batch.namespace, error.code, error.reason))
            continue
        for vector, column in vectors:
            _add_vector(item, vector, column, row)
        encoded.objects.append(item)
        encoded.rows.append(row)
        encoded.links.append(links)
    return encoded


def _bad_vectors(batch: RecordBatch, layout: Layout, dims: Mapping[str, int | None]) -> dict[int, BadValue]:
    """Per row what is wrong with a vector of it."""
    bad: dict[int, BadValue] = {}
    for name, column in batch.vectors.items():
        item = layout.vector(name)
        valid = np.ones(len(column), np.bool_) if column.valid is None else column.valid
        problem = _column_problem(name, column, item, dims.get(name))
        if problem is not None:
            bad.update({int(row): problem for row in np.flatnonzero(valid)})
            continue
        assert isinstance(column, DenseColumn | MultiColumn)
        broken = ~np.isfinite(column.values).all(axis=1) if len(column.values) else np.zeros(len(column.values), bool)
        if isinstance(column, MultiColumn):
            counts = np.diff(column.offsets)
            empty = BadValue("empty_vector", f"the multi-vector {name!r} holds no vector")
            bad.update({int(row): empty for row in np.flatnonzero(valid & (counts == 0))})
            broken = np.bincount(np.repeat(np.arange(len(column)), counts), broken, len(column)) > 0
        nonfinite = BadValue("nan", f"the vector {name!r} holds NaN or an infinity")
        bad.update({int(row): nonfinite for row in np.flatnonzero(broken & valid)})
    return bad


def _column_problem(name: str, column: VectorColumn, item: Vector | None, dim: int | None) -> BadValue | None:
    if item is None:
        return BadValue("vector", f"the class has no vector {name!r}")
    wanted = MultiColumn if item.kind is VectorKind.MULTI else DenseColumn
    if not isinstance(column, wanted):
        return BadValue("vector", f"the vector {name!r} of the class is of another kind ({item.kind})")
    if column.values.dtype != np.float32:
        return BadValue("vector", f"Weaviate holds 32-bit floats; the vector {name!r} is {column.values.dtype}")
    width = column.values.shape[1]
    if dim is not None and width != dim:
        return BadValue("dimension", f"the vector {name!r} has {width} dimensions, the class holds {dim}")
    return None


def _add_vector(item: pb.BatchObject, vector: Vector, column: VectorColumn, row: int) -> None:
    if column.valid is not None and not column.valid[row]:
        return
    if isinstance(column, MultiColumn):
        part = column.values[int(column.offsets[row]) : int(column.offsets[row + 1])]
        data = part.shape[1].to_bytes(2, "little") + part.astype("<f4", copy=False).tobytes()
        item.vectors.add(name=vector.name, vector_bytes=data, type=MULTI)
        return
    assert isinstance(column, DenseColumn)
    data = column.values[row].astype("<f4", copy=False).tobytes()
    if vector.name:
        item.vectors.add(name=vector.name, vector_bytes=data, type=SINGLE)
    else:
        item.vector_bytes = data


Writer = Callable[[Any, Any, str], None]
"""Puts a value into a message with Weaviate's property fields."""


def _properties(
    into: Any,
    metadata: Metadata,
    writers: Mapping[str, Writer],
    references: Mapping[str, Property],
    later: Collection[str],
) -> Links:
    into.SetInParent()
    links: Links = []
    for key, value in metadata.items():
        writer = writers.get(key)
        if writer is not None:
            if value is None:
                raise BadValue("null", f"Weaviate drops the null in {key!r}")
            writer(into, value, key)
        elif key in references:
            links.extend(links_of(value, references[key]))
            # An empty list of references is kept, unlike a missing one.
            if not value and key in later:
                links.append((key, None, ""))
            elif not value:
                into.empty_list_props.append(key)
        else:
            raise v.unknown_key(key, {**dict.fromkeys(writers), **references})  # pyright: ignore[reportArgumentType]
    return links


def _text(into: Any, value: Any, key: str) -> None:
    into.non_ref_properties.fields[key].string_value = v.text(value)


def _hash(into: Any, value: Any, key: str) -> None:
    raise BadValue("field_type", f"{key!r} is a blobHash, which Weaviate makes from what is written; use a text column")


def _scalar(convert: Callable[[Any], Any], member: str) -> Writer:
    def write(into: Any, value: Any, key: str) -> None:
        setattr(into.non_ref_properties.fields[key], member, convert(value))

    return write


def _struct(convert: Callable[[Any], Mapping[str, Any]]) -> Writer:
    def write(into: Any, value: Any, key: str) -> None:
        into.non_ref_properties.fields[key].struct_value.update(convert(value))

    return write


_SCALARS: dict[str, Writer] = {
    "text": _text,
    "string": _text,
    "int": _scalar(v.whole, "number_value"),
    "number": _scalar(v.number, "number_value"),
    "boolean": _scalar(v.boolean, "bool_value"),
    "date": _scalar(v.date_text, "string_value"),
    "uuid": _scalar(v.uuid_text, "string_value"),
    "geoCoordinates": _struct(v.place),
    "phoneNumber": _struct(v.phone),
    "blob": _scalar(v.blob_text, "string_value"),
    "blobHash": _hash,
}

_LISTS: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "text": ("text_array_properties", v.text),
    "string": ("text_array_properties", v.text),
    "int": ("int_array_properties", v.whole),
    "number": ("number_array_properties", v.number),
    "boolean": ("boolean_array_properties", v.boolean),
    "date": ("text_array_properties", v.date_text),
    "uuid": ("text_array_properties", v.uuid_text),
}


def _writer(item: Property) -> Writer:
    if item.is_object:
        return _object_list(item) if item.many else _object(item)
    return _list(item.kind) if item.many else _SCALARS[item.kind]


def _list(kind: str) -> Writer:
    member, convert = _LISTS[kind]

    def write(into: Any, value: Any, key: str) -> None:
        if not isinstance(value, list):
            raise BadValue("field_type", f"{key!r} is a list of {kind}, not {type(value).__name__}")
        if not value:
            into.empty_list_props.append(key)
            return
        converted = [convert(item) for item in value]
        if kind == "number":
            into.number_array_properties.add(prop_name=key, values_bytes=np.array(converted, "<f8").tobytes())
        else:
            getattr(into, member).add(prop_name=key, values=converted)

    return write


def _object(item: Property) -> Writer:
    write_members = _members(item)

    def write(into: Any, value: Any, key: str) -> None:
        entry = into.object_properties.add(prop_name=key)
        entry.value.SetInParent()
        write_members(entry.value, value, key)

    return write


def _object_list(item: Property) -> Writer:
    write_members = _members(item)

    def write(into: Any, value: Any, key: str) -> None:
        if not isinstance(value, list):
            raise BadValue("field_type", f"{key!r} is a list of objects, not {type(value).__name__}")
        if not value:
            into.empty_list_props.append(key)
            return
        entry = into.object_array_properties.add(prop_name=key)
        for part in value:
            write_members(entry.values.add(), part, key)

    return write


def _members(item: Property) -> Writer:
    """Writes the members of an object, in the JSON form that reading gives. A null inside is kept."""
    writers = {inner.name: _inner(inner) for inner in item.nested.values()}

    def write(into: Any, value: Any, key: str) -> None:
        if not isinstance(value, dict):
            raise BadValue("field_type", f"{key!r} is an object, not {type(value).__name__}")
        for name, member in value.items():
            writer = writers.get(name)
            if writer is None:
                raise v.unknown_key(f"{key}.{name}", item.nested)
            if member is None:
                into.non_ref_properties.fields[name].null_value = 0
            else:
                writer(into, member, name)

    return write


def _inner_date(value: Any) -> str:
    """A date inside an object is text, whatever its precision."""
    if not isinstance(value, str) or not v.is_date(value):
        raise BadValue("field_type", "a date inside an object is RFC 3339 text with a time zone")
    return value


def _inner(item: Property) -> Writer:
    if item.kind == "date" and item.many:
        return _inner_dates
    if item.kind == "date":
        return _scalar(_inner_date, "string_value")
    if item.kind == "blob":
        return _scalar(v.base64_text, "string_value")
    return _writer(item)


def _inner_dates(into: Any, value: Any, key: str) -> None:
    if not isinstance(value, list):
        raise BadValue("field_type", f"{key!r} is a list of dates, not {type(value).__name__}")
    if value:
        into.text_array_properties.add(prop_name=key, values=[_inner_date(item) for item in value])
    else:
        into.empty_list_props.append(key)
