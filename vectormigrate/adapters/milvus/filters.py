"""Filter expressions over the id field that mean the same on every Milvus, whatever the ids hold.

pymilvus does not escape ids: quotes and backslashes give errors, other rows, or endless loops (milvus #1960).
"""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.model.ids import RecordId

INT64_MIN = -(2**63)

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"})


def literal(record_id: RecordId) -> str:
    """An id as a literal that the parsers of the server and of Lite both read as it is (verified: NUL, quotes, emoji).
    INT64_MIN has none."""
    return '"' + record_id.translate(_ESCAPES) + '"' if isinstance(record_id, str) else str(record_id)


def above(pk: str, record_id: RecordId) -> str:
    """Ids that come after this one."""
    return f"{pk} >= {INT64_MIN + 1}" if record_id == INT64_MIN else f"{pk} > {literal(record_id)}"


def span(pk: str, after: RecordId | None, upto: RecordId | None, *, text: bool) -> str:
    """Ids in `(after, upto]`; None is open. Empty when all INT64 ids are meant."""
    low = above(pk, after) if after is not None else f'{pk} >= ""' if text else ""
    if upto is None:
        return low
    high = f"{pk} < {INT64_MIN + 1}" if upto == INT64_MIN else f"{pk} <= {literal(upto)}"
    return f"{low} and {high}" if low else high


def among(pk: str, ids: Sequence[RecordId]) -> list[str]:
    """Expressions that together choose exactly these ids (one, or two when INT64_MIN is among them)."""
    found: list[str] = []
    plain = [record_id for record_id in ids if record_id != INT64_MIN]
    if plain:
        found.append(f"{pk} in [{','.join(map(literal, plain))}]")
    if len(plain) < len(ids):
        found.append(f"{pk} < {INT64_MIN + 1}")
    return found
