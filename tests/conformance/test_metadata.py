"""Metadata values and keys."""

from __future__ import annotations

import math
import random
import re
import struct
from datetime import UTC, datetime, timedelta, timezone

import pytest

from tests.conformance.data import batch, ids_of, read_all, rows_of, typed, write
from tests.conformance.requirements import requirement
from tests.harness.base import Harness
from vectormigrate.adapter import Target, ValueKind
from vectormigrate.model.batch import Metadata, Value
from vectormigrate.model.schema import CollectionSchema

pytestmark = pytest.mark.anyio

K = ValueKind

CASES: dict[str, tuple[Value, set[ValueKind]]] = {
    "null": (None, {K.NULL}),
    "true": (True, {K.BOOL}),
    "false": (False, {K.BOOL}),
    "zero": (0, {K.INT}),
    "one": (1, {K.INT}),
    "minus one": (-1, {K.INT}),
    "above double": (2**53 + 1, {K.INT}),
    "float one": (1.0, {K.FLOAT, K.WHOLE}),
    "negative zero": (-0.0, {K.FLOAT, K.WHOLE}),
    "third": (1 / 3, {K.FLOAT}),
    "large float": (1e22, {K.FLOAT, K.WHOLE}),
    "integral float above int64": (2.0**70, {K.FLOAT, K.WHOLE}),
    "largest float": (1.7976931348623157e308, {K.FLOAT, K.WHOLE}),
    "smallest float": (5e-324, {K.FLOAT}),
    "nan": (math.nan, {K.NONFINITE}),
    "infinity": (math.inf, {K.NONFINITE}),
    "empty string": ("", {K.STRING}),
    "number string": ("007", {K.STRING}),
    "date string": ("2024-02-29T12:00:00Z", {K.STRING}),
    "unicode": ("é e\u0301 日本 😀 \u202e \u2028", {K.STRING}),
    "controls": ("a\0b\n\t\x1f\x7f", {K.STRING}),
    "quotes": ("'\"\\`${x}%s", {K.STRING}),
    "long string": ("x" * 60_000, {K.STRING}),
    "empty bytes": (b"", {K.BYTES}),
    "bytes": (bytes(range(256)), {K.BYTES}),
    "datetime": (datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=UTC), {K.DATETIME}),
    "offset datetime": (datetime(1969, 12, 31, tzinfo=timezone(timedelta(hours=-5))), {K.DATETIME}),
    "empty object": ({}, {K.OBJECT}),
    "object": ({"a": "x", "b": {"c": "y"}}, {K.OBJECT, K.STRING}),
    "nested keys": ({"": "x", "a.b": "y", "ä": {"$z": "w"}}, {K.OBJECT, K.STRING}),
    "object with null": ({"a": None}, {K.OBJECT, K.NULL}),
    "empty list": ([], {K.LIST_OF_STRINGS, K.LIST}),
    "strings": (["a", "", "a", "é"], {K.LIST_OF_STRINGS}),
    "numbers": ([1, 2, 3], {K.LIST, K.INT}),
    "floats": ([1.0, 2.5], {K.LIST, K.FLOAT, K.WHOLE}),
    "mixed list": ([1, 1.0, "1", True, None], {K.LIST, K.NULL, K.WHOLE}),
    "nested list": ([[1], [], [[2]]], {K.LIST}),
    "list of objects": ([{"a": 1}, {"b": [{"c": None}]}], {K.LIST, K.OBJECT, K.NULL}),
}


async def attempt(target: Target, schema: CollectionSchema, number: int, metadata: Metadata) -> bool:
    """Write one record; True when it was taken (and then it must read back exactly), False when it was rejected."""
    records = batch(schema, ids_of(schema, [number]), metadata=[metadata])
    rejects = await target.upsert(records)
    if rejects:
        assert [reject.id for reject in rejects] == records.ids
        return False
    await write(target)
    (found,) = (await target.fetch(records.ids, "")).metadata
    assert typed(found) == typed(metadata)
    return True


@requirement("metadata:exact-or-rejected")
async def test_values_come_back_exactly_or_are_rejected(harness: Harness) -> None:
    caps = harness.capabilities
    # One field of mixed types where fields have no type, else a column per case.
    keys = {name: "value" if caps.metadata.dynamic else f"value_{number}" for number, name in enumerate(CASES)}
    schema = harness.schema(samples=[{"before": "x", "after": "y"}, *({keys[k]: v[0]} for k, v in CASES.items())])
    altered: list[str] = []
    async with harness.fresh(schema) as target:
        for number, (name, (value, needed)) in enumerate(CASES.items()):
            try:
                taken = await attempt(target, schema, number, {"before": "x", keys[name]: value, "after": "y"})
            except AssertionError as error:
                altered.append(f"{name}: {error}")
                continue
            in_range = type(value) is not int or caps.metadata.int_range[0] <= value <= caps.metadata.int_range[1]
            small = type(value) is not str or len(value) + 100 < (caps.metadata.max_bytes or 2**20)
            if needed <= caps.metadata.value_kinds and in_range and small and not taken:
                altered.append(f"{name}: rejected although declared")
    assert altered == []


