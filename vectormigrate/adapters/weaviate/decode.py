"""From Weaviate's search replies to record batches. Pure."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import numpy as np

from vectormigrate.adapters.weaviate.beacons import beacon_of
from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.layout import Layout, Property, Vector
from vectormigrate.adapters.weaviate.proto import search
from vectormigrate.adapters.weaviate.values import moment_of
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import DenseColumn, Metadata, MultiColumn, RecordBatch, Value, VectorColumn
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import VectorKind

Decode = Callable[[Any], Value]


def request_of(layout: Layout, *, metadata: bool = True) -> search.PropertiesRequest:
    """Asks for every property by name, blobs and what is inside objects too, except for those that are read over REST
    (Layout.by_rest). An empty request yields none."""
    if not metadata:
        return search.PropertiesRequest()
    return search.PropertiesRequest(
        non_ref_properties=[item.name for item in layout.plain if not item.is_object],
        object_properties=[_object_request(item) for item in layout.plain if item.is_object and not item.hides_members],
    )


def _object_request(item: Property) -> search.ObjectPropertiesRequest:
    return search.ObjectPropertiesRequest(
        prop_name=item.name,
        primitive_properties=[inner.name for inner in item.nested.values() if not inner.is_object],
        object_properties=[_object_request(inner) for inner in item.nested.values() if inner.is_object],
    )


def id_of(result: Any) -> UUID:
    """The id of one search result."""
    return UUID(bytes=result.metadata.id_as_bytes)


def batch_of(
    results: Sequence[Any], layout: Layout, dims: Mapping[str, int | None], namespace: str, *, vectors: bool
) -> RecordBatch:
    """The records of a reply, with a column for every vector of `dims`."""
    metas = [result.metadata for result in results]
    ids: list[RecordId] = [UUID(bytes=meta.id_as_bytes) for meta in metas]
    decoders = {item.name: decoder(item) for item in layout.plain}
    rows = [_row(result.properties, decoders) for result in results]
    columns: dict[str, VectorColumn] = {}
    if vectors:
        found = _by_name(metas, layout)
        for item in layout.vectors:
            if item.name in dims:
                columns[item.name] = _column(item, found[item.name], dims[item.name])
    return RecordBatch(namespace, ids, columns, rows)


def _row(found: Any, decoders: Mapping[str, Decode]) -> Metadata:
    """Top-level null is the same as a missing property in Weaviate."""
    row: Metadata = {}
    for name, value in found.non_ref_props.fields.items():
        decoded = decoders[name](value)
        if decoded is not None:
            row[name] = decoded
    return row


def _by_name(metas: Sequence[Any], layout: Layout) -> dict[str, list[bytes]]:
    """The vectors' bytes per name and row; b"" where a record has none."""
    found: dict[str, list[bytes]] = {item.name: [b""] * len(metas) for item in layout.vectors}
    if "" in found:
        found[""] = [meta.vector_bytes for meta in metas]
    if found.keys() - {""}:
        for row, meta in enumerate(metas):
            for entry in meta.vectors:
                if entry.name in found:
                    found[entry.name][row] = entry.vector_bytes
    return found


