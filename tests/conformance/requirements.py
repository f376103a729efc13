"""What every adapter must do: stable id -> behaviour and where the demand comes from.

Tests carry `@requirement("id")`. test_coverage.py fails on a requirement without a test and on an unknown id.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

CONTRACT = "vectormigrate/adapter/contract.py"
MODEL = "vectormigrate/model"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One demanded behaviour and the document that demands it."""

    behaviour: str
    source: str = CONTRACT


R = Requirement

REQUIREMENTS: dict[str, Requirement] = {
    "describe:returns-what-was-created": R("Name, id kinds and vector fields come back as created."),
    "describe:metadata-indexes": R("Indexed metadata fields come back with name, type and `indexed`."),
    "describe:vector-index": R("HNSW parameters m and ef_construct come back where the database has them."),
    "describe:missing-collection": R("Any read or write of a missing collection is CollectionNotFound."),
    "describe:server": R("`server` names product and version."),
    "list:every-collection": R("Every collection of the server is listed once, sorted, without one being named."),
    "list:changes-nothing": R("Listing makes nothing and opens nothing, also where there is nothing yet."),
    "create:existing-collection": R("Creating an existing collection is AlreadyExists and changes nothing."),
    "create:any-legal-name": R("Every name that `collection.names` allows can be created, read and dropped."),
    "create:impossible-schema": R("A schema beyond the capabilities is a TerminalError and leaves no collection."),
    "note:survives": R("The origin note is kept by create and set_note, replaced and removed, also over reopening."),
    "drop:removes": R("A dropped collection is gone, its name can be used again, a second drop is fine."),
    "namespaces:listed": R("Every namespace that holds records is listed once, sorted."),
    "namespaces:isolated": R("Scan, count, fetch and delete of one namespace do not touch another."),
    "namespaces:same-id": R("Where ids are per namespace, one id in two namespaces is two records."),
    "namespaces:made-ahead": R("Making namespaces ahead is repeatable, changes none and skips what has no legal name."),
    "count:exact": R("Counts are exact at once after writing and deleting, in all and per namespace."),
    "partitions:disjoint-and-complete": R("The partitions together hold every record once."),
    "partitions:deterministic": R("Asking again, or after reopening, gives the same partitions."),
    "partitions:open-ended": R("Records added outside today's id range belong to exactly one partition."),
    "partitions:empty-collection": R("An empty collection has a partition, and scanning it yields no page."),
    "partitions:json": R("Partitions survive JSON."),
    "scan:no-empty-page": R("No page is empty, whatever `page_rows`."),
    "scan:resume-after-any-cursor": R("A scan from any cursor returns exactly what came after that page."),
    "scan:cursor-survives-json-and-reopening": R("Cursors survive JSON and closing the adapter."),
    "scan:without-vectors": R("`vectors=False` yields ids and metadata and no column."),
    "scan:every-column": R("Every page has a column for every vector field."),
    "upsert:replaces-wholly": R("Vectors and keys that the new record lacks are gone."),
    "upsert:twice-is-once": R("Writing a batch twice is writing it once."),
    "upsert:last-duplicate-wins": R("Of one id twice in a batch the last one is kept."),
    "upsert:rejects-name-the-records": R("Bad records are named in rejects with a code, the others are written."),
    "upsert:wrong-dimension": R("Vectors of a wrong dimension are refused and nothing is damaged."),
    "upsert:full-size-batch": R("A batch of `writes.rows` records is written."),
    "upsert:empty-batch": R("An empty batch is fine."),
    "upsert:no-vectors-column": R("Where vectors are optional, records without any vector are kept."),
    "ids:every-kind": R("Ids of every kind come back with type and value, at the ends of the range too.", MODEL),
    "ids:nasty-strings": R("Any text up to `ids.max_bytes` is an id; `7` and `007` differ.", MODEL),
    "ids:foreign-kind": R("An id of another kind is rejected on write and simply not found on read."),
    "vectors:bit-exact": R("Vectors come back bit for bit in their storage type.", "design.md §6"),
    "vectors:unit-cosine": R("Unit vectors come back bit for bit from a cosine field.", "design.md §6"),
    "vectors:several-fields": R("Several vector fields of different kinds live in one record."),
    "vectors:missing": R("A record without a vector comes back without it, where vectors are optional."),
    "vectors:extremes": R("Zero vectors, -0.0, denormal and huge components come back bit for bit."),
    "vectors:non-finite": R("A record with NaN or infinity in a vector is rejected."),
    "vectors:high-sparse-index": R("Sparse indices up to 2^32-2 are kept.", "facts/milvus.md"),
    "vectors:empty-sparse": R("A sparse vector without entries is kept exactly or rejected."),
    "metadata:exact-or-rejected": R(
        "A value comes back with type and value, or its record is rejected; never altered."
    ),
    "metadata:every-double": R("Every finite double comes back bit for bit.", "design.md §6"),
    "metadata:null-missing-empty": R("Null, a missing key, an empty string and 0 stay four things."),
    "metadata:integer-range": R("Integers at the ends of `metadata.int_range` are exact; beyond, rejected."),
    "metadata:field-names": R("Legal keys come back as written; illegal and reserved ones are rejected."),
    "metadata:large": R("A record with a megabyte of metadata is kept, or as much as is declared."),
    "fetch:order-and-missing": R("Fetch answers in the order asked and leaves out missing ids."),
    "fetch:any-number": R("Thousands of ids can be fetched in one call, also none."),
    "fetch:without-vectors": R("`vectors=False` leaves the columns out."),
    "delete:removes": R("Deleted records are gone at once; deleting a missing id is fine."),
    "search:finds-the-nearest": R("The nearest record comes first for every metric and kind."),
    "search:within-namespace": R("Search returns only records of the namespace."),
    "finalize:readable": R("Finalize without waiting for the index leaves all that was acknowledged readable."),
    "finalize:repeatable": R("Finalize can be repeated and writing goes on after it."),
    "concurrency:writers-and-readers": R("Several writers and readers at once lose and duplicate nothing."),
    "cancel:leaves-nothing-behind": R("A cancelled call leaves no task, and the collection usable."),
    "close:leaves-no-child": R("After closing no child process is left."),
    "errors:closed": R("Using a closed adapter is Unavailable."),
    "errors:unreachable": R("A server that cannot be reached is Unavailable, to open and to list."),
    "errors:locked-by-another-process": R("A collection that another process holds is Unavailable."),
    "errors:classify-own-only": R("`classify` does not claim errors that are not the vendor's."),
    "durability:close-releases": R("After closing, another process can open, read and write at once."),
    "durability:survives-a-killed-writer": R(
        "Acknowledged writes survive SIGKILL of the process, which frees the lock."
    ),
}


def requirement(*ids: str) -> Callable[[Any], Any]:
    """Marks a test with the requirements that it pins."""
    return pytest.mark.requirement(*ids)
