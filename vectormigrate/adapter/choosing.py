"""Which records a request chooses that names none: the same choice asked of the same server as a question, before the
request is forwarded. Rows of a table hold how (`Operation.choose`); nothing here imports a vendor's package."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vectormigrate.model.ids import RecordId


@dataclass(frozen=True, slots=True)
class Listed:
    """The ids in an answer. `complete`: there are no others."""

    ids: Sequence[RecordId]
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A request that only reads, to be sent with the credentials of the one that it is about. `path` with its query,
    of a gRPC method its full name; `body`: JSON, or one protobuf message. `read` takes the body of an answer of the
    same kind, and raises Unreadable for one that holds no ids."""

    method: str
    path: str
    body: bytes
    grpc: bool = False
    read: Callable[[bytes], Listed]
