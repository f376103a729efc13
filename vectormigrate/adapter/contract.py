"""The contract between a database adapter and everything above it.

An adapter translates and classifies; it never retries, checkpoints, maps, prints or logs a credential. SDK retries are
switched off. All I/O is async; a blocking client runs in a thread or a child process.

What it raises, `AdapterSpec.classify` explains, and is asked at one place: engine/retry.py, through which everything
above reads and writes. So no verb needs code for errors, and each is declared here, in the adapters and there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from vectormigrate.errors import AdapterError
from vectormigrate.model.batch import RecordBatch
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.position import Cursor, Page, Partition
from vectormigrate.model.schema import CollectionSchema, DType, FieldType, Json, Metric, VectorKind, Weight


class ValueKind(StrEnum):
    """Kinds of metadata values that a database may hold exactly."""

    NULL = "null"
    BOOL = "bool"
    INT = "int"
    FLOAT = "float"
    WHOLE = "whole"
    """Floats without a fraction come back as floats, not as integers."""
    NONFINITE = "nonfinite"
    STRING = "string"
    BYTES = "bytes"
    DATETIME = "datetime"
    OBJECT = "object"
    LIST_OF_STRINGS = "list_of_strings"
    LIST = "list"
    """Any list: of numbers, mixed, nested, of objects."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdCapabilities:
    """The ids that a collection can hold."""

    kinds: frozenset[IdKind]
    per_namespace: bool
    """True: (namespace, id) is the key. False: an id is unique in the whole collection."""
    mixed: bool = True
    """One collection may hold ids of several of these kinds; False: a collection is made for exactly one kind."""
    max_bytes: int | None = None
    """Longest string id in UTF-8 bytes."""
    ascii: bool = False
    """String ids are ASCII text without NUL, at least one character."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorCapabilities:
    """The vector fields that a collection can have, the vectors in them, and their indexes."""

    kinds: frozenset[VectorKind]
    dtypes: frozenset[DType]
    metrics: frozenset[Metric]
    max_dim: int
    max_fields: int | None = None
    """Most vector fields in one collection."""
    max_of_kind: Mapping[VectorKind, int] = field(default_factory=dict[VectorKind, int])
    """Most vector fields of one kind; a kind left out is only bounded by `max_fields`."""
    names: str = r"(?s).*"
    fixed_names: Mapping[VectorKind, str] = field(default_factory=dict[VectorKind, str])
    """Kinds whose (only) field must have this name."""
    unnamed: bool = False
    """A vector field may have the empty name."""
    unnamed_alone: bool = False
    """A field with the empty name is the only dense or multi-vector field."""
    metrics_with_sparse: frozenset[Metric] | None = None
    """Metrics that a dense field may have while the collection has a sparse field; None = all."""
    required: frozenset[VectorKind] = frozenset()
    """Kinds (dense, sparse) of which every record must hold a value in every field; an empty sparse vector is none."""
    zeros: bool = True
    """A dense vector may be all zeros."""
    max_sparse: int | None = None
    """Most components of one sparse vector."""
    empty_sparse: bool = True
    """A sparse vector may have no component at all, which is not the same as none."""
    normalises_cosine: bool = False
    """Cosine vectors are stored at unit length, so the original length must be kept elsewhere."""
    indexes: Mapping[str, Mapping[str, tuple[float, ...]]] | None = None
    """Types of vector indexes by their neutral name, each with the quantizers that it may have (model/quantization.py);
    None: any."""
    index_params: frozenset[str] = frozenset({"type", "m", "ef_construct"})
    """Neutral parameters of a vector index (VectorField.index) that the database takes."""
    index_ranges: Mapping[str, tuple[int, int]] = field(default_factory=dict[str, tuple[int, int]])
    """Inclusive ranges of those that are numbers; one left out is not bounded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetadataCapabilities:
    """The keys and values that records can hold, and what can be filtered by."""

    value_kinds: frozenset[ValueKind]
    int_range: tuple[int, int] = (-(2**63), 2**63 - 1)
    """Inclusive range of integers that come back exactly."""
    max_bytes: int | None = None
    """Most metadata of one record."""
    names: str = r"(?s).*"
    """Regex (fullmatch) of legal top-level keys."""
    reserved: frozenset[str] = frozenset()
    """Keys that no record may have."""
    fold_case: bool = False
    """Keys, and vector names, that differ only in case are the same name."""
    shared_names: bool = False
    """The id field, vector fields and metadata keys share one set of names."""
    dynamic: bool = True
    """A collection may hold metadata fields that its schema does not declare; False: each needs a typed column."""
    column_types: frozenset[FieldType] = frozenset()
    """Types that the planner may declare for a column where `dynamic` is False. A declared column holds its own type
    whatever `value_kinds` say; those speak for columns of foreign values."""
    index_types: frozenset[FieldType] = frozenset(FieldType) - {FieldType.JSON, FieldType.BYTES}
    """Types of fields that can be indexed (LIST: a list of elements of another type among these). A DATETIME or UUID
    index also serves a field whose values are the texts of such."""
    filters_all: bool = False
    """Every field is indexed, whether the schema names it or not."""
    list_paths: bool = False
    """An index may reach into the objects of a list: `a[].b`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceCapabilities:
    """How a collection is divided."""

    supported: bool
    """Whether a collection is divided into namespaces at all."""
    declared: bool = False
    """A collection is made either with namespaces or without (CollectionSchema.divided); with them, "" is none."""
    empty: bool = False
    """A new collection gets the namespaces in CollectionSchema.namespaces, which hold no record."""
    max_count: int | None = None
    names: str = r"(?s).*"


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteCapabilities:
    """What one write takes, and what writing does to reading."""

    rows: int
    bytes: int
    writers: int = 4
    """Most concurrent writes that help; the engine adapts below it."""
    readable_before_finalize: bool = True
    """Records can be fetched while the collection is being filled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionCapabilities:
    """The collection as a whole: its name, its settings, and how it is read."""

    names: str = r"(?s).+"
    readers: int = 4
    """Most partitions worth scanning at once."""
    keeps_note: bool = True
    """The collection can carry the origin note (model/note.py)."""
    settings: frozenset[str] = frozenset()
    """Names (without the part after a colon) of the settings (CollectionSchema.settings) of this kind of database with
    which a new collection is made when the schema brings them in its extras."""
    settings_from: frozenset[str] = frozenset()
    """Other adapters (of the same engine) whose extras it reads as its own."""
    known_settings: Mapping[str, Weight] = field(default_factory=dict[str, Weight])
    """Names (without the part after a colon) of the settings that a collection may have; for the table of outcomes."""
    defaults: tuple[str, ...] = ()
    """What a new collection gets where nobody chose, in sentences for the plan; extras of this kind of database in the
    schema have chosen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a collection of this database can hold and take, in groups. The planner reads nothing else about a database,
    and every field is read by the planner, the mapping or the batcher (tests/test_architecture.py).

    Instances may be narrower than `AdapterSpec.capabilities` once a server was asked for its version::

        Capabilities(
            ids=IdCapabilities(kinds=frozenset({IdKind.STRING}), per_namespace=True, max_bytes=512),
            vectors=VectorCapabilities(
                kinds=frozenset({VectorKind.DENSE}),
                dtypes=frozenset({DType.FLOAT32}),
                metrics=frozenset({Metric.COSINE}),
                max_dim=4096,
            ),
            metadata=MetadataCapabilities(value_kinds=frozenset({ValueKind.STRING, ValueKind.INT})),
            namespaces=NamespaceCapabilities(supported=False),
            writes=WriteCapabilities(rows=1000, bytes=2**24),
        )
    """

    ids: IdCapabilities
    vectors: VectorCapabilities
    metadata: MetadataCapabilities
    namespaces: NamespaceCapabilities
    writes: WriteCapabilities
    collection: CollectionCapabilities = CollectionCapabilities()

    def changed(self, **groups: Mapping[str, Any]) -> Capabilities:
        """The same with these fields of these groups: `caps.changed(writes={"rows": 100}, ids={"ascii": True})`."""
        return replace(self, **{name: replace(getattr(self, name), **fields) for name, fields in groups.items()})


