"""What the emulator holds: indexes, their namespaces, records, and how far each namespace is indexed."""

from __future__ import annotations

import base64
import json
from bisect import bisect_left, bisect_right
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tests.emulators.pinecone.errors import Refusal, invalid

DEFAULT = "__default__"

Kind = Literal["vector", "integrated", "document", "pod"]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sparse:
    """Indices (uint32) and values (float32), as sent."""

    indices: NDArray[np.uint32]
    values: Floats


@dataclass(frozen=True, slots=True)
class Record:
    """A stored record or document; `metadata` holds floats for all numbers and no nulls."""

    dense: Floats | None
    sparse: Sparse | None
    metadata: dict[str, Any]


@dataclass(slots=True)
class Space:
    """A namespace. `head` has every acknowledged write, `indexed` those up to `indexed_lsn`."""

    head: dict[str, Record] = field(default_factory=dict[str, Record])
    indexed: dict[str, Record] = field(default_factory=dict[str, Record])
    lsn: int = 0
    indexed_lsn: int = 0
    polls: int = 0
    pending: deque[tuple[str, Record | None]] = field(default_factory=deque[tuple[str, Record | None]])
    _sorted: dict[bool, list[str]] = field(default_factory=dict[bool, list[str]])

    def write(self, changes: list[tuple[str, Record | None]]) -> int:
        """Apply changes (None deletes) as one request; returns its LSN."""
        for record_id, record in changes:
            if record is None:
                self.head.pop(record_id, None)
            else:
                self.head[record_id] = record
            self.pending.append((record_id, record))
        self._sorted.pop(True, None)
        self.lsn += 1
        self.polls = 0
        return self.lsn

    def catch_up(self) -> None:
        """Index everything."""
        for record_id, record in self.pending:
            if record is None:
                self.indexed.pop(record_id, None)
            else:
                self.indexed[record_id] = record
        if self.pending:
            self._sorted.pop(False, None)
        self.pending.clear()
        self.indexed_lsn = self.lsn

    def records(self, *, head: bool) -> dict[str, Record]:
        """All records, or the indexed ones."""
        return self.head if head else self.indexed

    def page(self, prefix: str, after: str, limit: int, *, head: bool) -> tuple[list[str], bool]:
        """Ids behind `after` in byte order, and whether there are more."""
        ids = self._sorted.get(head)
        if ids is None:
            ids = self._sorted[head] = sorted(self.records(head=head))
        start = max(bisect_right(ids, after) if after else 0, bisect_left(ids, prefix))
        found = ids[start : start + limit + 1]
        found = [item for item in found if item.startswith(prefix)]
        return found[:limit], len(found) > limit


@dataclass(slots=True)
class Index:
    """One index. `dense` and `sparse` name the fields of the two slots."""

    name: str
    kind: Kind
    fields: dict[str, dict[str, Any]]
    deployment: dict[str, Any]
    tags: dict[str, str] | None
    deletion_protection: str
    dense: str | None = None
    sparse: str | None = None
    dimension: int = 0
    metric: str = "dotproduct"
    spaces: dict[str, Space] = field(default_factory=dict[str, Space])
    cmek_id: str | None = None
    read_capacity: dict[str, Any] = field(default_factory=lambda: {"mode": "OnDemand"})
    ready_in: int = 0
    gone_in: int | None = None

    @property
    def documents(self) -> bool:
        return self.kind == "document"

    @property
    def embeds(self) -> bool:
        """Vectors of the dense slot are made here from text."""
        return self.dense is not None and self.fields[self.dense]["type"] in ("string", "semantic_text")

    def key(self, namespace: str | None) -> str:
        """The one name of a namespace. Raises Refusal for an illegal one."""
        if not self.documents and not namespace:
            return DEFAULT
        name = namespace or ""
        if not 1 <= len(name) <= 512 or not name.isascii() or "\0" in name:
            raise invalid(f"Namespace {name!r} must be 1 to 512 ASCII characters without null")
        return name

    def space(self, namespace: str | None) -> Space | None:
        """The namespace if it exists; on a document index a missing one is an error."""
        found = self.spaces.get(self.key(namespace))
        if found is None and self.documents:
            raise Refusal(404, "Namespace not found")
        return found

    def make(self, namespace: str | None) -> Space:
        """The namespace, created on the first write."""
        return self.spaces.setdefault(self.key(namespace), Space())

    def all_spaces(self) -> Iterator[tuple[str, Space]]:
        """By name, in byte order."""
        yield from sorted(self.spaces.items())


def token_of(last: str, prefix: str, epoch: int) -> str:
    """The opaque token behind `last`."""
    return base64.b64encode(json.dumps({"skip_past": last, "prefix": prefix, "epoch": epoch}).encode()).decode()


def read_token(token: str, prefix: str, epoch: int) -> str:
    """The id that a token skips past. Raises Refusal for one that is not ours, not of this listing, or too old."""
    try:
        data = json.loads(base64.b64decode(token, validate=True))
        last, wanted, issued = data["skip_past"], data["prefix"], data["epoch"]
    except (ValueError, KeyError, TypeError):
        raise invalid("Invalid pagination token") from None
    if issued != epoch:
        raise invalid("Pagination token has expired")
    if wanted != prefix:
        raise invalid("Pagination token does not match the prefix")
    return last
