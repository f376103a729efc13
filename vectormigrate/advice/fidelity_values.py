"""Collections with one kind of id, namespace, metadata value, filter or setting."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from vectormigrate.adapter import Capabilities, ValueKind
from vectormigrate.advice.fidelity_case import Collection, collection
from vectormigrate.model.batch import (
    Value,
)
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import (
    FieldType,
    MetadataField,
    Setting,
)

_DAY_TEXT = "2026-01-02T03:04:05.678Z"


def with_ids(kind: IdKind, *ids: RecordId) -> Callable[[Capabilities], Collection | None]:
    """These ids, of this kind."""

    def make(caps: Capabilities) -> Collection | None:
        return collection(caps, ids=ids) if kind in caps.ids.kinds else None

    return make


def two_namespaces(*, shared_ids: bool) -> Callable[[Capabilities], Collection | None]:
    """Two namespaces, each with one record or, with `shared_ids`, both with the same ids."""

    def make(caps: Capabilities) -> Collection | None:
        if not caps.namespaces.supported or (shared_ids and not caps.ids.per_namespace):
            return None
        made = collection(caps, namespaces=("a", "b"))
        if shared_ids:
            return made
        first, second = made.batches
        return Collection(schema=made.schema, batches=(first.take([0]), second.take([1])))

    return make


def empty_namespace(caps: Capabilities) -> Collection | None:
    """A namespace without records."""
    if not caps.namespaces.empty:
        return None
    full, empty = collection(caps, namespaces=("a", "b")).batches
    schema = replace(collection(caps).schema, divided=caps.namespaces.declared)
    return Collection(schema=schema, batches=(full, empty.take([])))


def with_values(
    kind: FieldType, needs: Sequence[ValueKind], *values: Value, element: FieldType | None = None, key: str = "f"
) -> Callable[[Capabilities], Collection | None]:
    """Values of a field; on a source with typed columns in a column of `kind`."""

    def make(caps: Capabilities) -> Collection | None:
        # A typed column holds values of its own type; these kinds are more than that.
        beyond = {ValueKind.NULL, ValueKind.WHOLE, ValueKind.NONFINITE}
        held = (set(needs) if caps.metadata.dynamic else set(needs) & beyond) <= caps.metadata.value_kinds
        legal = (caps.metadata.dynamic or kind in caps.metadata.column_types) and bool(
            re.fullmatch(caps.metadata.names, key)
        )
        low, high = caps.metadata.int_range
        inside = all(low <= value <= high for value in values if type(value) is int)
        if not (legal and held and inside):
            return None
        column = MetadataField(name=key, type=kind, element=element, declared=True)
        return collection(caps, values=values, field=None if caps.metadata.dynamic else column, key=key)

    return make


def with_index(
    kind: FieldType, needs: Sequence[ValueKind], *values: Value, element: FieldType | None = None
) -> Callable[[Capabilities], Collection | None]:
    """A field of these values that can be filtered on."""

    def make(caps: Capabilities) -> Collection | None:
        if kind not in caps.metadata.index_types or (
            caps.metadata.dynamic and not set(needs) <= caps.metadata.value_kinds
        ):
            return None
        field = MetadataField(name="f", type=kind, element=element, indexed=True, declared=not caps.metadata.dynamic)
        low, high = caps.metadata.int_range
        if any(type(value) is int and not low <= value <= high for value in values):
            return None
        texts = (
            kind is FieldType.DATETIME and caps.metadata.dynamic and ValueKind.DATETIME not in caps.metadata.value_kinds
        )
        return collection(caps, values=[_DAY_TEXT] * 2 if texts else values, field=field)

    return make


def with_setting(name: str) -> Callable[[Capabilities], Collection | None]:
    """A setting that such a database has."""

    def make(caps: Capabilities) -> Collection | None:
        weight = caps.collection.known_settings.get(name)
        if weight is None:
            return None
        made = collection(caps)
        setting = Setting(name=name, weight=weight, detail=name)
        return replace(made, schema=replace(made.schema, settings=(setting,)))

    return make
