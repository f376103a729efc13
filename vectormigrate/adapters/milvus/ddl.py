"""From a neutral schema to the requests that create a collection: fields, functions, properties, indexes. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from google.protobuf.json_format import ParseDict, ParseError

from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.milvus.capabilities import META, PK, VARCHAR_MAX, Server
from vectormigrate.adapters.milvus.capabilities import NAME as NAME_RULE
from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.adapters.milvus.indexes import BINARY_METRICS, pairs, scalar_index, vector_index
from vectormigrate.adapters.milvus.layout import DENSE
from vectormigrate.adapters.milvus.proto import cp, pb, sp
from vectormigrate.adapters.milvus.schema import NOTE, fields_property, note_text
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema, DType, FieldType, Json, MetadataField, VectorField, VectorKind

T = sp.DataType

_DENSE_TYPE = {dtype: kind for kind, dtype in DENSE.items()}

_TYPES = {
    FieldType.BOOL: T.Bool,
    FieldType.INT8: T.Int8,
    FieldType.INT16: T.Int16,
    FieldType.INT32: T.Int32,
    FieldType.INT64: T.Int64,
    FieldType.FLOAT32: T.Float,
    FieldType.FLOAT64: T.Double,
    FieldType.STRING: T.VarChar,
    FieldType.TEXT: T.VarChar,
    FieldType.JSON: T.JSON,
}

_SINCE: Mapping[int, tuple[int, int]] = {T.Geometry: (2, 6), T.Timestamptz: (2, 6), T.Text: (3, 0), T.Array: (2, 3)}
"""First server with this type. Creating an unknown one kills a 2.3 server for good."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Creation:
    """The requests, in order."""

    collection: pb.CreateCollectionRequest
    indexes: tuple[pb.CreateIndexRequest, ...]


def creation(name: str, schema: CollectionSchema, server: Server, caps: Capabilities) -> Creation:
    """How to create the collection. Raises InvalidRequest for a shape that this server cannot hold, because the server
    itself may take it and break later."""
    _check(name, schema, caps)
    kept: dict[str, Any] = schema.extras.get(NAME) or {}
    fields = [_pk_field(schema, kept)]
    fields += [_vector_field(item, kept.get("vectors", {}).get(item.name), server) for item in schema.vectors]
    loose: list[MetadataField] = []
    for item in schema.fields:
        column = _column(item, server, from_milvus=bool(kept)) if item.declared else None
        if column is None:
            loose.append(item)
        else:
            fields.append(column)
    names = [field.name for field in fields]
    if len(set(names)) < len(names):
        twice = min(field for field in names if names.count(field) > 1)
        raise _impossible(f"the name {twice!r} is used for two fields")
    functions = _functions(fields, kept, server)
    properties = {**kept.get("properties", {}), **fields_property(loose)}
    if schema.note is not None:
        properties[NOTE] = note_text(schema.note)
    proto = sp.CollectionSchema(
        name=name,
        description=kept.get("description", ""),
        fields=fields,
        functions=functions,
        enable_dynamic_field=schema.dynamic or not kept or any(item.declared for item in loose),
    )
    request = pb.CreateCollectionRequest(
        collection_name=name,
        schema=proto.SerializeToString(),
        shards_num=int(kept.get("shards", 0)) or 1,
        consistency_level=_consistency(kept),  # pyright: ignore[reportArgumentType]
        properties=pairs(properties),
    )
    if any(field.is_partition_key for field in fields):
        request.num_partitions = int(kept.get("num_partitions", 0))
    return Creation(collection=request, indexes=tuple(_indexes(name, schema, fields, kept, server)))


def _check(name: str, schema: CollectionSchema, caps: Capabilities) -> None:
    if re.fullmatch(caps.collection.names, name) is None:
        raise _impossible(f"{name!r} is no legal collection name (letters, digits and _, at most 255)")
    if not schema.vectors:
        raise _impossible("a collection needs a vector field")
    if caps.vectors.max_fields is not None and len(schema.vectors) > caps.vectors.max_fields:
        raise _impossible(f"{len(schema.vectors)} vector fields; this server takes {caps.vectors.max_fields}")
    for item in schema.vectors:
        _check_vector(item, caps)


