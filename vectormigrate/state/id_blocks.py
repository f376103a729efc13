"""Packs typed ids into small blobs and back.

A block is zlib over groups, one per kind of id. Order and duplicates are not kept: ids are sorted, because neighbours
that differ little compress well. Sequential integers cost well under a byte each, UUIDs 15 to 16 (they are random),
texts what zlib makes of them; texts that spell a UUID are packed as one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Iterator
from uuid import UUID

import numpy as np

from vectormigrate.model.ids import RecordId

_HEADER = struct.Struct("<cII")
"""Kind, number of ids, bytes of payload."""

_POSITIVE, _NEGATIVE, _UUID, _UUID_TEXT, _TEXT = b"i", b"n", b"u", b"x", b"s"
_LEVEL = 6


def pack_ids(ids: Iterable[RecordId]) -> bytes:
    """The set of these ids as a blob. Integers must lie in −2^64 … 2^64−1."""
    numbers: dict[bytes, set[int]] = {_POSITIVE: set(), _NEGATIVE: set()}
    uuids: dict[bytes, set[bytes]] = {_UUID: set(), _UUID_TEXT: set()}
    strings: list[str] = []
    for record_id in ids:
        if isinstance(record_id, str):
            strings.append(record_id)
        elif isinstance(record_id, UUID):
            uuids[_UUID].add(record_id.bytes)
        elif record_id >= 0:
            numbers[_POSITIVE].add(record_id)
        else:
            numbers[_NEGATIVE].add(-1 - record_id)
    uuids[_UUID_TEXT], others = _parse_uuids(strings)
    texts = {text.encode("utf-8", "surrogatepass") for text in others}
    parts: list[bytes] = []
    for kind, members in numbers.items():
        parts += _group(kind, len(members), _pack_numbers(members))
    for kind, members in uuids.items():
        parts += _group(kind, len(members), _pack_uuids(members))
    parts += _group(_TEXT, len(texts), _pack_texts(texts))
    return zlib.compress(b"".join(parts), _LEVEL)


def unpack_ids(blob: bytes) -> list[RecordId]:
    """The ids of a blob. Raises ValueError when it is damaged."""
    try:
        data = zlib.decompress(blob)
        return [record_id for kind, n, payload in _groups(data) for record_id in _unpack(kind, n, payload)]
    except (zlib.error, struct.error) as error:
        raise ValueError(f"a block of ids cannot be read: {error}") from error


def _group(kind: bytes, n: int, payload: bytes) -> tuple[bytes, ...]:
    return (_HEADER.pack(kind, n, len(payload)), payload) if n else ()


def _groups(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    position = 0
    while position < len(data):
        kind, n, size = _HEADER.unpack_from(data, position)
        position += _HEADER.size
        yield kind, n, data[position : position + size]
        position += size


def _unpack(kind: bytes, n: int, payload: bytes) -> Iterable[RecordId]:
    if kind == _POSITIVE:
        return _unpack_numbers(payload, n)
    if kind == _NEGATIVE:
        return (-1 - number for number in _unpack_numbers(payload, n))
    if kind == _UUID:
        return (UUID(bytes=raw) for raw in _unpack_uuids(payload, n))
    if kind == _UUID_TEXT:
        return _spell_uuids(payload, n)
    if kind == _TEXT:
        return _unpack_texts(payload, n)
    raise ValueError(f"a block of ids cannot be read: unknown kind {kind!r}")


_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[list(b"0123456789abcdef")] = np.arange(16, dtype=np.uint8)
_DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)
_DASHES = [8, 13, 18, 23]
_PLACES = [place for place in range(36) if place not in _DASHES]


def _parse_uuids(texts: list[str]) -> tuple[set[bytes], list[str]]:
    """The UUIDs that some of the texts are the canonical spelling of, and the other texts. In bulk: the class UUID
    takes several microseconds for each."""
    likely = [text for text in texts if len(text) == 36 and text[8] == "-" and text.isascii()]
    if not likely:
        return set(), texts
    letters = np.frombuffer("".join(likely).encode("ascii"), np.uint8).reshape(-1, 36)
    digits = _NIBBLES[letters[:, _PLACES]]
    fine = (digits < 16).all(axis=1) & (letters[:, _DASHES] == ord("-")).all(axis=1)
    raw = (digits[fine, 0::2] << 4 | digits[fine, 1::2]).tobytes()
    found = {raw[start : start + 16] for start in range(0, len(raw), 16)}
    if len(likely) == len(texts) and fine.all():
        return found, []
    spelled = {text for text, ok in zip(likely, fine.tolist(), strict=True) if ok}
    return found, [text for text in texts if text not in spelled]


def _spell_uuids(payload: bytes, n: int) -> Iterator[str]:
    raw = np.frombuffer(_rows(payload, n, 16), np.uint8).reshape(n, 16)
    letters = np.full((n, 36), ord("-"), np.uint8)
    letters[:, _PLACES[0::2]] = _DIGITS[raw >> 4]
    letters[:, _PLACES[1::2]] = _DIGITS[raw & 15]
    text = letters.tobytes().decode("ascii")
    return (text[start : start + 36] for start in range(0, len(text), 36))


def _pack_numbers(numbers: set[int]) -> bytes:
    """Differences of neighbours, byte plane by byte plane: the high planes are runs of zeros."""
    ordered = np.array(sorted(numbers), dtype="<u8")
    ordered[1:] -= ordered[:-1].copy()
    return _planes(ordered.tobytes(), 8)


def _unpack_numbers(payload: bytes, n: int) -> list[int]:
    differences = np.frombuffer(_rows(payload, n, 8), dtype="<u8")
    return np.cumsum(differences, dtype="<u8").tolist()


def _pack_uuids(uuids: set[bytes]) -> bytes:
    return _planes(b"".join(sorted(uuids)), 16)


def _unpack_uuids(payload: bytes, n: int) -> Iterator[bytes]:
    rows = _rows(payload, n, 16)
    return (rows[start : start + 16] for start in range(0, len(rows), 16))


def _pack_texts(texts: set[bytes]) -> bytes:
    ordered = sorted(texts)
    lengths = np.array([len(text) for text in ordered], dtype="<u4")
    return _planes(lengths.tobytes(), 4) + b"".join(ordered)


def _unpack_texts(payload: bytes, n: int) -> Iterator[str]:
    lengths = np.frombuffer(_rows(payload[: 4 * n], n, 4), dtype="<u4").tolist()
    position = 4 * n
    for length in lengths:
        yield payload[position : position + length].decode("utf-8", "surrogatepass")
        position += length


def _planes(data: bytes, width: int) -> bytes:
    """`[n, width]` bytes turned into `[width, n]`."""
    return np.frombuffer(data, np.uint8).reshape(-1, width).T.tobytes()


def _rows(data: bytes, n: int, width: int) -> bytes:
    """The inverse of `_planes`."""
    if len(data) != n * width:
        raise ValueError("a block of ids cannot be read: wrong length")
    return np.frombuffer(data, np.uint8).reshape(width, n).T.tobytes()