def _column(item: Vector, rows: list[bytes], dim: int | None) -> VectorColumn:
    present = [row for row in rows if row]
    valid = None if len(present) == len(rows) else np.array([bool(row) for row in rows], np.bool_)
    if item.kind is VectorKind.MULTI:
        return _multi(item, rows, dim, valid)
    width = dim if dim is not None else (len(present[0]) // 4 if present else 0)
    if any(len(row) != 4 * width for row in present):
        wrong = next(len(row) // 4 for row in present if len(row) != 4 * width)
        raise _ragged(item, width, wrong)
    if valid is None:
        values = np.frombuffer(b"".join(rows), "<f4").reshape(len(rows), width)
        return DenseColumn(values.astype(np.float32, copy=True))
    values = np.zeros((len(rows), width), np.float32)
    values[valid] = np.frombuffer(b"".join(present), "<f4").reshape(len(present), width)
    return DenseColumn(values, valid=valid)


def _multi(item: Vector, rows: list[bytes], dim: int | None, valid: Any) -> MultiColumn:
    """Each row is a 16-bit dimension and then the vectors one after the other."""
    present = [row for row in rows if row]
    widths = {int.from_bytes(row[:2], "little") for row in present} - ({dim} if dim is not None else set[int]())
    if len(widths) > (dim is None):
        raise _ragged(item, dim or 0, max(widths))
    width = dim if dim is not None else next(iter(widths), 0)
    counts = [(len(row) - 2) // (4 * width) if row and width else 0 for row in rows]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    flat = np.frombuffer(b"".join(row[2:] for row in present), "<f4").reshape(-1, width) if width else np.zeros((0, 0))
    return MultiColumn(offsets, flat.astype(np.float32, copy=True), valid=valid)


def _ragged(item: Vector, wanted: int, found: int) -> InvalidRequest:
    message = (
        f"the vector {item.name!r} has records with {wanted} and with {found} dimensions; records of one collection "
        "must agree (write the odd ones again, or remove them)"
    )
    return InvalidRequest(message, adapter=NAME, operation="read")


_SINGLE: dict[str, Decode] = {
    "text_value": lambda value: value.text_value,
    "int_value": lambda value: value.int_value,
    "number_value": lambda value: value.number_value,
    "bool_value": lambda value: value.bool_value,
    "date_value": lambda value: moment_of(value.date_value),
    "uuid_value": lambda value: value.uuid_value,
    "geo_value": lambda value: {"lat": value.geo_value.latitude, "lon": value.geo_value.longitude},
    "blob_value": lambda value: base64.b64decode(value.blob_value),
    "phone_value": lambda value: phone_of(value.phone_value),
    "null_value": lambda value: None,
}

_LISTS: dict[str, Callable[[Any], list[Any]]] = {
    "text_values": lambda value: list(value.text_values.values),
    "int_values": lambda value: np.frombuffer(value.int_values.values, "<i8").tolist(),
    "number_values": lambda value: np.frombuffer(value.number_values.values, "<f8").tolist(),
    "bool_values": lambda value: list(value.bool_values.values),
    "date_values": lambda value: [moment_of(item) for item in value.date_values.values],
    "uuid_values": lambda value: list(value.uuid_values.values),
    "object_values": lambda value: [_inner(item) for item in value.object_values.values],
}


def decoder(item: Property) -> Decode:
    """The decoder for the values of one property; a missing value is None. Integers and texts, which are most, skip
    the look at what kind of value came."""
    if item.kind == "blobHash":
        return lambda value: value.blob_value if value.WhichOneof("kind") == "blob_value" else None
    return _any


def _any(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    single = _SINGLE.get(kind)
    if single is not None:
        return single(value)
    if kind == "list_value":
        return _list(value.list_value)
    if kind == "object_value":
        return _inner(value.object_value)
    return None


def _list(value: Any) -> list[Any]:
    kind = value.WhichOneof("kind")
    return [] if kind is None else _LISTS[kind](value)


def phone_of(value: Any) -> dict[str, Value]:
    """A phone number as REST spells it: members that hold nothing are left out."""
    found: dict[str, Value] = {
        "countryCode": value.country_code,
        "defaultCountry": value.default_country,
        "input": value.input,
        "internationalFormatted": value.international_formatted,
        "national": value.national,
        "nationalFormatted": value.national_formatted,
        "valid": value.valid,
    }
    return {key: item for key, item in found.items() if item}


_INSIDE: dict[str, Decode] = {
    **_SINGLE,
    "date_value": lambda value: value.date_value,
    "blob_value": lambda value: value.blob_value,
}


def _inner(value: Any) -> dict[str, Any]:
    """An object as JSON: a null inside is kept, dates and blobs stay text."""
    return {key: _inner_value(item) for key, item in value.fields.items()}


def _inner_value(value: Any) -> Any:
    kind = value.WhichOneof("kind")
    if kind == "list_value":
        if value.list_value.WhichOneof("kind") == "date_values":
            return list(value.list_value.date_values.values)
        return _list(value.list_value)
    if kind == "object_value":
        return _inner(value.object_value)
    return _INSIDE[kind](value) if kind is not None else None


def rest_values(items: Iterable[Mapping[str, Any]], layout: Layout) -> dict[UUID, dict[str, Value]]:
    """Per id the values of `layout.by_rest` that the record has, from objects as REST gives them."""
    found: dict[UUID, dict[str, Value]] = {}
    for item in items:
        held: Mapping[str, Any] = item.get("properties") or {}
        found[UUID(item["id"])] = {
            wanted.name: _rest_value(wanted, held[wanted.name])
            for wanted in layout.by_rest
            if held.get(wanted.name) is not None
        }
    return found


def _rest_value(item: Property, value: Any) -> Any:
    if item.is_reference:
        return [beacon_of(entry["beacon"], item) for entry in value]
    return _rest_json(item, value)


def _rest_json(item: Property, value: Any) -> Any:
    """A member of an object from REST, which writes whole floats without a fraction."""
    if value is None:
        return None
    if isinstance(value, list):
        return [_rest_json(item, entry) for entry in value]
    match item.kind:
        case "object":
            return {key: _rest_json(item.nested[key], member) for key, member in value.items()}
        case "int":
            return int(value)
        case "number":
            return float(value)
        case _:
            return value