def _check_vector(item: VectorField, caps: Capabilities) -> None:
    if re.fullmatch(caps.vectors.names, item.name) is None:
        raise _impossible(f"{item.name!r} is no legal name of a vector field")
    if item.kind not in caps.vectors.kinds or item.dtype not in caps.vectors.dtypes:
        raise _impossible(f"vector field {item.name!r}: this server has no {item.kind} vectors of {item.dtype}")
    if item.metric not in caps.vectors.metrics or (item.metric in BINARY_METRICS) != (item.dtype is DType.BITS):
        raise _impossible(f"vector field {item.name!r}: no {item.metric} distance for vectors of {item.dtype}")
    if item.kind is VectorKind.SPARSE:
        return
    if item.dim is None or not 1 <= item.dim <= caps.vectors.max_dim or (item.dtype is DType.BITS and item.dim % 8):
        raise _impossible(
            f"vector field {item.name!r}: dimension {item.dim} is not possible (1 … {caps.vectors.max_dim})"
        )


def pk_name(schema: CollectionSchema) -> str:
    """The id field of a new collection: the one it had on Milvus, or that another adapter wished for, or `id`."""
    kept: dict[str, Any] = schema.extras.get(NAME) or {}
    wanted: Json = kept.get("pk", {}).get("name") or schema.extras.get("id_field") or PK
    return str(wanted)


def _pk_field(schema: CollectionSchema, kept: Mapping[str, Any]) -> sp.FieldSchema:
    if IdKind.STRING in schema.id_kinds:
        kind = T.VarChar
    elif IdKind.INT64 in schema.id_kinds:
        kind = T.Int64
    else:
        raise _impossible(f"ids must be int64 or string, not {', '.join(sorted(schema.id_kinds))}")
    field = _parsed(kept.get("pk", {}).get("field", {}))
    if field is None or field.data_type != kind:
        field = sp.FieldSchema(data_type=kind)
    if kind == T.VarChar and not any(item.key == "max_length" for item in field.type_params):
        field.type_params.extend(pairs({"max_length": VARCHAR_MAX}))
    field.name = pk_name(schema)
    field.is_primary_key = True
    # The ids come with the records; a server that made its own would lose them.
    field.autoID = False
    return field


def _vector_field(item: VectorField, kept: Mapping[str, Json] | None, server: Server) -> sp.FieldSchema:
    kind = T.SparseFloatVector if item.kind is VectorKind.SPARSE else _DENSE_TYPE[item.dtype]
    field = _parsed(kept or {})
    if field is None or field.data_type != kind:
        field = sp.FieldSchema(data_type=kind)  # pyright: ignore[reportArgumentType]
    field.name = item.name
    field.nullable = field.nullable and server.nullable_vectors
    others = {param.key: param.value for param in field.type_params if param.key != "dim"}
    del field.type_params[:]
    field.type_params.extend(pairs({**others, **({} if item.dim is None else {"dim": item.dim})}))
    return field


def _column(item: MetadataField, server: Server, *, from_milvus: bool) -> sp.FieldSchema | None:
    """The typed field, None when the values go into the dynamic field.

    Fields of other databases become typed only when every record has a value: a typed field turns "missing" into null.
    """
    if re.fullmatch(NAME_RULE, item.name) is None:
        return None
    field = _parsed(item.params) if from_milvus and "data_type" in item.params else None
    if field is None:
        if item.nullable or item.type not in _TYPES:
            return None
        field = sp.FieldSchema(data_type=_TYPES[item.type])
        if field.data_type == T.VarChar:
            field.type_params.extend(pairs({"max_length": VARCHAR_MAX}))
    if not _has_type(field.data_type, server) or (field.nullable and not server.nullable):
        return None
    if not server.nullable:
        field.ClearField("default_value")
    field.name = item.name
    return field


