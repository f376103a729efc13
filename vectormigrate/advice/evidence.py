"""What a sample shows about each metadata field beyond mapping's profile: texts that are dates or UUIDs, coordinates,
elements of lists. A streaming summary in bounded memory."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime

from vectormigrate.figures import counted
from vectormigrate.mapping.convert.origin import restore
from vectormigrate.mapping.paths import format_path
from vectormigrate.mapping.profile import MAX_DISTINCT, MAX_NESTING, MAX_PATHS, FieldProfile
from vectormigrate.model.batch import RecordBatch, Value
from vectormigrate.model.schema import FieldType

LONG_TEXT = 200
"""Mean characters from which a text field is prose rather than a keyword."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_PLACES = (frozenset({"lat", "lon"}), frozenset({"latitude", "longitude"}))


def text_type(text: str) -> FieldType:
    """DATETIME for a date or RFC 3339 time (as datetime indexes read them), UUID, else STRING."""
    if _DATE.fullmatch(text):
        try:
            datetime.fromisoformat(text)
        except ValueError:
            return FieldType.STRING
        return FieldType.DATETIME
    return FieldType.UUID if _UUID.fullmatch(text) else FieldType.STRING


def value_type(value: Value) -> FieldType | None:
    """The narrowest type that holds the value; None for null."""
    match value:
        case None:
            return None
        case bool():
            return FieldType.BOOL
        case int():
            return FieldType.INT64
        case float():
            return FieldType.FLOAT64
        case str():
            return text_type(value)
        case datetime():
            return FieldType.DATETIME
        case bytes():
            return FieldType.BYTES
        case list():
            return FieldType.LIST
        case dict():
            place = frozenset(value) in _PLACES and all(type(part) in (int, float) for part in value.values())
            return FieldType.GEO if place else FieldType.JSON


@dataclass(slots=True)
class Shape:
    """One field. `types` counts non-null values by narrowest type, `elements` those of lists; `fixed_length` is the
    length that all lists have, None when they differ or there are none."""

    types: Counter[FieldType] = field(default_factory=Counter[FieldType])
    characters: int = 0
    strings: int = 0
    elements: Counter[FieldType] = field(default_factory=Counter[FieldType])
    lengths: set[int] = field(default_factory=set[int])
    _seen: set[int] = field(default_factory=set[int])

    @property
    def fixed_length(self) -> int | None:
        return next(iter(self.lengths)) if len(self.lengths) == 1 else None

    @property
    def distinct_elements(self) -> int:
        """Different scalar elements of the lists, at most MAX_DISTINCT."""
        return len(self._seen)

    def add(self, value: Value) -> None:
        """Count one value."""
        kind = value_type(value)
        if kind is None:
            return
        self.types[kind] += 1
        if isinstance(value, str):
            self.strings += 1
            self.characters += len(value)
        elif isinstance(value, list):
            if len(self.lengths) < 2:
                self.lengths.add(len(value))
            for item in value:
                found = value_type(item)
                if found is not None:
                    self.elements[found] += 1
                if not isinstance(item, list | dict) and len(self._seen) < MAX_DISTINCT:
                    self._seen.add(hash(item))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inferred:
    """The type that a field is, and the share of its non-null values that are of it."""

    type: FieldType
    element: FieldType | None = None
    share: float = 1.0


def inferred(shape: Shape) -> Inferred | None:
    """The type of the field from all its values; None when it has none but nulls."""
    if not shape.types:
        return None
    kind, share = _main(shape.types)
    if kind is FieldType.STRING and shape.characters > LONG_TEXT * shape.strings:
        kind = FieldType.TEXT
    if kind is not FieldType.LIST:
        return Inferred(type=kind, share=share)
    if not shape.elements:
        return Inferred(type=kind, share=share)
    element, covered = _main(shape.elements)
    return Inferred(type=kind, element=element, share=share * covered)


def _main(counts: Counter[FieldType]) -> tuple[FieldType, float]:
    """The most frequent type and its share. Texts are dates or UUIDs only if all texts are; numbers are floats if some
    are, and an object is a place only if all objects are."""
    merged = Counter(counts)
    texts = [kind for kind in (FieldType.STRING, FieldType.DATETIME, FieldType.UUID) if merged[kind]]
    if len(texts) > 1:
        merged[FieldType.STRING] = sum(merged.pop(kind) for kind in texts)
    if merged[FieldType.FLOAT64] and merged[FieldType.INT64]:
        merged[FieldType.FLOAT64] += merged.pop(FieldType.INT64)
    if merged[FieldType.JSON] and merged[FieldType.GEO]:
        merged[FieldType.JSON] += merged.pop(FieldType.GEO)
    kind, count = max(merged.items(), key=lambda item: (item[1], item[0]))
    return kind, count / merged.total()


class Evidence:
    """Accumulates batches as the source returns them; sidecars are undone first, as in mapping's profile."""

    def __init__(self) -> None:
        self.fields: dict[str, Shape] = {}

    def add(self, batch: RecordBatch) -> None:
        """Count a batch."""
        for metadata in restore(batch).batch.metadata:
            for key, value in metadata.items():
                self._add((key,), value)

    def _add(self, path: tuple[str, ...], value: Value) -> None:
        name = format_path(path)
        found = self.fields.get(name)
        if found is None:
            if len(self.fields) >= MAX_PATHS:
                return
            found = self.fields[name] = Shape()
        found.add(value)
        if isinstance(value, dict) and len(path) < MAX_NESTING:
            for key, item in value.items():
                self._add((*path, key), item)


def deserves_index(kind: Inferred, shape: Shape, found: FieldProfile) -> tuple[bool, str]:
    """Whether filters on this field are likely and useful, and why.

    Numbers, booleans, dates, UUIDs and places are filtered by range or equality. Texts and lists of texts are when
    values repeat: at most half of those seen are different. A field with one value for all is not.
    """
    values = found.values - found.nulls
    if found.distinct == 1 and kind.type is not FieldType.LIST:
        return False, "every record has the same value"
    match kind.type:
        case FieldType.TEXT:
            return False, "long texts"
        case FieldType.JSON | FieldType.BYTES:
            return False, f"{kind.type} values"
        case FieldType.STRING:
            repeats = found.distinct * 2 <= values
            return repeats, f"{_about(found.distinct)} different texts in {counted(values)} values"
        case FieldType.LIST:
            simple = kind.element not in (None, FieldType.JSON, FieldType.LIST, FieldType.BYTES, FieldType.TEXT)
            total = shape.elements.total()
            repeats = simple and shape.distinct_elements * 2 <= total
            return repeats, f"{_about(shape.distinct_elements)} different elements of {counted(total)}"
        case _:
            return True, f"{_about(found.distinct)} different {kind.type} values"


def _about(count: int) -> str:
    return counted(count) if count < MAX_DISTINCT else f"at least {counted(MAX_DISTINCT)}"
