"""Target ids: unchanged, as text, or derived; always injective."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from vectormigrate.figures import plural
from vectormigrate.mapping.limits import Limits
from vectormigrate.mapping.losses import RecordRejected
from vectormigrate.mapping.names import has_surrogates
from vectormigrate.model.ids import IdKind, RecordId, id_key, is_plain, kind_fits

Strategy = Literal["native", "text", "uuid5", "uuid5-text"]
"""`text`: integers and UUIDs as their canonical text (planned only where the source holds no strings, so that it is
injective). `uuid5`: a derived UUID; `uuid5-text` its text, for targets that take strings only."""

IdMap = Callable[[str, RecordId], RecordId]


def salt_uuid(salt: str) -> UUID:
    """The UUID namespace that all ids of one migration are derived in."""
    return uuid5(NAMESPACE_URL, f"vectormigrate:{salt}")


def derive(base: UUID, namespace: str, record_id: RecordId) -> UUID:
    """UUIDv5 of namespace and typed id, injective up to the hash.

    A namespace with a NUL in it is length-prefixed: no plain name is followed by two NULs, so the forms cannot meet.
    """
    if "\0" in namespace:
        namespace = f"{len(namespace)}\0\0{namespace}"
    name = f"{namespace}\0{id_key(record_id)}".encode(errors="surrogatepass")
    return UUID(bytes=hashlib.sha1(base.bytes + name, usedforsecurity=False).digest()[:16], version=5)


def id_map(strategy: str, salt: str) -> IdMap:
    """The function (namespace, id) -> target id of this strategy."""
    if strategy == "native":
        return lambda _namespace, record_id: record_id
    if strategy == "text":
        return lambda _namespace, record_id: str(record_id)
    base = salt_uuid(salt)
    if strategy == "uuid5":
        return lambda namespace, record_id: derive(base, namespace, record_id)
    if strategy == "uuid5-text":
        return lambda namespace, record_id: str(derive(base, namespace, record_id))
    raise ValueError(f"unknown id strategy {strategy!r}")


def id_check(limits: Limits) -> Callable[[RecordId], None]:
    """A function that raises RecordRejected for an id that the target cannot hold."""
    kinds = limits.ids.kinds
    max_bytes, ascii_only = limits.ids.max_bytes, limits.ids.ascii
    strings = IdKind.STRING in kinds
    unsigned_top = 2**64 if IdKind.UINT64 in kinds else 2**63
    low = -(2**63) if IdKind.INT64 in kinds else 0
    integers = bool(kinds & {IdKind.INT64, IdKind.UINT64})

    def check(record_id: RecordId) -> None:
        kind = type(record_id)
        if kind is str and strings:
            if has_surrogates(str(record_id)):
                raise RecordRejected("unicode", "the id holds a lone surrogate, which is not legal text")
            if max_bytes is not None and len(str(record_id).encode()) > max_bytes:
                raise RecordRejected("id", f"the id is longer than {plural(max_bytes, 'byte')}")
            if ascii_only and not is_plain(str(record_id)):
                raise RecordRejected("id", "the target takes ids of ASCII characters without NUL, at least one")
        elif kind is int and integers:
            if not low <= int(record_id) < unsigned_top:  # type: ignore[arg-type]
                raise RecordRejected("id", f"the target cannot hold the id {record_id}")
        elif not any(kind_fits(item, record_id) for item in kinds):
            raise RecordRejected("id", f"the target takes ids of kind {', '.join(sorted(kinds))}, not {record_id!r}")

    return check
