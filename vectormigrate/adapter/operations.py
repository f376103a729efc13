"""What a request to a database's server reads or changes: the contract of each adapter's `operations.py`.

A table has one row per operation of the server, over REST and over gRPC. A request that fits no row is taken for a
change of unknown scope, so an operation that is new is never a silent hole. Tables are data; where a vendor's rules
are irregular, a row holds a small pure function. Nothing here imports a vendor's package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote

from vectormigrate.adapter import json_walker
from vectormigrate.adapter.choosing import Question
from vectormigrate.adapter.json_walker import Json, member
from vectormigrate.adapter.wire_walker import BYTES, Unreadable, below, fields, parts, text
from vectormigrate.model.ids import RecordId
from vectormigrate.model.schema import CollectionSchema

if TYPE_CHECKING:
    from vectormigrate.adapter import AnySpec


class Effect(StrEnum):
    """What an operation does to the records of a collection."""

    READ = "read"
    NONE = "none"
    """It changes something, but no record: it builds an index, loads, flushes, makes a user."""
    KEYS = "keys"
    """It changes the records that it names by id."""
    SCOPE = "scope"
    """It changes records that the server chooses: by a filter, all of a namespace, with ids of its own, or unknown."""
    SCHEMA = "schema"
    """It makes, changes or renames a collection, namespace or alias."""
    WHOLE = "whole"
    """It removes or brings in data as a whole: drop, restore, import."""


class Change(StrEnum):
    """What becomes of each record that is changed."""

    REPLACE = "replace"
    """The record is exactly what the request holds, if the request succeeded."""
    DELETE = "delete"
    """The record is gone, if the request succeeded."""
    PART = "part"
    """A part of it is changed, or it depends on what was there."""


class Chosen(StrEnum):
    """How the server chooses the records of a scope."""

    FILTER = "filter"
    ALL = "all"
    ASSIGNED = "assigned"
    """New records whose ids the server makes and returns."""
    UNKNOWN = "unknown"


class Division(StrEnum):
    """What divides a collection into namespaces."""

    NOTHING = "nothing"
    REQUEST = "request"
    """Each request names the namespace."""
    RECORD = "record"
    """A field of the record, so that a request which changes a record by its id does not name it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectionFacts:
    """What must be known of a collection to read requests to it, because they do not hold it. `id_field`: name of the
    field with the ids. `text_ids`: they are texts. `assigns_ids`: the server makes them. `replicated`: it is kept more
    than once, so that two reads may differ."""

    id_field: str = ""
    text_ids: bool = False
    assigns_ids: bool = False
    divided_by: Division | None = None
    replicated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Keys:
    """Records of one collection and namespace, by id. `collection` None: of every collection that has them;
    `namespace` None: the request does not hold which, so the ids count in every namespace."""

    collection: str | None
    namespace: str | None
    change: Change
    ids: tuple[RecordId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """Records that the server chooses; None as in Keys."""

    collection: str | None
    namespace: str | None
    change: Change
    chosen: Chosen


@dataclass(slots=True)
class Found:
    """What a rule has found in a request so far. `reads`: a message turned out to change nothing. `reason`: why a scope
    is unknown, for people. `early`: it may be answered before it takes effect."""

    keys: dict[tuple[str | None, str | None, Change], list[RecordId]] = field(
        default_factory=dict[tuple[str | None, str | None, Change], list[RecordId]]
    )
    scopes: dict[Scope, None] = field(default_factory=dict[Scope, None])
    reads: bool = False
    reason: str = ""
    early: bool = False

    def add(self, collection: str | None, namespace: str | None, change: Change, ids: Sequence[RecordId]) -> None:
        """These records are changed."""
        self.keys.setdefault((collection, namespace, change), []).extend(ids)

    def scope(
        self,
        collection: str | None,
        namespace: str | None = None,
        change: Change = Change.PART,
        chosen: Chosen = Chosen.UNKNOWN,
    ) -> None:
        """Records that the server chooses are changed."""
        self.scopes[Scope(collection=collection, namespace=namespace, change=change, chosen=chosen)] = None

    def unread(self, error: Unreadable, collection: str | None, namespace: str | None = None) -> None:
        """A part of the request cannot be read; whose records it may change is known."""
        self.scope(collection, namespace)
        self.reason = str(error)


@dataclass(slots=True)
class Request:
    """A request, or one message of a stream: `body` is JSON or one protobuf message, unpacked.

    `parts`: the decoded segments of the path by their name in the template. `query`: what follows the `?`, as it came.
    `headers`: names in lower case. `facts`: of collections by their name.
    """

    forms: Forms
    parts: Mapping[str, str]
    query: str
    headers: Mapping[str, str]
    facts: Mapping[str, CollectionFacts]
    body: bytes

    def json(self) -> Json:
        """The body. Raises Unreadable."""
        return json_walker.parsed(self.body, once=self.forms.strict)

    def parameter(self, name: str) -> str | None:
        """A parameter of the query, None where it is missing. Raises Unreadable for one that is there twice."""
        values = self.parameters().get(name, [])
        if len(values) > 1:
            raise Unreadable(f"the parameter {name!r} is there twice")
        return values[0] if values else None

    def parameters(self) -> Mapping[str, list[str]]:
        """Every parameter of the query. Raises Unreadable when it is not percent-encoded UTF-8."""
        try:
            return parse_qs(self.query, keep_blank_values=True, errors="strict", max_num_fields=100_000)
        except ValueError as error:
            raise Unreadable("the query cannot be read") from error


Rule = Callable[[Request, Found], None]
"""Reads a request, and notes what it changes. Raises Unreadable, upon which its scope is unknown."""

AnswerRule = Callable[[Request, bytes, Found], None]
"""Reads the ids that the server made from its answer (JSON or one protobuf message) to this request."""


Choose = Callable[[Request, int], Question | None]
"""The question for up to so many ids that a filter chooses; None where the server would not choose the same records for
it, so that the request's scope remains. Raises Unreadable as a rule does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Forms:
    """How a database writes ids and names. Every function raises Unreadable for what can be none.

    `json_id` and `wire_id`: an id (a JSON value; the bytes of a field). `collection`: the name by which the server
    keeps it. `json_namespace` and `wire_namespace`: of a JSON value or the bytes of a field, None where it is left out;
    they return None where the request does not hold the namespace. `strict`: the server ignores case in the members of
    JSON objects and takes one that is there twice, so neither is read.
    """

    json_id: Callable[[Json], RecordId]
    wire_id: Callable[[bytes, int, int], RecordId]
    json_namespace: Callable[[Request, str | None, Json], str | None]
    wire_namespace: Callable[[Request, str | None, tuple[int, int] | None], str | None]
    collection: Callable[[str], str]
    strict: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Where a JSON body holds what it touches, as paths such as `points[].id`.

    `ids`; `filters`: whose presence means that the server chooses; `all`: the same for everything in the namespace;
    `partly`: whose presence makes a replacement conditional. `collection`: empty where the path of the request, or the
    port, names it. `namespace`: empty where the path does.
    """

    change: Change
    ids: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    all: tuple[str, ...] = ()
    partly: tuple[str, ...] = ()
    collection: str = ""
    namespace: str = ""

    def __call__(self, request: Request, found: Found) -> None:
        """As a rule for the whole body."""
        self.read(request, found, request.json())

    def read(self, request: Request, found: Found, value: Json) -> None:
        """Of an object. One in which nothing is found is of unknown scope: the server may know a member that we do
        not."""
        if request.forms.strict:
            unambiguous(value, (*self.ids, *self.filters, *self.all, *self.partly, self.collection, self.namespace))
        collection = path_collection(request)
        if self.collection:
            collection = named(request, member(value, self.collection))
        if self.namespace:
            namespace = request.forms.json_namespace(request, collection, member(value, self.namespace))
        else:
            namespace = request.forms.json_namespace(request, collection, request.parts.get("namespace"))
        change = Change.PART if any(member(value, name) is not None for name in self.partly) else self.change
        ids = [request.forms.json_id(item) for path in self.ids for item in json_walker.at(value, path)]
        chosen = [Chosen.FILTER for name in self.filters if member(value, name) is not None]
        chosen += [Chosen.ALL for name in self.all if member(value, name) not in (None, False)]
        if ids:
            found.add(collection, namespace, change, ids)
        for how in chosen if chosen or ids else [Chosen.UNKNOWN]:
            found.scope(collection, namespace, change, how)


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """As Body for a protobuf message, with paths of field numbers. `records`: the number of a repeated message and,
    within it, of its id, which each must have. `collection` and `namespace`: single numbers, 0 where there is none."""

    change: Change
    records: tuple[int, int] = (0, 0)
    ids: tuple[tuple[int, ...], ...] = ()
    filters: tuple[tuple[int, ...], ...] = ()
    all: tuple[int, ...] = ()
    partly: tuple[int, ...] = ()
    collection: int = 0
    namespace: int = 0
    _heads: Mapping[int, tuple[int, ...]] = field(init=False, repr=False, compare=False)
    _filters: Mapping[int, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_heads", {path[0]: path[1:] for path in self.ids})
        object.__setattr__(self, "_filters", {path[0]: path[1:] for path in self.filters})

    def __call__(self, request: Request, found: Found) -> None:
        """As a rule for the whole message. Where more cannot be read, at least the collection may be."""
        try:
            self.read(request, found, 0, len(request.body), None)
        except Unreadable as error:
            if not self.collection:
                raise
            found.unread(error, message_collection(request, self.collection))

    def read(self, request: Request, found: Found, start: int, end: int, collection: str | None) -> None:
        """Of a message within the body. One in which nothing is found is of unknown scope."""
        data, forms = request.body, request.forms
        heads, filters = self._heads, self._filters
        each, within = self.records
        place: tuple[int, int] | None = None
        ids: list[RecordId] = []
        chosen: list[Chosen] = []
        change = self.change
        for number, kind, first, last in fields(data, start, end):
            if number in self.partly:
                change = Change.PART
            if number in self.all:
                chosen += [Chosen.ALL] if first or kind == BYTES else []
                continue
            if kind != BYTES:
                if number in (each, self.collection, self.namespace) or number in heads or number in filters:
                    raise Unreadable(f"field {number} is a number")
                continue
            if number == each:
                held = parts(data, first, last, within)
                if not held:
                    raise Unreadable("a record without an id")
                ids += [forms.wire_id(data, *where) for where in held]
            elif number == self.collection:
                collection = forms.collection(text(data, first, last))
            elif number == self.namespace:
                place = (first, last)
            if number in heads:
                ids += [forms.wire_id(data, *where) for where in below(data, first, last, heads[number])]
            if number in filters and below(data, first, last, filters[number]):
                chosen.append(Chosen.FILTER)
        namespace = forms.wire_namespace(request, collection, place)
        if ids:
            found.add(collection, namespace, change, ids)
        for how in chosen if chosen or ids else [Chosen.UNKNOWN]:
            found.scope(collection, namespace, change, how)


def path_collection(request: Request) -> str | None:
    """The collection that the path names, None where it names none."""
    name = request.parts.get("collection")
    return None if name is None else request.forms.collection(name)


def named(request: Request, name: Json) -> str:
    """A collection by its JSON value. Raises Unreadable for something else than a name."""
    if not isinstance(name, str) or not name:
        raise Unreadable("no collection is named")
    return request.forms.collection(name)


def message_collection(request: Request, number: int) -> str:
    """The collection in this field of a message. Raises Unreadable where it has none."""
    name = ""
    for first, last in parts(request.body, 0, len(request.body), number):
        name = text(request.body, first, last)
    return named(request, name)


def unambiguous(value: Json, paths: Sequence[str]) -> None:
    """Raises Unreadable for an object with a member that only a server which ignores case takes for one of these."""
    wanted = {json_walker.steps(path)[0] for path in paths if path}
    folded = {name.casefold() for name in wanted}
    if isinstance(value, dict) and any(key not in wanted and key.casefold() in folded for key in value):
        raise Unreadable("a member differs from a known one only in case")


def whole(request: Request, found: Found) -> None:
    """The rule of an operation on the collection that the path names."""
    namespace = request.parts.get("namespace")
    found.scope(
        path_collection(request),
        None if namespace is None else request.forms.json_namespace(request, None, namespace),
        chosen=Chosen.ALL,
    )


@dataclass(frozen=True, slots=True)
class InBody:
    """The rule of an operation on a collection that a JSON body names at the top, or a message in this field."""

    place: str | int

    def __call__(self, request: Request, found: Found) -> None:
        """Note the collection."""
        if isinstance(self.place, str):
            value = request.json()
            if request.forms.strict:
                unambiguous(value, (self.place,))
            found.scope(named(request, member(value, self.place)), chosen=Chosen.ALL)
            return
        found.scope(message_collection(request, self.place), chosen=Chosen.ALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """A row. `path` is the template `/collections/{collection}/points` of a REST request, in which a name in braces is
    one segment of the path as it came (a `+` before the closing brace: it may hold an encoded slash), or the full name
    of a gRPC method, `/qdrant.Points/Upsert`.

    `rule` reads requests; without one, what a change touches is unknown. `answer` reads the ids that the server made.
    `choose` makes the question for the records that a request chooses by a filter, where the server answers one.
    `stream`: both sides send while the call is open, so its messages must be read one by one. `stepwise`: it holds
    several changes that take effect one by one, so that some may have when it is refused.
    """

    effect: Effect
    method: str
    path: str
    grpc: bool = False
    rule: Rule | None = None
    answer: AnswerRule | None = None
    choose: Choose | None = None
    stream: bool = False
    stepwise: bool = False

    @property
    def name(self) -> str:
        """For people: `PUT /collections/{collection}/points`, `/qdrant.Points/Upsert`."""
        return self.path if self.grpc else f"{self.method} {self.path}"


READING = frozenset({"GET", "HEAD", "OPTIONS"})
"""Methods that change nothing on any of the servers, whatever the path."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Operations:
    """A database's table. `facts`: what must be known of a collection with this schema, opened with this config (of
    the adapter's own class). `address`: the name that requests to it have (`Keys.collection`); with another name (an
    alias) in place of the config's. None: requests name no collection, because each has a port of its own. `early`:
    whether a change may be answered before reads see it, where the request decides that."""

    rows: tuple[Operation, ...]
    forms: Forms
    facts: Callable[[CollectionSchema, Any], CollectionFacts]
    address: Callable[[Any, str], str | None]
    early: Callable[[Request], bool] | None = None
    reading: frozenset[str] = READING


def rest(
    effect: Effect,
    *paths: str,
    rule: Rule | None = None,
    answer: AnswerRule | None = None,
    choose: Choose | None = None,
    stepwise: bool = False,
) -> list[Operation]:
    """Rows of REST operations: `"PUT,POST /collections/{collection}/points"`."""
    return [
        Operation(effect=effect, method=method, path=path, rule=rule, answer=answer, choose=choose, stepwise=stepwise)
        for methods, _, path in (item.partition(" ") for item in paths)
        for method in methods.split(",")
    ]


def grpc(
    effect: Effect,
    service: str,
    *methods: str,
    rule: Rule | None = None,
    answer: AnswerRule | None = None,
    choose: Choose | None = None,
    stream: bool = False,
    stepwise: bool = False,
) -> list[Operation]:
    """Rows of the methods of a gRPC service."""
    return [
        Operation(
            effect=effect,
            method="POST",
            path=f"/{service}/{name}",
            grpc=True,
            rule=rule,
            answer=answer,
            choose=choose,
            stream=stream,
            stepwise=stepwise,
        )
        for name in methods
    ]


COMMON = (
    *grpc(Effect.READ, "grpc.health.v1.Health", "Check", "Watch", "List"),
    *grpc(Effect.READ, "grpc.reflection.v1.ServerReflection", "ServerReflectionInfo"),
    *grpc(Effect.READ, "grpc.reflection.v1alpha.ServerReflection", "ServerReflectionInfo"),
)
"""Services that any gRPC server may have."""


def segment(raw: str) -> str:
    """A decoded segment of a path. Raises Unreadable when it is not percent-encoded UTF-8."""
    try:
        return unquote(raw, errors="strict") if "%" in raw else raw
    except UnicodeDecodeError as error:
        raise Unreadable("the path is not UTF-8") from error


def operations_of(spec: AnySpec) -> Operations | None:
    """The table of a database (the spec's optional attribute `operations`), None where it has no server of its own."""
    return getattr(spec, "operations", None)