@requirement("metadata:every-double")
async def test_every_double_comes_back_exactly(harness: Harness) -> None:
    generator = random.Random(7)
    raw = (struct.unpack("<d", generator.randbytes(8))[0] for _ in range(1500))
    doubles = [value for value in raw if math.isfinite(value)]
    doubles += [generator.random() for _ in range(500)] + [generator.gauss(0, 1) * 10**k for k in range(-12, 20)]
    doubles += [1.7e9 + generator.random() for _ in range(100)] + [number / 3 for number in range(200)]
    if ValueKind.WHOLE not in harness.capabilities.metadata.value_kinds:
        doubles = [value for value in doubles if not value.is_integer()]
    schema = harness.schema(samples=[{"value": 0.5}])
    async with harness.fresh(schema) as target:
        rows: list[Metadata] = [{"value": value} for value in doubles]
        if ValueKind.LIST in harness.capabilities.metadata.value_kinds:
            rows.append({"list": [*doubles[:500]]})
        records = batch(schema, ids_of(schema, range(len(rows))), metadata=rows)
        await write(target, records)
        found = await target.fetch(records.ids, "")
        wrong = [
            (mine, theirs) for mine, theirs in zip(rows, found.metadata, strict=True) if typed(mine) != typed(theirs)
        ]
        assert wrong == []


@requirement("metadata:null-missing-empty")
async def test_null_missing_empty_and_zero_stay_apart(harness: Harness) -> None:
    rows: list[Metadata] = [{}, {"a": ""}, {"a": 0}, {"a": False}, {"b": "x"}]
    if not harness.capabilities.metadata.dynamic:
        rows = [{}, {"a": ""}, {"c": 0}, {"d": False}, {"b": "x"}]
    schema = harness.schema(samples=rows)
    if ValueKind.NULL in harness.capabilities.metadata.value_kinds:
        rows.append({"a": None})
        rows.append({"a": None, "b": "x"})
    async with harness.fresh(schema) as target:
        records = batch(schema, ids_of(schema, range(len(rows))), metadata=rows)
        await write(target, records)
        assert await read_all(target) == rows_of(records)


@requirement("metadata:integer-range")
async def test_integers_are_exact_to_the_ends_of_the_range_and_rejected_beyond(harness: Harness) -> None:
    schema = harness.schema()
    low, high = harness.capabilities.metadata.int_range
    async with harness.fresh(schema) as target:
        for number, value in enumerate((low, low + 1, high - 1, high)):
            assert await attempt(target, schema, number, {"n": value})
            if ValueKind.LIST in harness.capabilities.metadata.value_kinds:
                assert await attempt(target, schema, number, {"n": [value]})
        for value in (low - 1, high + 1):
            assert not await attempt(target, schema, 9, {"n": value})


KEYS = (
    *(
        "a",
        "A",
        "snake_case",
        "with space",
        "dot.ted",
        "",
        "$dollar",
        "_id",
        "id",
        "vector",
        "embedding",
        "ünï",
        "日本",
    ),
    *("quote'\"", "back\\slash", "nul\0", "[0]", "a-b", "0", "x" * 200, "_namespace", "_vm_namespace", "$meta", "😀"),
)


@requirement("metadata:field-names")
async def test_keys_come_back_as_written_or_are_rejected(harness: Harness) -> None:
    caps = harness.capabilities
    schema = harness.schema(samples=[{key: "x"} for key in KEYS])
    wrong: list[str] = []
    async with harness.fresh(schema) as target:
        for number, key in enumerate(KEYS):
            is_legal = re.fullmatch(caps.metadata.names, key) and key not in caps.metadata.reserved
            is_legal = is_legal and not (caps.metadata.shared_names and key == schema.vectors[0].name)
            is_legal = is_legal and (caps.metadata.dynamic or key in [item.name for item in schema.fields])
            try:
                if is_legal and not await attempt(target, schema, number, {key: "x"}):
                    wrong.append(f"{key!r}: rejected although legal")
                if not is_legal and await attempt(target, schema, number, {key: "x"}):
                    wrong.append(f"{key!r}: taken although declared illegal")
            except AssertionError as error:
                wrong.append(f"{key!r}: {error}")
    assert wrong == []


@requirement("metadata:large")
async def test_a_large_record_is_kept(harness: Harness) -> None:
    most = harness.capabilities.metadata.max_bytes or 1_000_000
    fields = max(1, most // 50_000)
    metadata: Metadata = {f"part{number}": "x" * (min(most, 50_000) - 40) for number in range(fields)}
    schema = harness.schema(samples=[metadata])
    async with harness.fresh(schema) as target:
        assert await attempt(target, schema, 1, metadata)
