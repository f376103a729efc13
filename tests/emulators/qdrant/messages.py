"""gRPC messages <-> the JSON of the REST interface, as the server converts them."""

from __future__ import annotations

from array import array
from typing import Any

from qdrant_client import grpc as pb

from tests.emulators.qdrant.errors import Refused, bad_input
from vectormigrate.cli.demo.live.engine import Json, json_id

INT64 = 2**63


def id_json(message: Any) -> int | str:
    kind = message.WhichOneof("point_id_options")
    if kind is None:
        raise Refused(400, "Empty PointId is not allowed")
    if kind == "uuid":
        from uuid import UUID

        try:
            UUID(message.uuid)
        except ValueError as error:
            raise Refused(400, f"Unable to parse UUID: {message.uuid}") from error
        return message.uuid
    return message.num


def id_message(value: Any) -> Any:
    found = json_id(value)
    return pb.PointId(num=found) if isinstance(found, int) else pb.PointId(uuid=found)


def key_json(message: Any) -> int | str:
    return message.keyword if message.WhichOneof("key") == "keyword" else message.number


def shard(request: Any, body: Json) -> Json:
    """The body with the request's shard keys."""
    if request.HasField("shard_key_selector"):
        body["shard_key"] = [key_json(key) for key in request.shard_key_selector.shard_keys]
    return body


def value_json(message: Any) -> Any:
    kind = message.WhichOneof("kind")
    match kind:
        case None | "null_value":
            return None
        case "struct_value":
            return payload_json(message.struct_value.fields)
        case "list_value":
            return [value_json(item) for item in message.list_value.values]
        case _:
            return getattr(message, kind)


def payload_json(fields: Any) -> Json:
    return {key: value_json(item) for key, item in fields.items()}


def put_value(message: Any, value: Any) -> None:
    """As the server does: an integer beyond 64 bits with a sign becomes a double."""
    if value is None:
        message.null_value = 0
    elif isinstance(value, bool):
        message.bool_value = value
    elif isinstance(value, int):
        if -INT64 <= value < INT64:
            message.integer_value = value
        else:
            message.double_value = float(value)
    elif isinstance(value, float):
        message.double_value = value
    elif isinstance(value, str):
        message.string_value = value
    elif isinstance(value, dict):
        message.struct_value.SetInParent()
        for key, item in value.items():
            put_value(message.struct_value.fields[key], item)
    else:
        message.list_value.SetInParent()
        for item in value:
            put_value(message.list_value.values.add(), item)


def vector_json(message: Any) -> Any:
    """A `Vector`, in its new form or the old one."""
    kind = message.WhichOneof("vector")
    if kind is None:
        if message.HasField("indices"):
            return {"indices": list(message.indices.data), "values": list(message.data)}
        if message.HasField("vectors_count"):
            count, data = message.vectors_count, list(message.data)
            if not count or len(data) % count:
                raise bad_input("Incorrect multivector: the number of values is no multiple of vectors_count")
            size = len(data) // count
            return [data[start : start + size] for start in range(0, len(data), size)]
        return array("f", message.data)
    return _new_vector(message, kind)


def _new_vector(message: Any, kind: str) -> Any:
    match kind:
        case "dense":
            return array("f", message.dense.data)
        case "sparse":
            return {"indices": list(message.sparse.indices), "values": list(message.sparse.values)}
        case "multi_dense":
            return [array("f", row.data) for row in message.multi_dense.vectors]
        case _:
            raise bad_input(f"Inference is not enabled: {kind}")


def query_json(message: Any) -> Any:
    """Of a `Query` the vector to be near to."""
    if message.WhichOneof("variant") != "nearest":
        raise bad_input("the emulator only knows nearest-neighbour queries")
    nearest = message.nearest
    found = _new_vector(nearest, nearest.WhichOneof("variant"))
    return found.tolist() if isinstance(found, array) else found


def vectors_json(message: Any) -> Any:
    kind = message.WhichOneof("vectors_options")
    if kind is None:
        raise Refused(400, "Expected some vectors")
    if kind == "vector":
        return vector_json(message.vector)
    return {name: vector_json(vector) for name, vector in message.vectors.vectors.items()}


def put_vectors(target: Any, vectors: Any, *, old: bool) -> None:
    """Fill a `VectorsOutput`. `old`: as servers before 1.17 do."""
    if isinstance(vectors, dict) and list(vectors) != [""]:
        target.vectors.SetInParent()
        for name, vector in vectors.items():
            _put_vector(target.vectors.vectors[name], vector, old)
    elif vectors is not None:
        _put_vector(target.vector, vectors[""] if isinstance(vectors, dict) else vectors, old)


def _put_vector(target: Any, vector: Any, old: bool) -> None:
    if hasattr(vector, "indices"):
        if old:
            target.data.extend(vector.values)
            target.indices.data.extend(vector.indices)
        else:
            target.sparse.values.extend(vector.values)
            target.sparse.indices.extend(vector.indices)
            target.sparse.SetInParent()
    elif vector and isinstance(vector[0], list):
        if old:
            target.data.extend([number for row in vector for number in row])
            target.vectors_count = len(vector)
        else:
            for row in vector:
                target.multi_dense.vectors.add(data=row)
    elif old:
        target.data.extend(vector)
    else:
        target.dense.data.extend(vector)


def filter_json(message: Any, *, since: tuple[int, int]) -> Json | None:
    """A filter. A condition that this version does not know is dropped without a word, as protobuf does."""
    found: Json = {}
    for key in ("must", "should", "must_not"):
        conditions = [_condition_json(item, since) for item in getattr(message, key)]
        conditions = [item for item in conditions if item is not None]
        if conditions:
            found[key] = conditions
    return found or None


def _condition_json(message: Any, since: tuple[int, int]) -> Json | None:
    kind = message.WhichOneof("condition_one_of")
    match kind:
        case "slice":
            if since < (1, 19):
                return None
            return {"slice": {"total": message.slice.total, "index": message.slice.index}}
        case "is_empty" | "is_null":
            return {kind: {"key": getattr(message, kind).key}}
        case "has_id":
            return {"has_id": [id_json(item) for item in message.has_id.has_id]}
        case "filter":
            return filter_json(message.filter, since=since) or {"must": []}
        case "field":
            return _field_json(message.field)
        case _:
            raise Refused(400, f"the emulator does not know the condition {kind}")


def _field_json(message: Any) -> Json:
    kind = message.match.WhichOneof("match_value")
    match kind:
        case "keyword" | "integer" | "boolean":
            return {"key": message.key, "match": {"value": getattr(message.match, kind)}}
        case "keywords" | "integers":
            found = message.match.keywords.strings if kind == "keywords" else message.match.integers.integers
            return {"key": message.key, "match": {"any": list(found)}}
        case _:
            pass
    if message.HasField("range"):
        limits = {name.name: value for name, value in message.range.ListFields()}
        return {"key": message.key, "range": limits}
    raise Refused(400, f"the emulator does not know the condition on {message.key} ({kind})")


def with_payload(message: Any) -> Any:
    kind = message.WhichOneof("selector_options")
    if kind == "include":
        return list(message.include.fields)
    return message.enable if kind == "enable" else False


def with_vector(message: Any) -> Any:
    kind = message.WhichOneof("selector_options")
    if kind == "include":
        return list(message.include.names)
    return message.enable if kind == "enable" else False
