"""Vectors of 16-bit floats for a database that makes cosine vectors unit vectors and rounds them afterwards.

Such a vector, read and written again, would be normalised once more, because the rounding moved its length by up to
2^-11, and now and then (in about one of a hundred vectors of 8 components) that changes a bit. What the database
stored was rounded from a unit vector, so there is one among the vectors that round to it: that one is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.batch import BoolMask, SparseColumn, VectorColumn
from vectormigrate.model.schema import DType, Metric, VectorField

NEAR_UNIT = 8e-7
"""How far a sum of squares may be from 1 for every such database to leave the vector alone (Qdrant: 1e-6)."""
SMALL_SQUARE = 1.19e-7 * (1 - 1e-4)
"""Vectors of a smaller sum of squares are left alone, too (Qdrant: f32::EPSILON)."""
HARMLESS = 0.9 * 2.0**-12
"""A change of length that no component's rounding to 11 bits shows."""
FURTHEST = 2.0**-11
"""A unit vector changes its length by no more than this when its components are rounded to 11 bits."""
STEPS = 40


def as_sent(
    vectors: Mapping[str, VectorColumn], field: Callable[[str], VectorField | None]
) -> Mapping[str, VectorColumn]:
    """The columns with the cosine vectors of 16 bits as float32 values that are stored as the given ones."""
    found: dict[str, VectorColumn] = {}
    for name, column in vectors.items():
        item = field(name)
        half = item is not None and item.dtype is DType.FLOAT16 and item.metric is Metric.COSINE
        if half and not isinstance(column, SparseColumn):
            column = replace(column, values=stored_as_given(column.values)[0])
        found[name] = column
    return found


def stored_as_given(values: NDArray[Any]) -> tuple[NDArray[np.float32], BoolMask]:
    """float32 vectors `[n, d]` to send for float16 ones, and per row whether a database that normalises stores exactly
    the given vector. Rows that no unit vector rounds to are sent as they are."""
    half = values.astype(np.float16)
    sent = half.astype(np.float32)
    wide = half.astype(np.float64)
    squares = np.einsum("ij,ij->i", wide, wide)
    off = np.abs(np.sqrt(squares) - 1)
    alone = (squares < SMALL_SQUARE) | (off <= HARMLESS)
    rows = np.flatnonzero(~alone & (off <= 2 * FURTHEST))
    if len(rows):
        units, found = _units(half[rows])
        sent[rows[found]] = units[found]
        alone[rows] = found
    return sent, alone


def _units(half: NDArray[np.float16]) -> tuple[NDArray[np.float32], BoolMask]:
    """Per row a unit vector whose components round to the given ones, and whether there is one."""
    sizes = np.abs(half)
    low, high = _bounds(sizes, np.float16(0)), _bounds(sizes, np.float16(np.inf))
    low, high = np.where(sizes == 0, 0, low), np.where(sizes == 0, 0, high)
    wide = sizes.astype(np.float64)
    # The length grows with the factor, as far as the bounds let it.
    down, up = np.full(len(half), 1 - 2 * FURTHEST), np.full(len(half), 1 + 2 * FURTHEST)
    for _ in range(STEPS):
        middle = (down + up) / 2
        clipped = np.clip(wide * middle[:, None], low, high)
        short = np.einsum("ij,ij->i", clipped, clipped) < 1
        down, up = np.where(short, middle, down), np.where(short, up, middle)
    units = np.clip(wide * up[:, None], low, high).astype(np.float32)
    exact = units.astype(np.float64)
    found = np.abs(np.einsum("ij,ij->i", exact, exact) - 1) <= NEAR_UNIT
    found &= (units.astype(np.float16) == sizes).all(axis=1)
    return np.copysign(units, half.astype(np.float32)), found


def _bounds(sizes: NDArray[np.float16], towards: np.float16) -> NDArray[np.float64]:
    """The last float32 on the way to the neighbour that still rounds to the value."""
    with np.errstate(over="ignore"):
        neighbour = np.nextafter(sizes, towards)
    half_way = ((sizes.astype(np.float64) + neighbour.astype(np.float64)) / 2).astype(np.float32)
    return np.nextafter(half_way, sizes.astype(np.float32)).astype(np.float64)
