"""JSON requests <-> the objects of the engine (qdrant-edge-py)."""

from __future__ import annotations

from array import array
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from vectormigrate.adapter.json_floats import as_returned
from vectormigrate.cli.demo.live.refusals import Refused, bad_input

Json = dict[str, Any]
VALID = "valid values are either an unsigned integer or a UUID"


def native_id(value: Any) -> int | UUID:
    """The engine's id. Numbers are 0…2^64-1; text is a UUID in any of its forms."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum ExtendedPointId")
    if isinstance(value, int):
        if not 0 <= value < 2**64:
            raise Refused(400, f"Format error in JSON body: value {value} is not a valid point ID, {VALID}")
        return value
    try:
        return UUID(value)
    except ValueError as error:
        message = f"Format error in JSON body: value {value} is not a valid point ID, {VALID}"
        raise Refused(400, message) from error


def json_id(value: int | UUID) -> int | str:
    return value if isinstance(value, int) else str(value)


def lossy(value: Any) -> Any:
    """A JSON value after the server's fast float parser."""
    if isinstance(value, float):
        return as_returned(value)
    if isinstance(value, dict):
        return {key: lossy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [lossy(item) for item in value]
    return value


def floats(values: Any) -> Any:
    """A vector as the engine takes it fastest."""
    if not isinstance(values, list | array) or any(isinstance(item, list | dict | str | bool) for item in values[:1]):
        raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum Vector")
    if isinstance(values, list):
        values = array("f", [as_returned(float(item)) if abs(item) < 1e-5 else item for item in values])
    return memoryview(values)


def native_vector(vector: Any) -> Any:
    """One vector: a list of numbers, of such lists, or indices and values."""
    if isinstance(vector, dict):
        if set(vector) != {"indices", "values"}:
            raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum Vector")
        indices: list[int] = list(vector["indices"])
        if len(indices) != len(vector["values"]):
            raise Refused(422, "Validation error in JSON body: must be the same length as indices")
        if len(set(indices)) < len(indices):
            raise Refused(422, "Validation error in JSON body: indices must be unique")
        return edge.SparseVector(indices, floats(list(vector["values"])).tolist())
    if isinstance(vector, list) and vector and isinstance(vector[0], list | array):
        if len(vector) == 2 and isinstance(vector[0], list) and all(type(item) is int for item in vector[0]):
            # The server reads such JSON as the two fields of a sparse vector.
            raise bad_input("Conversion between sparse and regular vectors failed")
        if len({len(row) for row in vector}) > 1 or not vector[0]:
            raise Refused(422, "Validation error in JSON body: all vectors must have the same dimension")
        return [floats(row) for row in vector]
    if isinstance(vector, list | array) and not vector:
        raise Refused(422, "Validation error in JSON body: vector must not be empty")
    return floats(vector)


def native_vectors(vectors: Any) -> Any:
    """The `vector` of a point: one without a name, or by name. A dict with both keys of a sparse vector is refused."""
    if isinstance(vectors, dict):
        if set(vectors) == {"indices", "values"} and isinstance(vectors["indices"], list):
            raise Refused(
                400, "Format error in JSON body: data did not match any variant of untagged enum VectorStruct"
            )
        return {name: native_vector(vector) for name, vector in vectors.items()}
    return {"": native_vector(vectors)}


def json_vectors(vectors: Any) -> Any:
    """The vectors of a record as the REST interface shows them."""
    if isinstance(vectors, dict):
        found = {name: _json_vector(vector) for name, vector in vectors.items()}
        return found[""] if list(found) == [""] else found
    return _json_vector(vectors)


def _json_vector(vector: Any) -> Any:
    if hasattr(vector, "indices"):
        return {"indices": list(vector.indices), "values": _shortest(vector.values)}
    if vector and isinstance(vector[0], list):
        return [_shortest(row) for row in vector]
    return _shortest(vector)


def _shortest(values: Any) -> Any:
    """Numbers of 4 bytes, for orjson to write with their shortest digits."""
    import numpy as np

    return np.array(values, np.float32)


def native_filter(condition: Json | None) -> Any:
    """A filter. Raises Refused for what is not known here, so that no condition is ever dropped."""
    if not condition:
        return None
    unknown = set(condition) - {"must", "should", "must_not"}
    if unknown:
        raise Refused(400, f"Format error in JSON body: unknown field `{min(unknown)}`")
    parts: dict[str, Any] = {key: [_condition(item) for item in _several(condition.get(key))] for key in condition}
    return edge.Filter(**{key: found for key, found in parts.items() if found})


def _several(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _condition(item: Json) -> Any:
    if "is_empty" in item:
        return edge.IsEmptyCondition(item["is_empty"]["key"])
    if "is_null" in item:
        return edge.IsNullCondition(item["is_null"]["key"])
    if "has_id" in item:
        return edge.HasIdCondition({native_id(one) for one in item["has_id"]})
    if "slice" in item:
        make: Any = edge.SliceCondition  # pyright: ignore[reportAttributeAccessIssue]  # not in the stubs
        return make(item["slice"]["total"], item["slice"]["index"])
    if "key" in item and "match" in item:
        match = item["match"]
        if "value" in match:
            return edge.FieldCondition(item["key"], match=edge.MatchValue(match["value"]))
        if "any" in match:
            return edge.FieldCondition(item["key"], match=edge.MatchAny(match["any"]))
        if "except" in match:
            return edge.FieldCondition(item["key"], match=edge.MatchExcept(match["except"]))
    if "key" in item and "range" in item:
        return edge.FieldCondition(item["key"], range=edge.RangeFloat(**item["range"]))
    if {"must", "should", "must_not"} & set(item):
        return native_filter(item)
    raise Refused(400, f"Format error in JSON body: this server does not know the condition {sorted(item)}")


def native_query(field: Json, using: str, query: Any) -> Any:
    """A nearest-neighbour query; `field` is its vector's configuration."""
    if isinstance(query, dict) and "nearest" in query:
        query = query["nearest"]
    vector = native_vector(query if not isinstance(query, dict) else {**query})
    plain: Any = vector.tolist() if isinstance(vector, memoryview) else vector
    if field.get("multivector_config"):
        plain = [row.tolist() for row in vector] if isinstance(vector, list) else [plain]
    elif isinstance(vector, list):
        raise bad_input("Conversion between multi and regular vectors failed")
    return edge.Query.Nearest(plain, using=using or None)
