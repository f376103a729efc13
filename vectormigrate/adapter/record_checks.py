"""What a database that keeps records as JSON cannot hold, found before anything is sent.

Such databases apply a batch in part when one record is wrong, and store some records that they can never return, so
every record is looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import isfinite
from typing import Any

import numpy as np
import orjson

from vectormigrate.adapter.column_checks import Problem, vector_problems
from vectormigrate.errors import InvalidRequest
from vectormigrate.model.batch import NUMPY_DTYPE, DenseColumn, Metadata, MultiColumn, RecordBatch, SparseColumn, Value
from vectormigrate.model.schema import VectorField, VectorKind

COLUMN_CLASS = {VectorKind.DENSE: DenseColumn, VectorKind.SPARSE: SparseColumn, VectorKind.MULTI: MultiColumn}

_PLAIN = frozenset({str, int, bool, type(None)})


def check_columns(batch: RecordBatch, find: Callable[[str], VectorField | None], adapter: str) -> None:
    """Raises InvalidRequest for a column that does not belong to the collection, whose vector fields `find` knows."""
    for name, column in batch.vectors.items():
        item = find(name)
        wrong = ""
        if item is None:
            wrong = f"the collection has no vector field {name!r}"
        elif not isinstance(column, COLUMN_CLASS[item.kind]):
            wrong = f"vector field {name!r} is {item.kind}"
        elif not isinstance(column, SparseColumn) and column.values.dtype != NUMPY_DTYPE[item.dtype]:
            wrong = f"vector field {name!r} holds {item.dtype}, not {column.values.dtype}"
        if wrong:
            raise InvalidRequest(wrong, adapter=adapter, operation="upsert")


def record_problems(batch: RecordBatch, vectors: Sequence[VectorField]) -> Iterator[tuple[int, Problem]]:
    """Rows that no such database holds: text that is not Unicode, integers beyond 64 bits, impossible vectors."""
    if not is_json(batch.namespace):
        yield from ((row, ("namespace", "the namespace is not valid Unicode text")) for row in range(len(batch)))
    if not is_json(batch.metadata):
        for row, metadata in enumerate(batch.metadata):
            if not is_json(metadata):
                yield row, ("value", "the metadata holds an integer beyond 64 bits or text that is not valid Unicode")
    for item in vectors:
        column = batch.vectors.get(item.name)
        if column is not None:
            for rows, problem in vector_problems(column, item):
                yield from ((row, problem) for row in np.flatnonzero(rows).tolist())


def is_json(value: Any) -> bool:
    """Whether JSON can be written of it; NaN counts, though it is written as null."""
    try:
        orjson.dumps(value)
    except orjson.JSONEncodeError:
        return False
    return True


def value_problem(metadata: Metadata, most_levels: int) -> Problem | None:
    """The first value that JSON does not hold exactly, or that is nested deeper than `most_levels`, the metadata itself
    being one level. Range of integers and Unicode are left to `record_problems`."""
    for key, value in metadata.items():
        if type(value) in _PLAIN:
            continue
        problem = _value_problem(value, 2, most_levels)
        if problem is not None:
            return problem[0], f"field {key!r}: {problem[1]}"
    return None


def _value_problem(value: Value, level: int, most_levels: int) -> Problem | None:
    """`level`: how deep the value is if it is a container."""
    if isinstance(value, float):
        return None if isfinite(value) else ("value", f"{value} is not a JSON number")
    if isinstance(value, list | dict):
        if level > most_levels:
            return "depth", f"nested deeper than {most_levels} levels"
        for item in value.values() if isinstance(value, dict) else value:
            if type(item) not in _PLAIN:
                problem = _value_problem(item, level + 1, most_levels)
                if problem is not None:
                    return problem
        return None
    if value is None or isinstance(value, str | int):
        return None
    return "value", f"a value of type {type(value).__name__} is not supported"