def _has_type(kind: int, server: Server) -> bool:
    if server.lite:
        return kind != T.Text
    return server.version >= _SINCE.get(kind, (0, 0))


def _functions(fields: list[sp.FieldSchema], kept: Mapping[str, Any], server: Server) -> list[sp.FunctionSchema]:
    """The functions whose inputs exist; adds their output fields to `fields`."""
    found: list[sp.FunctionSchema] = []
    if not (server.lite or server.version >= (2, 5)):
        return found
    for data in kept.get("functions", []):
        function = ParseDict(data, sp.FunctionSchema(), ignore_unknown_fields=True)
        outputs = [_parsed(kept.get("derived", {}).get(name, {})) for name in function.output_field_names]
        if {field.name for field in fields} >= set(function.input_field_names) and None not in outputs:
            for name, field in zip(function.output_field_names, outputs, strict=True):
                assert field is not None
                field.name, field.is_function_output = name, True
                fields.append(field)
            found.append(function)
    return found


def _parsed(data: Mapping[str, Json]) -> sp.FieldSchema | None:
    """A field from its description in the schema's extras, None where there is none."""
    if not data:
        return None
    try:
        return ParseDict(dict(data), sp.FieldSchema(), ignore_unknown_fields=True)
    except ParseError as error:
        raise _impossible(f"the stored description of a Milvus field cannot be read: {error}") from None


def _consistency(kept: Mapping[str, Any]) -> int:
    wanted = kept.get("consistency", "Bounded")
    known = set(cp.ConsistencyLevel.keys())
    return cp.ConsistencyLevel.Value(wanted) if wanted in known else cp.ConsistencyLevel.Bounded


def _indexes(
    name: str, schema: CollectionSchema, fields: Sequence[sp.FieldSchema], kept: Mapping[str, Any], server: Server
) -> list[pb.CreateIndexRequest]:
    """One per vector field, those that the other fields had on Milvus, and those that fields ask for."""
    listed: list[dict[str, Any]] = kept.get("indexes", [])
    vectors = {item.name for item in schema.vectors}
    others = {field.name: field for field in fields if field.name not in vectors}
    found = [
        *(_vector_index(name, item, listed, server) for item in schema.vectors),
        *_kept_indexes(name, others, listed, server),
    ]
    indexed = {entry["field_name"] for entry in listed}
    for item in schema.fields:
        params = scalar_index(others[item.name].data_type, {}, server) if item.name in others else None
        if item.indexed and item.name not in indexed and params is not None:
            found.append(_index(name, item.name, item.name, params))
    return found


def _vector_index(
    name: str, item: VectorField, listed: Sequence[Mapping[str, Any]], server: Server
) -> pb.CreateIndexRequest:
    old = next((entry for entry in listed if entry["field_name"] == item.name), None)
    params = vector_index(item, old and old["params"], server)
    return _index(name, item.name, old["index_name"] if old else item.name, params)


def _kept_indexes(
    name: str, others: Mapping[str, sp.FieldSchema], listed: Sequence[Mapping[str, Any]], server: Server
) -> Iterator[pb.CreateIndexRequest]:
    """Indexes of scalar fields, of the outputs of functions, and of paths inside the dynamic field."""
    for entry in listed:
        field = others.get(entry["field_name"])
        if field is not None:
            output = field.is_function_output
            params = entry["params"] if output else scalar_index(field.data_type, entry["params"], server)
            if params is not None:
                yield _index(name, field.name, entry["index_name"], params)
        elif entry["field_name"] == META and server.version >= (2, 6) and not server.lite:
            yield _index(name, META, entry["index_name"], entry["params"])


def _index(collection: str, field: str, index: str, params: Mapping[str, str]) -> pb.CreateIndexRequest:
    return pb.CreateIndexRequest(
        collection_name=collection, field_name=field, index_name=index, extra_params=pairs(params)
    )


def _impossible(text: str) -> InvalidRequest:
    return InvalidRequest(text, adapter=NAME, operation="create")
