"""The way home, walked by a decoder of its own: what was made of a record must give it back.

The comparison with the target proves that it holds what the mapping made. This proves that what the mapping made still
is the record, its vectors excepted. It reads the sidecar (its shape is described in mapping/convert/origin.py and
mapping/convert/values.py) with code that may be simple because nobody has edited the record since. With the mapping it
shares the renames that were asked for and, where the source is a copy itself, the undoing of that copy's sidecars.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

import numpy as np
import orjson

from vectormigrate.mapping.convert.mapper import Mapped
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.paths import Renamer
from vectormigrate.model.batch import Metadata, RecordBatch
from vectormigrate.model.ids import RecordId
from vectormigrate.model.plan import MappingRules

ROUNDED = 2.0**-23
"""Relative error of a float that a column of 32 bits has rounded, which is a loss of its own name."""

_MEMBERS = frozenset({"v", "id", "ns", "at", "k", "o", "m", "x"})
_NOTHING = object()


class Lost(NamedTuple):
    """A row of a mapped batch that would not come home as it was, and what is wrong: metadata keys, `(id)`, …"""

    row: int
    fields: tuple[str, ...]


def lost_on_the_round_trip(source: RecordBatch, part: Mapped, rules: MappingRules) -> list[Lost]:
    """The records of a mapped part that the sidecars in it do not turn back into those of the source batch."""
    original = restore(source)
    records = original.batch
    names = original.namespaces
    own = rules.original_namespaces.get(source.namespace, source.namespace)
    renamer = Renamer(rules.renames, rules.excludes)
    rounded = part.losses["float-precision"] > 0
    found: list[Lost] = []
    for row, source_row in enumerate(part.rows.tolist()):
        given, made = records.metadata[source_row], part.batch.metadata[row]
        record_id, new_id = records.ids[source_row], part.batch.ids[row]
        namespace = own if names is None or names[source_row] is None else names[source_row]
        if made is given and new_id is record_id and namespace == part.batch.namespace:
            continue
        wanted = renamer.apply(given, set()) if renamer else given
        if not rules.sidecar:
            wrong = () if part.losses else tuple(_differing(wanted, made, rounded))
        else:
            try:
                sidecar, metadata = decoded(made)
            except (ValueError, TypeError, LookupError):
                found.append(Lost(row, ("(sidecar)",)))
                continue
            wrong = (
                *(["(id)"] if not _same_id(record_id, new_id, sidecar) else []),
                *(["(namespace)"] if sidecar.get("ns", part.batch.namespace) != namespace else []),
                *_differing(wanted, metadata, rounded),
            )
        if wrong:
            found.append(Lost(row, wrong))
    return found


def decoded(metadata: Metadata) -> tuple[Mapping[str, Any], dict[str, Any]]:
    """The sidecar of a record that nobody has edited, empty when it has none, and the metadata that it restores."""
    sidecar = _sidecar(metadata)
    result = _copied(metadata)
    if not sidecar:
        return {}, result
    del result["_vm_origin"]
    if "id" in sidecar:
        result.pop("_vm_id", None)
    for name, key in sidecar.get("k", {}).items():
        result[key] = result.pop(name, _NOTHING)
    for key, shape in sidecar.get("o", {}).items():
        result[key] = _object(shape, key, result)
    _undo(sidecar.get("m", ()), result)
    return sidecar, result


def _sidecar(metadata: Metadata) -> dict[str, Any]:
    text = metadata.get("_vm_origin")
    if not isinstance(text, str) or not text.startswith('{"v":1,'):
        return {}
    try:
        found = orjson.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) and found.keys() <= _MEMBERS else {}


def _same_id(record_id: RecordId, new_id: RecordId, sidecar: Mapping[str, Any]) -> bool:
    text = sidecar.get("id")
    if text is None:
        return type(new_id) is type(record_id) and new_id == record_id
    kind = "s" if isinstance(record_id, str) else "i" if isinstance(record_id, int) else "u"
    return text == f"{kind}:{record_id}"


def _object(shape: Mapping[str, Any], path: str, flat: dict[str, Any]) -> dict[str, Any]:
    """An object from the flat keys that its members have on the target."""
    found: dict[str, Any] = {}
    for key, inner in shape.items():
        here = f"{path}.{key}"
        if isinstance(inner, dict):
            found[key] = _object(inner, here, flat)
        elif (name := inner if isinstance(inner, str) else here) in flat:
            found[key] = flat.pop(name)
    return found


def _undo(notes: Any, root: Any) -> None:
    """Put the values of these notes back where they were."""
    for kind, path, *rest in notes:
        *way, last = path if isinstance(path, list) else [path]
        holder = root
        for step in way:
            holder = holder[step]
        if kind in "na":
            value = None if kind == "n" else _packed(*rest)
            if isinstance(holder, list):
                holder.insert(last, value)
            else:
                holder[last] = value
        else:
            holder[last] = _value(kind, holder[last], rest[1:])


def _value(kind: str, value: Any, rest: list[Any]) -> Any:
    match kind:
        case "l":
            return value == "true"
        case "i" | "d":
            return int(value)
        case "f" | "w":
            return float(value)
        case "b":
            return base64.b64decode(value)
        case "t":
            return datetime.fromisoformat(value)
        case "s":
            return rest[0]
        case "v":
            return _packed(*rest)
        case "j":
            return _items(value, *rest)
        case _:
            return _NOTHING


def _packed(text: str, notes: Any = ()) -> Any:
    return _items(text, notes)[0]


def _items(text: str, notes: Any = ()) -> list[Any]:
    items = json.loads(text)
    _undo(notes, items)
    return items


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return [_copied(item) for item in value] if isinstance(value, list) else value


def _differing(wanted: Mapping[str, Any], found: Mapping[str, Any], rounded: bool) -> Iterator[str]:
    if _json(wanted) == _json(found) is not None:  # the usual case, much cheaper than looking at each value
        return
    for key in sorted(wanted.keys() | found.keys()):
        if not (key in wanted and key in found and _equal(wanted[key], found[key], rounded)):
            yield key


def _json(metadata: Mapping[str, Any]) -> bytes | None:
    """JSON text that is equal for equal metadata only; None where JSON cannot say it."""
    try:
        text = orjson.dumps(metadata, option=orjson.OPT_SORT_KEYS | orjson.OPT_PASSTHROUGH_DATETIME)
    except TypeError:
        return None
    return None if b"null" in text else text  # NaN is written as null


def _equal_floats(one: float, two: float, rounded: bool) -> bool:
    """Bit for bit but for the payload of a NaN, or `rounded` as a target stores it."""
    if math.isnan(one) or math.isnan(two):
        return math.isnan(one) and math.isnan(two)
    if one == two and math.copysign(1, one) == math.copysign(1, two):
        return True
    return rounded and (abs(one - two) <= ROUNDED * abs(one) or bool(np.float32(one) == np.float32(two)))


def _equal(one: Any, two: Any, rounded: bool) -> bool:
    """Whether both values are the same, types included."""
    if type(one) is not type(two):
        return False
    if isinstance(one, float):
        return _equal_floats(one, two, rounded)
    if isinstance(one, datetime):
        return one.isoformat() == two.isoformat()
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_equal(one[key], two[key], rounded) for key in one)
    if isinstance(one, list):
        return len(one) == len(two) and all(_equal(a, b, rounded) for a, b in zip(one, two, strict=True))
    return one == two
