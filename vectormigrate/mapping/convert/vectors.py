"""Vector components: storage types, and the exact two-way normalisation of cosine vectors."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.batch import NUMPY_DTYPE, BoolMask
from vectormigrate.model.schema import DType

Floats = NDArray[np.float32]
Ints = NDArray[np.int32]
LengthNote = list[Any]
"""`[check, norm, corrections]` or `[check, original]`: CRC-32 of the written vector; its length before, as a float64;
base64 of 2-bit rounding corrections ("" when all are 0); or base64 of the original float32 bytes."""

WIDENS: Mapping[DType, tuple[DType, ...]] = {
    DType.FLOAT32: (),
    DType.FLOAT16: (DType.FLOAT32,),
    DType.BFLOAT16: (DType.FLOAT32,),
    DType.INT8: (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32),
    DType.UINT8: (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32),
    DType.BITS: (),
}
"""Types that hold every value of the key exactly (int8 and uint8 need 8 significant bits, which all floats have)."""

NARROWING_BOUND: Mapping[DType, float] = {DType.FLOAT16: 2.0**-11, DType.BFLOAT16: 2.0**-8}
"""Largest relative error per component after rounding a float32 to nearest, for normal numbers."""

SPARSE_FILLER = (0, 2.0**-126)
"""Index and weight of the one component that stands for a sparse vector where the target requires one: the smallest
normal float32, because a zero is forgotten by some targets; it adds nothing that a score could show."""

DENSE_FILLER = np.float32(2.0**-40)
"""First component of the vector that stands for zeros, or for none, where the target refuses zeros: its square is still
a normal float32, and as a dot product it moves no score that matters."""

_BLOCK = 32_768
"""Components worked on at a time, so that the intermediate float64 arrays stay in the processor's cache."""

_SAFE_TOLERANCE = 0.8
_SAFE_SMALL = 1 - 1e-4
"""A target sums squares in float32, so near its two thresholds it may decide otherwise than our float64 sum. There we
normalise: a unit vector is far inside "leave alone" for every target, so it is stored as written."""


def zero_note(signs: BoolMask) -> int | str:
    """The note of a vector of zeros that a filler replaces: 1, or the signs of its zeros as base64 bits."""
    return base64.b64encode(np.packbits(signs).tobytes()).decode() if signs.any() else 1


def zeros_of(note: object, dim: int) -> Floats | None:
    """The zeros that `zero_note` noted, None for another note."""
    if note == 1:
        return np.zeros(dim, np.float32)
    if not isinstance(note, str):
        return None
    signs = np.unpackbits(np.frombuffer(_from_base64(note), np.uint8))[:dim]
    return np.where(signs == 1, np.float32(-0.0), np.float32(0)) if len(signs) == dim else None


def _any(mask: Any) -> BoolMask:
    """Per row: is any component True."""
    return np.logical_or.reduce(mask, axis=-1)


def to_float32(values: NDArray[Any], dtype: DType) -> Floats:
    """The components as float32, exactly, for every type but BITS (which is returned as its 0/1 components)."""
    if dtype is DType.FLOAT32:
        return values
    if dtype is DType.BFLOAT16:
        return (values.astype(np.uint32) << np.uint32(16)).view(np.float32)
    if dtype is DType.BITS:
        return np.unpackbits(values, axis=-1).astype(np.float32)
    return values.astype(np.float32)


def cast_values(values: NDArray[Any], source: DType, target: DType) -> tuple[NDArray[Any], BoolMask]:
    """The components in another storage type, rounded to nearest, and a mask of the rows that changed in value."""
    if source is target:
        return values, np.zeros(len(values), np.bool_)
    wide = to_float32(values, source)
    if target is DType.BFLOAT16:
        bits = wide.view(np.uint32)
        rounded = (bits + np.uint32(0x7FFF) + ((bits >> np.uint32(16)) & np.uint32(1))) >> np.uint32(16)
        narrow: NDArray[Any] = rounded.astype(np.uint16)
    elif target is DType.BITS:
        narrow = np.packbits(wide > 0, axis=-1)
    elif target in (DType.INT8, DType.UINT8):
        info = np.iinfo(NUMPY_DTYPE[target])
        narrow = np.clip(np.rint(wide), info.min, info.max).astype(NUMPY_DTYPE[target])
    else:
        with np.errstate(over="ignore"):
            narrow = wide.astype(NUMPY_DTYPE[target])
    back = to_float32(narrow, target)
    return np.ascontiguousarray(narrow), _any(np.not_equal(back[..., : wide.shape[-1]], wide))


def nonfinite_rows(values: NDArray[Any], dtype: DType) -> BoolMask:
    """Rows that hold NaN or an infinity."""
    if dtype in (DType.INT8, DType.UINT8, DType.BITS):
        return np.zeros(len(values), np.bool_)
    if dtype is DType.BFLOAT16:
        return _any(np.equal(values & np.uint16(0x7F80), np.uint16(0x7F80)))
    if dtype is DType.FLOAT32:
        # a sum over the row is non-finite if a component is; only then look at each (finite rows may overflow to inf)
        with np.errstate(over="ignore", invalid="ignore"):
            suspects = ~np.isfinite(values.sum(axis=-1, dtype=np.float32))
        if suspects.any():
            suspects[suspects] = ~np.isfinite(values[suspects]).all(axis=-1)
        return suspects
    return _any(~np.isfinite(values))


