"""Cuts a mapped batch into pieces that a target takes: by rows and by bytes."""

from __future__ import annotations

import orjson

from vectormigrate.model.batch import Metadata, RecordBatch


def split(batch: RecordBatch, max_rows: int, max_bytes: int) -> list[list[int]]:
    """Row numbers of each piece, in order; every row is in exactly one. A record that alone exceeds `max_bytes` is a
    piece of its own: the target decides about it."""
    rows = len(batch)
    if rows == 0:
        return []
    if batch.vector_nbytes + _json_nbytes(batch.metadata) <= max_bytes:
        return [list(range(start, min(start + max_rows, rows))) for start in range(0, rows, max_rows)]
    vector_bytes = batch.vector_nbytes / rows
    pieces: list[list[int]] = []
    piece: list[int] = []
    spent = 0.0
    for row in range(rows):
        size = vector_bytes + _json_nbytes(batch.metadata[row])
        if piece and (len(piece) == max_rows or spent + size > max_bytes):
            pieces.append(piece)
            piece, spent = [], 0.0
        piece.append(row)
        spent += size
    return [*pieces, piece]


def _json_nbytes(metadata: Metadata | list[Metadata]) -> int:
    """Size as JSON; bytes and integers beyond 64 bits count as their text."""
    try:
        return len(orjson.dumps(metadata, default=str, option=orjson.OPT_NON_STR_KEYS))
    except TypeError:
        return len(repr(metadata))