class ConnectionConfig(BaseModel, ABC):
    """Where a collection is. Adapters subclass it; unknown options are refused.

    `url` may hold user-info only in memory: `location()` leaves it out. The key is a SecretStr and never serialised.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    url: str = ""
    api_key: SecretStr | None = Field(default=None, exclude=True, repr=False)
    collection: str

    @abstractmethod
    def location(self) -> str:
        """Canonical text of server and collection, without credentials: equal texts are the same collection."""


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that could not be written, and why: it is kept, listed and can be tried again. `code` is short and
    stable (`dimension`, `size`, `nan`, …), `reason` is for people."""

    id: RecordId
    namespace: str
    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class Hits:
    """Answer of one query, best first; `scores` in the database's own scale."""

    ids: list[RecordId]
    scores: list[float]


IndexReport = Callable[[int], None]
"""Takes the number of vectors that an index does not hold yet."""


def unreported(left: int) -> None:
    """The report that nobody reads."""


SparseQuery = tuple[NDArray[np.uint32], NDArray[np.float32]]
Queries = NDArray[np.float32] | Sequence[SparseQuery]


class Source(Protocol):
    """A collection to read.

    Safe for concurrent calls of one event loop: partitions are scanned at the same time, and a cancelled call leaves no
    task behind. Every verb raises CollectionNotFound for a missing collection, Unavailable after closing, and otherwise
    what the vendor's package raises. Reads are strong: they see every write that was acknowledged before::

        async for page in source.scan(partition, after=cursor):
            column = page.batch.vectors["embedding"]  # a DenseColumn: values [n, d], valid [n] or None
            cursor = page.cursor  # JSON; with it a scan in another process continues after this page
    """

    @property
    def capabilities(self) -> Capabilities: ...

    async def describe(self) -> CollectionSchema:
        """The schema as the server reports it. Raises CollectionNotFound; any other failure is another error.

        What only this kind of database reads is in `extras` under the adapter's name, and `create` of the same adapter
        makes it again from there.
        """
        ...

    async def namespaces(self) -> list[str]:
        """Every namespace that exists, sorted; `""` is the default one. `[""]` where the database has none."""
        ...

    async def count(self, namespace: str | None = None) -> int:
        """Exact number of records that a scan would return now (strong read); None = all namespaces."""
        ...

    async def counts(self, namespaces: Sequence[str]) -> dict[str, int]:
        """As `count` for each of these namespaces, in as few calls as the server allows."""
        ...

    async def partitions(
        self, target_n: int, namespaces: Sequence[str] | Mapping[str, int] | None = None
    ) -> list[Partition]:
        """Disjoint partitions that together hold every record of these namespaces (None = all), about `target_n` in
        all and at least one per namespace. The first partition of a namespace has no lower bound and the last no upper
        bound, so that records added later outside today's range still belong to exactly one. Ids are deterministic.
        Namespaces may come with their counts of a moment ago, so that they need not be counted again."""
        ...

    def scan(
        self, partition: Partition, after: Cursor | None = None, *, vectors: bool = True, page_rows: int = 1000
    ) -> AsyncGenerator[Page, None]:
        """Pages of the partition in its own fixed order, starting after the cursor. Each record that stays unchanged
        during the scan is returned exactly once. A page holds about `page_rows` records, never 0. All pages carry
        every vector field of the schema as a column, with a mask where a record lacks it."""
        ...

    async def fetch(self, ids: Sequence[RecordId], namespace: str, *, vectors: bool = True) -> RecordBatch:
        """The records with these ids that exist (strong read), in the order asked; a missing one is left out, one
        that cannot be read raises. Any number of ids: the adapter splits. An id of a kind that the collection cannot
        hold is simply not found."""
        ...

    async def search(self, vector: str, queries: Queries, k: int, namespace: str) -> list[Hits]:
        """Top-k per query with the collection's own index and metric. `queries` is `[q, d]` float32 (packed uint8
        `[q, d // 8]` for BITS) or a list of (indices, values) for a sparse field."""
        ...

    async def server(self) -> str:
        """Product and version, for people."""
        ...


