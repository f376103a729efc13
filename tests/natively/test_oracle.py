"""The oracle finds what it is there to find."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.natively import NativeRecord
from tests.natively.oracle import check
from vectormigrate.model.batch import DenseColumn, RecordBatch

VECTOR = np.array([[3, 4]], np.float32)
SOURCE = RecordBatch("", ["a"], {"v": DenseColumn(VECTOR)}, [{"k": 1, "t": "x"}])
GOOD = NativeRecord(id="a", namespace="", fields={"k": 1, "t": "x"}, vectors={"v": [3.0, 4.0]})


def lines(*found: NativeRecord) -> list[str]:
    return check([SOURCE], found, {"v": "v"}, units=False)


def test_an_exact_record_is_fine() -> None:
    assert lines(GOOD) == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"fields": {"k": 1.0, "t": "x"}}, "field 'k'"),
        ({"fields": {"t": "x"}}, "field 'k'"),
        ({"fields": {"k": 1, "t": "x", "new": 1}}, "came from nowhere"),
        ({"vectors": {}}, "missing"),
        ({"vectors": {"v": [0.6, 0.8]}}, "no note says"),
        ({"vectors": {"v": [3.0, 4.5]}}, "became"),
        ({"id": "b"}, "not expected"),
        ({"namespace": "n"}, "not expected"),
    ],
)
def test_a_changed_record_is_named(changes: dict[str, Any], said: str) -> None:
    assert any(said in line for line in lines(replace(GOOD, **changes)))


def test_a_lost_and_a_doubled_record_are_named() -> None:
    assert lines() == ["('', 's:a'): missing"]
    assert lines(GOOD, GOOD) == ["'' 'a': twice"]


def test_a_note_explains_a_change() -> None:
    sidecar = {"v": 1, "id": "s:a", "m": [["i", "k", 5]], "x": {"v": [1, 5.0, ""]}}
    fields = {"k": "1", "t": "x", "_vm_origin": json.dumps(sidecar)}
    assert lines(replace(GOOD, id=7, fields=fields, vectors={"v": [0.6, 0.8]})) == []