def _ordered(values: Floats) -> Ints:
    """Floats as integers in the same order, neighbours 1 apart; -0.0 comes right before 0.0.

    The difference of two such integers may wrap, but then it is far from the small numbers that are looked for.
    """
    bits = np.ascontiguousarray(values).view(np.int32)
    return bits ^ ((bits >> np.int32(31)) & np.int32(0x7FFFFFFF))


def _from_ordered(order: Ints) -> Floats:
    return (order ^ ((order >> np.int32(31)) & np.int32(0x7FFFFFFF))).view(np.float32)


def _plus_zero(values: Floats) -> Floats:
    """The same numbers without negative zeros, which a database may not keep."""
    return values + np.float32(0)


def _scaled(units: Floats, norms: NDArray[np.float64]) -> Floats:
    """float32(u · norm): what restoring starts from. Elementwise IEEE arithmetic, so the same on every machine."""
    with np.errstate(over="ignore"):
        return (_plus_zero(units).astype(np.float64) * norms[:, None]).astype(np.float32)


def _check(row: Floats) -> int:
    return zlib.crc32(row.tobytes())


def normalise(values: Floats, small: float, tolerance: float) -> tuple[Floats, dict[int, LengthNote]]:
    """Unit vectors, and for each row that changed the note that gives back the original bit for bit.

    `values` is finite `[n, d]`. Rows whose sum of squares is below `small` or within `tolerance` of 1 are left alone.
    """
    notes: dict[int, LengthNote] = {}
    result = np.empty_like(values)
    step = max(1, _BLOCK // max(1, values.shape[1]))
    for start in range(0, len(values), step):
        block = values[start : start + step]
        wide = block.astype(np.float64)
        squares = np.einsum("ij,ij->i", wide, wide)
        todo = (squares >= small * _SAFE_SMALL) & (np.abs(squares - 1) > tolerance * _SAFE_TOLERANCE)
        rows = np.flatnonzero(todo)
        result[start : start + step] = block
        if len(rows):
            norms = np.sqrt(squares[rows])
            units = (wide[rows] / norms[:, None]).astype(np.float32)
            result[start + rows] = units
            _add_notes(notes, block[rows], units, norms, start + rows)
    return result, notes


def _add_notes(
    notes: dict[int, LengthNote], originals: Floats, units: Floats, norms: NDArray[np.float64], rows: NDArray[np.int64]
) -> None:
    delta = _ordered(originals) - _ordered(_scaled(units, norms))
    packable = ~_any(np.greater(np.abs(delta), 1))
    plain = ~_any(np.not_equal(delta, 0))
    packed = _pack(delta)
    checked = _plus_zero(units)
    for i, (row, norm) in enumerate(zip(rows.tolist(), norms.tolist(), strict=True)):
        check = _check(checked[i])
        if plain[i]:
            notes[row] = [check, norm, ""]
        elif packable[i]:
            notes[row] = [check, norm, base64.b64encode(packed[i].tobytes()).decode()]
        else:
            notes[row] = [check, base64.b64encode(originals[i].tobytes()).decode()]


def _pack(delta: Ints) -> NDArray[np.uint8]:
    """Corrections -1, 0, 1 as the 2-bit numbers 0, 1, 2, four to a byte."""
    n, dim = delta.shape
    codes = np.full((n, -(-dim // 4) * 4), 1, np.uint8)
    codes[:, :dim] = (np.clip(delta, -1, 1) + 1).astype(np.uint8)
    quads = codes.view("<u4")  # four codes as one integer, the first one lowest
    return (quads | (quads >> 6) | (quads >> 12) | (quads >> 18)).astype(np.uint8)


def _unpack(packed: NDArray[np.uint8], dim: int) -> Ints:
    codes = np.stack([(packed >> shift) & 3 for shift in (0, 2, 4, 6)], axis=-1).reshape(len(packed), -1)
    return codes[:, :dim].astype(np.int32) - np.int32(1)


def denormalise(values: Floats, notes: Mapping[int, LengthNote]) -> Floats:
    """The original vectors of the rows that have a note and still hold what `normalise` wrote; the others unchanged."""
    result = values.copy()
    dim = values.shape[1]
    width = -(-dim // 4)
    checked = _plus_zero(values)
    rows: list[int] = []
    norms: list[float] = []
    packed: list[bytes] = []
    neutral = b"\x55" * width
    for row, note in notes.items():
        if note[0] != _check(checked[row]):
            continue
        data = _from_base64(note[-1])
        if len(note) == 2:
            if len(data) == 4 * dim:
                result[row] = np.frombuffer(data, "<f4")
            continue
        correction = data or neutral
        if len(correction) == width:
            rows.append(row)
            norms.append(note[1])
            packed.append(correction)
    if rows:
        scaled = _scaled(values[rows], np.array(norms, np.float64))
        delta = _unpack(np.frombuffer(b"".join(packed), np.uint8).reshape(len(rows), width), dim)
        result[rows] = _from_ordered(_ordered(scaled) + delta)
    return result


def _from_base64(text: str) -> bytes:
    """The bytes, none when the text was damaged."""
    try:
        return base64.b64decode(text)
    except ValueError:
        return b""
