"""A recommendation from names and types alone, for a source that nobody can connect to.

The evidence are typical and extreme values of each type, in the form in which the source holds them; real data may be
tamer. A field called `id` of a type of ids (text, integer, UUID) is the record's id, whose type narrows what ids are;
without one, every kind of id that the source has is assumed.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from vectormigrate import registry
from vectormigrate.adapter import Capabilities, TypeWord, ValueKind
from vectormigrate.advice.evidence import Inferred
from vectormigrate.advice.fidelity import general_notices
from vectormigrate.advice.recommend import Declared, Sample, column_rules, decide_for, recommendation
from vectormigrate.advice.type_words import FieldKind, field_kind
from vectormigrate.errors import ConfigError
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.paths import parse_path
from vectormigrate.model.answers import Recommendation
from vectormigrate.model.batch import Metadata, RecordBatch, Value
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)

ID = "id"

EXAMPLES: Mapping[FieldType, tuple[Value, ...]] = {
    FieldType.BOOL: (True, False),
    FieldType.INT8: (0, 127, -128),
    FieldType.INT16: (0, 32_767, -32_768),
    FieldType.INT32: (0, 2**31 - 1, -(2**31)),
    FieldType.INT64: (0, 2**53 + 1, -(2**63)),
    FieldType.FLOAT32: (0.5, 1.0, -2.25),
    FieldType.FLOAT64: (0.1, 1.0, -1e300),
    FieldType.STRING: ("text", ""),
    FieldType.TEXT: ("a longer text", ""),
    FieldType.DATETIME: (datetime(2026, 1, 1, tzinfo=UTC), datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
    FieldType.UUID: (str(UUID(int=1)), str(UUID(int=2**127))),
    FieldType.GEO: ({"lat": 52.5, "lon": 13.25}, {"lat": -90.0, "lon": 180.0}),
    FieldType.BYTES: (b"\x00\xff", b""),
    FieldType.JSON: ({"a": {"b": "text"}}, {"a": {"b": "other"}}),
    FieldType.LIST: (["a", "b"], ["c"]),
}
"""Typical and extreme values of each type: the evidence for a field of which only the type is known."""

_IDS: Mapping[IdKind, RecordId] = {
    IdKind.INT64: 7,
    IdKind.UINT64: 2**63 + 7,
    IdKind.UUID: UUID(int=7),
    IdKind.STRING: "seven",
}

_ID_TYPES: Mapping[FieldType, frozenset[IdKind]] = {
    **dict.fromkeys(
        (FieldType.INT8, FieldType.INT16, FieldType.INT32, FieldType.INT64), frozenset({IdKind.INT64, IdKind.UINT64})
    ),
    **dict.fromkeys((FieldType.STRING, FieldType.TEXT), frozenset({IdKind.STRING})),
    FieldType.UUID: frozenset({IdKind.UUID, IdKind.STRING}),
}


def recommend_fields(source_type: str, target_type: str, fields: Mapping[str, str]) -> Recommendation:
    """A recommendation for these fields; without any, for an id and a vector, with what happens to other things in
    general. Raises UnknownAdapter, and ConfigError for an unknown field type."""
    source = registry.load(source_type)
    target = registry.load(target_type)
    kinds = {name: field_kind(source_type, _word(name, text)) for name, text in fields.items()}
    if not fields:
        kinds = {"vector": FieldKind(word=TypeWord(vector=VectorKind.DENSE))}
    ids = source.capabilities.ids.kinds
    if ID in kinds and kinds[ID].word.vector is None and kinds[ID].word.type in _ID_TYPES:
        ids = (ids & _ID_TYPES[kinds.pop(ID).word.type]) or ids
    schema = CollectionSchema(
        name="collection",
        id_kinds=ids,
        vectors=tuple(_vector(name, kind, source.capabilities) for name, kind in kinds.items() if kind.word.vector),
        fields=tuple(_field(name, kind) for name, kind in kinds.items() if kind.word.vector is None),
        dynamic=source.capabilities.metadata.dynamic,
    )
    batch = _batch(schema, source.capabilities)
    namespaces = {"": len(batch)}
    sample = Sample(mapper=Mapper(decide_for(source_type, target_type, schema, namespaces, None).rules))
    sample.add(batch)
    columns = column_rules(source_type, target_type, schema, namespaces, sample)
    if columns is not None:
        again = Sample(mapper=Mapper(columns))
        again.add(batch)
        sample.losses = again.losses
    declared = {
        item.name: Declared(
            kind=Inferred(type=item.type, element=item.element), indexed=item.indexed, reason="by its type"
        )
        for item in schema.fields
    }
    made = recommendation(source_type, target_type, schema, namespaces, sample, declared, inner=False)
    order = {name: number for number, name in enumerate(kinds, 1)}
    lines = sorted(made.field_mappings, key=lambda line: order.get(".".join(parse_path(line.source_field)), 0))
    made = replace(made, field_mappings=tuple(lines))
    if fields:
        return made
    general = general_notices((source.name, source.capabilities), (target.name, target.capabilities))
    return replace(made, notices=(*made.notices, *general))


def _word(name: str, text: object) -> str:
    if not isinstance(text, str):
        raise ConfigError(f"the type of field {name!r} must be a text such as 'string', not {text!r}")
    return text


def _vector(name: str, kind: FieldKind, caps: Capabilities) -> VectorField:
    """Words for types say nothing about the metric: the most usual one of the source is assumed."""
    assert kind.word.vector is not None
    order = [Metric.COSINE, Metric.DOT, Metric.L2]
    if kind.word.vector is VectorKind.SPARSE:
        order = [Metric.DOT]
    elif kind.word.dtype is DType.BITS:
        order = [Metric.HAMMING, Metric.JACCARD]
    metric = next((item for item in order if item in caps.vectors.metrics), order[0])
    dim = None if kind.word.vector is VectorKind.SPARSE else kind.size
    return VectorField(name=name, kind=kind.word.vector, dim=dim, metric=metric, dtype=kind.word.dtype)


def _field(name: str, kind: FieldKind) -> MetadataField:
    """Declared, and filtered on unless it is prose or has no one value."""
    word = kind.word
    element = word.element or (FieldType.STRING if word.type is FieldType.LIST else None)
    filtered = (element or word.type) not in (FieldType.TEXT, FieldType.JSON, FieldType.BYTES, FieldType.LIST)
    return MetadataField(name=name, type=word.type, element=element, declared=True, indexed=filtered)


def _batch(schema: CollectionSchema, caps: Capabilities) -> RecordBatch:
    """Records that hold the examples, each id kind at least once."""
    columns = {item.name: _examples(item, caps) for item in schema.fields}
    kinds = sorted(schema.id_kinds)
    most = max([len(kinds), *map(len, columns.values())])
    rows: list[Metadata] = [{name: values[n % len(values)] for name, values in columns.items()} for n in range(most)]
    return RecordBatch("", [_id(kinds[n % len(kinds)], n) for n in range(most)], {}, rows)


def _id(kind: IdKind, number: int) -> RecordId:
    first = _IDS[kind]
    if isinstance(first, int):
        return first + number
    return UUID(int=first.int + number) if isinstance(first, UUID) else f"{first}-{number}"


def _examples(item: MetadataField, caps: Capabilities) -> list[Value]:
    kind = item.element if item.type is FieldType.LIST and item.element is not None else item.type
    low, high = caps.metadata.int_range
    legal = [value for value in EXAMPLES[kind] if type(value) is not int or low <= value <= high]
    values = [_held(value, caps) for value in legal]
    return values if kind is item.type else [values, values[:1]]


def _held(value: Value, caps: Capabilities) -> Value:
    """The value as the source holds it: dates and bytes as text, whole numbers as floats, where it has nothing else."""
    held = caps.metadata.value_kinds
    if isinstance(value, datetime) and ValueKind.DATETIME not in held:
        return value.isoformat().replace("+00:00", "Z")
    if isinstance(value, bytes) and ValueKind.BYTES not in held:
        return base64.b64encode(value).decode()
    if type(value) is int and ValueKind.INT not in held:
        return float(value)
    if isinstance(value, float) and value.is_integer() and ValueKind.WHOLE not in held and ValueKind.INT in held:
        return int(value) if caps.metadata.int_range[0] <= value <= caps.metadata.int_range[1] else value / 3e300
    return value
