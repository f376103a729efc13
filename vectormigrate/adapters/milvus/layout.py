"""The shape of an existing collection as Milvus describes it, read once and used by codec, reader and writer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import MessageToDict

from vectormigrate.adapters.milvus.capabilities import META
from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.adapters.milvus.proto import pb, sp
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import DType, FieldType, Json, VectorKind

T = sp.DataType

SCALARS: Mapping[int, FieldType] = {
    T.Bool: FieldType.BOOL,
    T.Int8: FieldType.INT8,
    T.Int16: FieldType.INT16,
    T.Int32: FieldType.INT32,
    T.Int64: FieldType.INT64,
    T.Float: FieldType.FLOAT32,
    T.Double: FieldType.FLOAT64,
    T.String: FieldType.STRING,
    T.VarChar: FieldType.STRING,
    T.Text: FieldType.TEXT,
    T.JSON: FieldType.JSON,
    T.Array: FieldType.LIST,
    # Both travel as text: WKT, and ISO 8601.
    T.Geometry: FieldType.STRING,
    T.Timestamptz: FieldType.STRING,
}

DENSE: Mapping[int, DType] = {
    T.FloatVector: DType.FLOAT32,
    T.Float16Vector: DType.FLOAT16,
    T.BFloat16Vector: DType.BFLOAT16,
    T.Int8Vector: DType.INT8,
    T.BinaryVector: DType.BITS,
}

ELEMENTS = frozenset({T.Bool, T.Int8, T.Int16, T.Int32, T.Int64, T.Float, T.Double, T.VarChar, T.String})


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A scalar field. `field` is Milvus' description of it as JSON, without its number."""

    name: str
    type: int
    element: int
    max_length: int | None
    max_capacity: int | None
    nullable: bool
    has_default: bool
    field: Mapping[str, Json]


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorColumn:
    """A vector field; `dim` is None for sparse."""

    name: str
    type: int
    dim: int | None
    nullable: bool
    field: Mapping[str, Json]

    @property
    def kind(self) -> VectorKind:
        return VectorKind.SPARSE if self.type == T.SparseFloatVector else VectorKind.DENSE

    @property
    def dtype(self) -> DType:
        return DENSE.get(self.type, DType.FLOAT32)

    @property
    def row_bytes(self) -> int:
        """Bytes of one vector on the wire; a guess for sparse."""
        dim = self.dim or 256
        match self.dtype:
            case DType.FLOAT32:
                return dim * (8 if self.dim is None else 4)
            case DType.BITS:
                return dim // 8
            case DType.INT8:
                return dim
            case _:
                return dim * 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`name` is the collection itself, also when it was opened by an alias. `derived` are fields that a function of
    the server fills (BM25 …): neither read nor written, because the server makes them again."""

    name: str
    pk: Column
    auto_id: bool
    scalars: tuple[Column, ...]
    vectors: tuple[VectorColumn, ...]
    derived: Mapping[str, Json]
    dynamic: bool
    partition_key: bool
    answer: pb.DescribeCollectionResponse

    @property
    def text_ids(self) -> bool:
        """Whether ids are strings (VARCHAR) and not INT64."""
        return self.pk.type == T.VarChar

    @property
    def id_kind(self) -> IdKind:
        return IdKind.STRING if self.text_ids else IdKind.INT64

    @property
    def taken(self) -> frozenset[str]:
        """Names that no metadata key may have."""
        return frozenset({META, self.pk.name, *self.derived, *(item.name for item in self.vectors)})

    @property
    def properties(self) -> dict[str, str]:
        return {item.key: item.value for item in self.answer.properties}

    @property
    def row_bytes(self) -> int:
        """Bytes of the vectors of one record."""
        return sum(item.row_bytes for item in self.vectors)


def layout_of(answer: pb.DescribeCollectionResponse) -> Layout:
    """Read a description. Raises InvalidRequest for a field of a type that is not known here: skipping it would lose
    data."""
    schema = answer.schema
    name = schema.name or answer.collection_name
    if schema.struct_array_fields:
        _unsupported(name, schema.struct_array_fields[0].name, "array of struct")
    outputs = {field for function in schema.functions for field in function.output_field_names}
    derived: dict[str, Json] = {}
    pk: Column | None = None
    auto_id = schema.autoID
    scalars: list[Column] = []
    vectors: list[VectorColumn] = []
    for field in schema.fields:
        if field.is_dynamic or field.name == META:
            continue
        if field.is_function_output or field.name in outputs:
            derived[field.name] = description(field)
        elif field.is_primary_key:
            pk, auto_id = _column(name, field), auto_id or field.autoID
        elif field.data_type in DENSE or field.data_type == T.SparseFloatVector:
            vectors.append(_vector(field))
        else:
            scalars.append(_column(name, field))
    if pk is None:
        raise InvalidRequest(f"collection {name!r} has no primary key", adapter=NAME, operation="describe")
    return Layout(
        name=name,
        pk=pk,
        auto_id=auto_id,
        scalars=tuple(scalars),
        vectors=tuple(vectors),
        derived=derived,
        dynamic=schema.enable_dynamic_field,
        partition_key=any(field.is_partition_key for field in schema.fields),
        answer=answer,
    )


def description(field: sp.FieldSchema) -> dict[str, Json]:
    """A field as JSON, without what belongs to this one collection; `field_from` is the inverse."""
    data: dict[str, Any] = MessageToDict(field, preserving_proto_field_name=True)
    for key in ("fieldID", "name", "state"):
        data.pop(key, None)
    return data


def _column(collection: str, field: sp.FieldSchema) -> Column:
    kind = field.data_type
    if kind not in SCALARS or (kind == T.Array and field.element_type not in ELEMENTS):
        label = T.Name(kind) if kind in T.values() else str(int(kind))
        if kind == T.Array:
            label = f"Array of {T.Name(field.element_type) if field.element_type in T.values() else field.element_type}"
        _unsupported(collection, field.name, label)
    params = {item.key: item.value for item in field.type_params}
    return Column(
        name=field.name,
        type=kind,
        element=field.element_type,
        max_length=int(params["max_length"]) if params.get("max_length", "").isdigit() else None,
        max_capacity=int(params["max_capacity"]) if params.get("max_capacity", "").isdigit() else None,
        nullable=field.nullable,
        has_default=field.HasField("default_value") and field.default_value.WhichOneof("data") is not None,
        field=description(field),
    )


def _vector(field: sp.FieldSchema) -> VectorColumn:
    params = {item.key: item.value for item in field.type_params}
    dim = None if field.data_type == T.SparseFloatVector else int(params["dim"])
    return VectorColumn(
        name=field.name, type=field.data_type, dim=dim, nullable=field.nullable, field=description(field)
    )


def _unsupported(collection: str, field: str, label: str) -> None:
    message = f"field {field!r} of collection {collection!r} has the type {label}, which vectormigrate cannot move"
    raise InvalidRequest(message, adapter=NAME, operation="describe")