@runtime_checkable
class Eventual(Protocol):
    """A collection whose fetches may lag behind writes that were acknowledged: one of a service that is eventually
    consistent. Optional; without it, fetches are as strong as the contract demands."""

    async def freshen(self, namespace: str) -> None:
        """Wait until reads see every write to the namespace so far, whoever made it, as far as that can be known."""
        ...


class Target(Source, Protocol):
    """A collection to write. Everything is idempotent by (namespace, id), so that a batch whose outcome is unknown is
    simply written again::

        await target.create(schema)
        for reject in await target.upsert(batch):  # at most `capabilities.writes.rows` records
            print(reject.id, reject.code, reject.reason)
        await target.finalize()
    """

    async def create(self, schema: CollectionSchema) -> None:
        """Make the empty collection with this shape (name from the config), with `schema.note` stored on it. Raises
        AlreadyExists. Metadata indexes are made here or in `finalize`."""
        ...

    async def make_namespaces(self, namespaces: Sequence[str]) -> None:
        """Make these namespaces where many at once cost less than each with its first record; elsewhere, and for those
        that exist or have no legal name, do nothing. `upsert` makes what is missing in any case."""
        ...

    async def set_note(self, note: Json) -> None:
        """Store the origin note on the existing collection, replacing an older one; None removes it."""
        ...

    async def upsert(self, batch: RecordBatch) -> list[Reject]:
        """Write whole records, replacing what these ids held. Returns after the server acknowledged durably. Vectors
        and keys that the batch lacks are gone afterwards. Records not named in the rejects are written. When the
        server refuses the batch without naming records: raises RecordsRejected; some may have been written."""
        ...

    async def delete(self, ids: Sequence[RecordId], namespace: str) -> None:
        """Remove these ids; a missing one is fine."""
        ...

    async def finalize(self, *, wait: bool = True, report: IndexReport = unreported) -> int:
        """Restore what a load put off, and wait until every acknowledged write can be read and searched; if `wait`,
        also until the vector indexes are built. Returns how many vectors are not indexed yet, as far as the database
        returns: 0 with `wait`. `report` hears this number each time it is looked at. Repeatable."""
        ...

    async def drop(self) -> None:
        """Remove the collection; a missing one is fine."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeWord:
    """What a database's own word for the type of a field means: metadata of `type` (a list: of `element`), or, where
    `vector` is set, a vector field of this kind stored as `dtype`."""

    type: FieldType = FieldType.JSON
    element: FieldType | None = None
    vector: VectorKind | None = None
    dtype: DType = DType.FLOAT32


ConfigT = TypeVar("ConfigT", bound=ConnectionConfig)


class AdapterSpec(Protocol, Generic[ConfigT]):
    """One kind of database: what `adapters/<name>/__init__.py` offers as SPEC, without importing the vendor's package.

    A SPEC is a plain object with these attributes; further ones are optional (`lister`, `type_words`, `editions`,
    `operations`, `served`)::

        class FilesSpec:
            name = "files"
            extra = None
            config = FilesConfig
            capabilities = CAPABILITIES

            @asynccontextmanager
            async def open(self, config: FilesConfig) -> AsyncGenerator[Target]:
                yield FilesCollection(config)

            def classify(self, error: BaseException, operation: str) -> AdapterError | None:
                return Unavailable(str(error)) if isinstance(error, sqlite3.OperationalError) else None
    """

    name: str
    extra: str | None
    """The pip extra that installs the vendor's package; None when nothing is needed."""
    config: type[ConfigT]
    capabilities: Capabilities

    def open(self, config: ConfigT) -> AbstractAsyncContextManager[Target]:
        """Connect (raises MissingExtra, or what `classify` knows) and yield the collection, which may not exist yet."""
        ...

    def classify(self, error: BaseException, operation: str) -> AdapterError | None:
        """The error of ours that a vendor exception means (exception table), None for what is not the vendor's.

        `operation` is the verb (`open`, `upsert`, `list_collections`, …): the same answer may mean a bad record in one
        and a bad request in another. The text of the error must not hold a credential.
        """
        ...


AnySpec = AdapterSpec[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """What a server holds. `server`: product and version, for people; `names`: every collection, sorted."""

    server: str
    names: Sequence[str]


def lister(spec: AnySpec) -> Callable[[Any], Awaitable[Listing]] | None:
    """`list_collections(config)`, the optional verb of a SPEC: connect as `open` does, return who answered and which
    collections there are. The config's collection is not looked at, nothing is made, and no collection is opened."""
    return getattr(spec, "list_collections", None)


def type_words(spec: AnySpec) -> Mapping[str, TypeWord]:
    """The database's own words for field types in lower case: the optional attribute `type_words` of a SPEC."""
    return getattr(spec, "type_words", {})


def editions(spec: AnySpec) -> Mapping[str, Capabilities]:
    """Narrower editions of the database by their name for people (an embedded one, an old server): the optional
    attribute `editions` of a SPEC."""
    return getattr(spec, "editions", {})
