"""The demo's records: every value follows from the id and from the number of the operation that wrote it, so that each
value found later names the write that it came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

COLLECTION = "products"
DIM = 64
GROUPS = 200
FIELDS = ("op", "note", "grp", "price", "title")

Row = dict[str, Any]


def group_of(key: int) -> int:
    """The group of a record, by which it is found by filters. It never changes."""
    return key % GROUPS


def vector_of(op: int, dim: int = DIM) -> list[float]:
    """So many numbers of 4 bytes, different for every operation."""
    return np.random.Generator(np.random.Philox(op)).standard_normal(dim, dtype=np.float32).tolist()


def row(key: int, base: int, note: int, dim: int = DIM) -> Row:
    """The record that operation `base` wrote as a whole and `note` changed last, in one field."""
    return {
        "id": key,
        "embedding": vector_of(base, dim),
        "op": base,
        "note": note,
        "grp": group_of(key),
        # Quarters: of a number with more digits, Qdrant's own reader of JSON may lose the last one.
        "price": base / 4,
        "title": f"product {key}, as written by {base}",
    }


def intact(found: Mapping[str, Any]) -> bool:
    """Whether the record is one that these operations wrote, to the last bit of its vector."""
    base, note, key = found.get("op"), found.get("note"), found.get("id")
    if type(base) is not int or type(note) is not int or type(key) is not int:
        return False
    wanted = row(key, base, note)
    scalars = all(found.get(name) == wanted[name] for name in FIELDS) and type(found["price"]) is float
    return scalars and np.asarray(found["embedding"], np.float32).tolist() == wanted["embedding"]
