"""What the engine's error texts mean. Edge raises bare `Exception`, so a table of texts is all there is."""

from __future__ import annotations

from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RecordsRejected,
    TerminalError,
    Unavailable,
)

LOCKED = "WouldBlock"
"""In the text of the error with which the engine refuses a shard that another process has open."""

TABLE: tuple[tuple[str, type[AdapterError]], ...] = (
    (LOCKED, Unavailable),
    ("No space left", QuotaExceeded),
    ("os error 28", QuotaExceeded),
    ("Disk quota exceeded", QuotaExceeded),
    ("Too many open files", Unavailable),
    ("Cannot allocate memory", Unavailable),
    ("path already contains segment data", AlreadyExists),
    ("does not exist", CollectionNotFound),
    ("no segments were loaded", CollectionNotFound),
    ("dimension error", RecordsRejected),
    ("failed to convert", RecordsRejected),
    ("failed to extract", RecordsRejected),
    ("failed to parse", RecordsRejected),
    ("Not existing vector name", InvalidRequest),
    ("Validation failed", InvalidRequest),
    ("Wrong input", InvalidRequest),
    ("Bad request", InvalidRequest),
)
"""First match wins."""


def classify_text(text: str, operation: str) -> AdapterError:
    """The error of ours for an engine text; TerminalError for one that is not in the table."""
    kind = next((kind for part, kind in TABLE if part in text), TerminalError)
    return kind(text, adapter="qdrant_edge", operation=operation)
