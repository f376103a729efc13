"""The service's limits on records, vectors, metadata and ids. Where the real rule is unknown, the stricter one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import orjson

from tests.emulators.pinecone.errors import invalid
from tests.emulators.pinecone.state import Floats, Index, Record, Sparse

MAX_RECORDS = 1_000
MAX_BODY = 2_000_000
MAX_METADATA = 40_960
MAX_SPARSE = 1_000
FLOAT32_MAX = float(np.finfo(np.float32).max)


def check_id(value: Any) -> str:
    """1 to 512 ASCII characters without NUL."""
    if not isinstance(value, str) or not 1 <= len(value) <= 512 or not value.isascii() or "\0" in value:
        raise invalid("Vector ID must be an ASCII string of 1 to 512 characters without null")
    return value


def check_ids(values: Any) -> list[str]:
    """1 to 1,000 ids."""
    if not isinstance(values, list) or not 1 <= len(values) <= MAX_RECORDS:
        raise invalid(f"ids must hold 1 to {MAX_RECORDS} entries")
    return [check_id(value) for value in values]


def numbers(values: Any, what: str) -> Floats:
    """A list of JSON numbers that float32 holds."""
    if not isinstance(values, list):
        raise invalid(f"{what} must be a list of numbers")
    for value in values:
        if type(value) not in (int, float) or not abs(value) <= FLOAT32_MAX:
            raise invalid(f"{what} holds {value!r}, which is no float32 number")
    return np.array(values, np.float64).astype(np.float32)


def dense(values: Any, dimension: int) -> Floats:
    """A dense vector: right dimension, not all zeros."""
    found = numbers(values, "values")
    if len(found) != dimension:
        raise invalid(f"Vector dimension {len(found)} does not match the dimension of the index {dimension}")
    if not found.any():
        raise invalid("Dense vectors must contain at least one non-zero value")
    return found


def sparse(data: Any) -> Sparse:
    """A sparse vector: 1 to 1,000 different uint32 indices with as many values."""
    if not isinstance(data, dict) or set(data) != {"indices", "values"}:
        raise invalid("Sparse vector must have indices and values")
    indices, values = data["indices"], numbers(data["values"], "sparse values")
    if not isinstance(indices, list) or not 1 <= len(indices) <= MAX_SPARSE or len(indices) != len(values):
        raise invalid(f"Sparse vector must contain 1 to {MAX_SPARSE} indices and as many values")
    if any(type(item) is not int or not 0 <= item < 2**32 for item in indices):
        raise invalid("Sparse vector indices must be unsigned 32-bit integers")
    if len(set(indices)) < len(indices):
        raise invalid("Sparse vector indices must be unique")
    return Sparse(np.array(indices, np.uint32), values)


def metadata(data: Any, *, documents: bool) -> dict[str, Any]:
    """Flat metadata as it is stored: numbers as floats, nulls left out."""
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise invalid("Metadata must be an object")
    if len(orjson.dumps(data)) > MAX_METADATA:
        size = len(orjson.dumps(data))
        raise invalid(f"Metadata size is {size} bytes, which exceeds the limit of {MAX_METADATA} bytes per vector")
    found: dict[str, Any] = {}
    for key, value in data.items():
        if key.startswith("$") or (documents and (key.startswith("_") or not key)):
            raise invalid(f"Metadata key {key!r} is not allowed")
        stored = _value(key, value)
        if stored is not None:
            found[key] = stored
    return found


def _value(key: str, value: Any) -> Any:
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | float) and math.isfinite(float(value)):
        return float(value)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise invalid(
        f"Metadata value must be a string, number, boolean or list of strings, got {value!r} for field {key!r}"
    )


def wire(value: Any) -> Any:
    """A stored value as the service sends it: numbers without a fraction as integers."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**63:
        return int(value)
    return value


def vector_record(index: Index, item: Any) -> tuple[str, Record]:
    """A record of the vectors API."""
    if not isinstance(item, dict) or set(item) - {"id", "values", "sparseValues", "metadata"}:
        raise invalid("a vector has id, values, sparseValues and metadata")
    record_id = check_id(item.get("id"))
    found_dense = found_sparse = None
    if index.dense is not None:
        found_dense = dense(item.get("values"), index.dimension)
    elif item.get("values"):
        raise invalid("Sparse indexes do not take dense values")
    if item.get("sparseValues") is not None:
        if index.sparse is None:
            raise invalid("Index configuration does not support sparse values")
        found_sparse = sparse(item["sparseValues"])
    elif index.dense is None:
        raise invalid("Sparse vector must contain at least one value")
    return record_id, Record(found_dense, found_sparse, metadata(item.get("metadata"), documents=False))


def document(index: Index, item: Any) -> tuple[str, Record]:
    """A document: declared vector fields, text, and metadata."""
    if not isinstance(item, dict):
        raise invalid("a document is an object")
    data = dict(item)
    record_id = check_id(data.pop("_id", None))
    found_dense = found_sparse = None
    searchable = False
    if index.dense is not None and not index.embeds:
        if data.get(index.dense) is None:
            raise invalid(f"Document {record_id!r} lacks the dense vector field {index.dense!r}")
        found_dense, searchable = dense(data.pop(index.dense), index.dimension), True
    if index.sparse is not None and index.fields[index.sparse]["type"] == "sparse_vector":
        given = data.pop(index.sparse, None)
        if given is not None:
            found_sparse, searchable = sparse(given), True
    texts: dict[str, str] = {}
    for name, config in index.fields.items():
        if config["type"] != "string":
            continue
        if name not in data:
            if config.get("embed") is not None:
                raise invalid(f"Document {record_id!r} lacks the embedded field {name!r}")
            continue
        if not isinstance(data[name], str):
            raise invalid(f"Field {name!r} must be a string")
        texts[name] = data.pop(name)
        searchable = True
    if not searchable:
        raise invalid(f"Document {record_id!r} has no searchable field")
    return record_id, Record(found_dense, found_sparse, {**metadata(data, documents=True), **texts})
