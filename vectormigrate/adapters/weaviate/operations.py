"""What requests to a Weaviate server touch, over REST (1.39, below `/v1`), gRPC, and gRPC through the REST port.

The key is (collection, tenant, UUID). The server raises the first letter of a collection's name, takes UUIDs in any of
their spellings, and ignores case in the members of JSON objects, so a member that differs only in case is not read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from uuid import UUID

from vectormigrate.adapter.json_walker import Json, member
from vectormigrate.adapter.operations import (
    COMMON,
    Change,
    Chosen,
    CollectionFacts,
    Effect,
    Forms,
    Found,
    InBody,
    Operation,
    Operations,
    Request,
    grpc,
    named,
    path_collection,
    rest,
    unambiguous,
    whole,
)
from vectormigrate.adapter.wire_walker import BYTES, VARINT, Unreadable, below, fields, parts, text
from vectormigrate.adapters.weaviate.choosing import by_filter, wire_by_filter
from vectormigrate.adapters.weaviate.errors import NAME
from vectormigrate.adapters.weaviate.request_ids import collection_of, uuid_of
from vectormigrate.model.schema import CollectionSchema

SERVICE = "weaviate.v1.Weaviate"
MIRROR = "/v1/grpc-web"
"""Where 1.39 answers gRPC-web on its REST port, unless that is switched off."""

FILES = "weaviate.v1.FileReplicationService"
AT = "/v1/objects"
SCHEMA = "/v1/schema"

EQUAL, AND, OR, CONTAINS_ANY = 1, 7, 8, 12
"""Operators of gRPC filters."""


def wire_uuid(data: bytes, start: int, end: int) -> UUID:
    """As `uuid_of`."""
    return uuid_of(text(data, start, end))


def tenant_of(request: Request, collection: str | None, value: Json) -> str:
    """The namespace of a tenant, `""` for none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Unreadable("a tenant that is no text")
    return value


def wire_tenant(request: Request, collection: str | None, place: tuple[int, int] | None) -> str:
    """As `tenant_of`."""
    return "" if place is None else text(request.body, *place)


def facts(schema: CollectionSchema, config: object) -> CollectionFacts:
    """Whether it has replicas."""
    del config
    kept: Json = schema.extras.get(NAME) or {}
    return CollectionFacts(replicated=int((kept.get("replicationConfig") or {}).get("factor") or 1) > 1)


FORMS = Forms(
    json_id=uuid_of,
    wire_id=wire_uuid,
    json_namespace=tenant_of,
    wire_namespace=wire_tenant,
    collection=collection_of,
    strict=True,
)


def one_object(request: Request, found: Found) -> None:
    """`POST /objects`."""
    _object(request, found, request.json())


def objects(request: Request, found: Found) -> None:
    """`POST /batch/objects`: a list of objects."""
    value = request.json()
    unambiguous(value, ("objects",))
    items = member(value, "objects")
    if not isinstance(items, list):
        raise Unreadable("a batch without objects")
    for item in items:
        _object(request, found, item)


def _object(request: Request, found: Found, value: Json) -> None:
    unambiguous(value, ("id", "class", "tenant"))
    collection = named(request, member(value, "class"))
    tenant = tenant_of(request, collection, member(value, "tenant"))
    given = member(value, "id")
    if given is None or given == "":
        found.scope(collection, tenant, Change.REPLACE, Chosen.ASSIGNED)
    else:
        _named(found, collection, tenant, Change.REPLACE, given)


def _named(found: Found, collection: str, tenant: str, change: Change, given: Json) -> None:
    """An object of a batch, of which the server refuses one with a wrong id by itself and takes the others."""
    try:
        found.add(collection, tenant, change, [uuid_of(given)])
    except Unreadable as error:
        found.unread(error, collection, tenant)


def made_object(request: Request, answer: bytes, found: Found) -> None:
    """The object in the answer to `POST /objects`, or the list of them in that to `POST /batch/objects`."""
    value = replace(request, body=answer).json()
    items = value if isinstance(value, list) else [value]
    if not items:
        raise Unreadable("an answer without objects")
    for item in items:
        collection = named(request, member(item, "class"))
        tenant = tenant_of(request, collection, member(item, "tenant"))
        found.add(collection, tenant, Change.REPLACE, [uuid_of(member(item, "id"))])


class Path:
    """An object that the path names. `body`: the tenant is in the JSON body, else in the query."""

    def __init__(self, change: Change, *, body: bool) -> None:
        self._change = change
        self._body = body

    def __call__(self, request: Request, found: Found) -> None:
        """Without a collection in the path (deprecated), the body may name it; else the object counts in every one."""
        collection, ids = path_collection(request), [uuid_of(request.parts["id"])]
        if not self._body:
            tenant = tenant_of(request, collection, request.parameter("tenant"))
            found.add(collection, tenant if collection is not None else None, self._change, ids)
            return
        value = request.json()
        unambiguous(value, ("class", "tenant"))
        if collection is None:
            collection = named(request, member(value, "class"))
        found.add(collection, tenant_of(request, collection, member(value, "tenant")), self._change, ids)


def references(request: Request, found: Found) -> None:
    """`POST /batch/references`: a list, each with a beacon of its source, `weaviate://host/Class/uuid/property`."""
    items = request.json()
    if not isinstance(items, list):
        raise Unreadable("references that are no list")
    for item in items:
        unambiguous(item, ("from", "tenant"))
        beacon = member(item, "from")
        words = beacon.removeprefix("weaviate://").split("/") if isinstance(beacon, str) else []
        if len(words) != 4:
            raise Unreadable("a beacon of another form")
        collection = named(request, words[1])
        tenant = tenant_of(request, collection, member(item, "tenant"))
        _named(found, collection, tenant, Change.PART, words[2])


def delete_objects(request: Request, found: Found) -> None:
    """`DELETE /batch/objects`: a filter, which may choose by id. `dryRun: true` changes nothing."""
    value = request.json()
    unambiguous(value, ("match", "dryRun"))
    match = member(value, "match")
    unambiguous(match, ("class", "where"))
    if member(value, "dryRun") is True:
        found.reads = True
        return
    collection = named(request, member(match, "class"))
    tenant = tenant_of(request, collection, request.parameter("tenant"))
    _deleted(found, collection, tenant, where_ids(member(match, "where")))


def _deleted(found: Found, collection: str, tenant: str, ids: Sequence[UUID] | None) -> None:
    if ids is None:
        found.scope(collection, tenant, Change.DELETE, Chosen.FILTER)
    else:
        found.add(collection, tenant, Change.DELETE, ids)


def where_ids(where: Json) -> list[UUID] | None:
    """The ids of which a filter chooses some at most, None when it may choose others."""
    if not isinstance(where, dict) or not set(where) <= _WHERE:
        return None
    operator, operands = where.get("operator"), where.get("operands")
    if operator in ("And", "Or"):
        if not isinstance(operands, list) or not operands:
            return None
        return _joined([where_ids(item) for item in operands], every=operator == "And")
    values = [where[name] for name in _VALUES if where.get(name) is not None]
    if where.get("path") not in (["id"], ["_id"]) or operands is not None or len(values) != 1:
        return None
    ids = values[0] if operator == "ContainsAny" else [values[0]] if operator == "Equal" else None
    return [uuid_of(item) for item in ids] if isinstance(ids, list) and ids else None


_VALUES = ("valueText", "valueString", "valueTextArray", "valueStringArray")
_WHERE = {"operator", "operands", "path", *_VALUES}


def _joined(sides: Sequence[list[UUID] | None], *, every: bool) -> list[UUID] | None:
    """Of filters that must all hold (then one that chooses by id is enough), or of which one must."""
    known = [ids for ids in sides if ids is not None]
    if every:
        return min(known, key=len) if known else None
    return [item for ids in known for item in ids] if len(known) == len(sides) else None


def wire_objects(request: Request, found: Found) -> None:
    """BatchObjectsRequest: objects (1)."""
    for place in parts(request.body, 0, len(request.body), 1):
        _wire_object(request, found, *place)


def _wire_object(request: Request, found: Found, start: int, end: int) -> None:
    """BatchObject: uuid (1), collection (4), tenant (5). Over gRPC the server makes no ids."""
    uuid, collection, tenant = _texts(request.body, start, end, 1, 4, 5)
    _named(found, named(request, collection), tenant, Change.REPLACE, uuid)


def wire_references(request: Request, found: Found) -> None:
    """BatchReferencesRequest: references (1)."""
    for place in parts(request.body, 0, len(request.body), 1):
        _wire_reference(request, found, *place)


def _wire_reference(request: Request, found: Found, start: int, end: int) -> None:
    """BatchReference: from_collection (2), from_uuid (3), tenant (6)."""
    collection, uuid, tenant = _texts(request.body, start, end, 2, 3, 6)
    _named(found, named(request, collection), tenant, Change.PART, uuid)


def _texts(data: bytes, start: int, end: int, *numbers: int) -> list[str]:
    """These fields of a message, `""` for one that is missing."""
    values = dict.fromkeys(numbers, "")
    for number, kind, first, last in fields(data, start, end):
        if number in values:
            if kind != BYTES:
                raise Unreadable(f"field {number} is no text")
            values[number] = text(data, first, last)
    return list(values.values())


def stream(request: Request, found: Found) -> None:
    """BatchStreamRequest: data (2) {objects (1) {values (1)}, references (2) {values (1)}}; start (1) and stop (3)
    change nothing, what else there may be is of unknown scope."""
    for number, _, first, last in fields(request.body, 0, len(request.body)):
        if number == 2:
            for place in below(request.body, first, last, (1, 1)):
                _wire_object(request, found, *place)
            for place in below(request.body, first, last, (2, 1)):
                _wire_reference(request, found, *place)
        elif number not in (1, 3):
            raise Unreadable("a message of another kind in a stream")


def wire_delete(request: Request, found: Found) -> None:
    """BatchDeleteRequest: collection (1), filters (2), dry_run (4), tenant (6). Clients delete by id with a filter."""
    data = request.body
    collection, tenant = _texts(data, 0, len(data), 1, 6)
    filters: list[tuple[int, int]] = []
    dry = False
    for number, kind, first, last in fields(data, 0, len(data)):
        if number == 4 and kind == VARINT:
            dry = first != 0
        elif number == 2 and kind == BYTES:
            filters.append((first, last))
    if dry:
        found.reads = True
        return
    try:
        ids = filter_ids(data, *filters[0]) if len(filters) == 1 else None
    except Unreadable:
        ids = None  # the filter does not lead out of its collection and tenant
    _deleted(found, named(request, collection), tenant, ids)


def filter_ids(data: bytes, start: int, end: int) -> list[UUID] | None:
    """As `where_ids` for Filters: operator (1), on (2), filters (3), value_text (4), value_text_array (9) {values (1)},
    target (20) {property (1)}."""
    operator = 0
    on: list[str] = []
    sides: list[list[UUID] | None] = []
    values: list[str] = []
    for number, kind, first, last in fields(data, start, end):
        if number == 1 and kind == VARINT:
            operator = first
        elif kind != BYTES:
            return None
        elif number == 2:
            on.append(text(data, first, last))
        elif number == 3:
            sides.append(filter_ids(data, first, last))
        elif number == 4:
            values.append(text(data, first, last))
        elif number == 9:
            values += [text(data, *place) for place in parts(data, first, last, 1)]
        elif number == 20:
            targets = [key for key, *_ in fields(data, first, last)]
            if targets != [1]:
                return None
            on += [text(data, *place) for place in parts(data, first, last, 1)]
        else:
            return None
    if operator in (AND, OR) and sides and not on:
        return _joined(sides, every=operator == AND)
    if operator not in (EQUAL, CONTAINS_ANY) or sides or on not in (["_id"], ["id"]):
        return None
    return [uuid_of(item) for item in values] or None


def _methods() -> tuple[Operation, ...]:
    return (
        *grpc(Effect.KEYS, SERVICE, "BatchObjects", rule=wire_objects),
        *grpc(Effect.KEYS, SERVICE, "BatchReferences", rule=wire_references),
        *grpc(Effect.KEYS, SERVICE, "BatchStream", rule=stream, stream=True),
        *grpc(Effect.KEYS, SERVICE, "BatchDelete", rule=wire_delete, choose=wire_by_filter),
        *grpc(Effect.READ, SERVICE, "Search", "Aggregate", "TenantsGet"),
    )


PER_PROPERTY = f"{SCHEMA}/{{collection}}/properties/{{property}}"

OPERATIONS = Operations(
    forms=FORMS,
    facts=facts,
    address=lambda config, name: collection_of(name),
    rows=(
        *COMMON,
        *_methods(),
        *(replace(row, path=MIRROR + row.path, choose=None) for row in _methods()),
        *rest(Effect.KEYS, f"POST {AT}", rule=one_object, answer=made_object),
        *rest(Effect.KEYS, "POST /v1/batch/objects", rule=objects, answer=made_object),
        *rest(Effect.KEYS, "DELETE /v1/batch/objects", rule=delete_objects, choose=by_filter),
        *rest(Effect.KEYS, "POST /v1/batch/references", rule=references),
        *(
            row
            for path in (f"{AT}/{{collection}}/{{id}}", f"{AT}/{{id}}")
            for row in (
                *rest(Effect.KEYS, f"PUT {path}", rule=Path(Change.REPLACE, body=True)),
                *rest(Effect.KEYS, f"PATCH {path}", rule=Path(Change.PART, body=True)),
                *rest(Effect.KEYS, f"DELETE {path}", rule=Path(Change.DELETE, body=False)),
                *rest(
                    Effect.KEYS,
                    f"POST,PUT,DELETE {path}/references/{{property}}",
                    rule=Path(Change.PART, body=False),
                ),
            )
        ),
        *rest(
            Effect.READ,
            "POST /v1/graphql",
            "POST /v1/graphql/batch",
            "POST /v1/aggregate/{collection}",
            *(f"POST /v1/search/{{collection}}/{name}" for name in ("bm25", "hybrid", "near-object", "near-text")),
            f"POST {AT}/validate",
            "POST /v1/tokenize",
            f"POST {PER_PROPERTY}/tokenize",
            "POST /v1/authz/roles/{id}/has-permission",
        ),
        *rest(Effect.SCHEMA, f"POST {SCHEMA}", rule=InBody("class")),
        *rest(
            Effect.SCHEMA,
            f"PUT {SCHEMA}/{{collection}}",
            f"POST {SCHEMA}/{{collection}}/properties",
            f"PUT,DELETE {PER_PROPERTY}/index/{{index}}",
            f"POST {PER_PROPERTY}/index/{{index}}/cancel",
            f"POST {PER_PROPERTY}/index/{{index}}/rebuild",
            f"PUT {SCHEMA}/{{collection}}/shards/{{shard}}",
            f"POST,PUT {SCHEMA}/{{collection}}/tenants",
            rule=whole,
        ),
        *rest(Effect.SCHEMA, "POST /v1/aliases", "PUT,DELETE /v1/aliases/{alias}"),
        *rest(
            Effect.WHOLE,
            f"DELETE {SCHEMA}/{{collection}}",
            f"DELETE {SCHEMA}/{{collection}}/tenants",
            f"DELETE {SCHEMA}/{{collection}}/vectors/{{index}}/index",
            rule=whole,
        ),
        *rest(
            Effect.WHOLE,
            "POST /v1/classifications/",
            "POST,DELETE /v1/backups/{backend}/{id}/restore",
            "POST,PUT,DELETE /v1/namespaces/{id}",
            "POST /v1/namespaces/{id}/resume",
            "POST /v1/namespaces/{id}/suspend",
            "POST,DELETE /v1/replication/replicate",
            "DELETE /v1/replication/replicate/{id}",
            "POST /v1/replication/replicate/{id}/cancel",
            "POST /v1/replication/replicate/force-delete",
            "POST /v1/replication/scale",
            # Tools of an assistant may write.
            "POST,DELETE /v1/mcp",
        ),
        *grpc(
            Effect.WHOLE,
            FILES,
            *("PauseFileActivity", "ResumeFileActivity", "ListFiles", "GetFileMetadata", "GetFile"),
        ),
        *rest(
            Effect.NONE,
            "POST /v1/backups/{backend}",
            "DELETE /v1/backups/{backend}/{id}",
            "POST /v1/export/{backend}",
            "DELETE /v1/export/{backend}/{id}",
            "POST,DELETE /v1/users/db/{id}",
            "POST /v1/users/db/{id}/activate",
            "POST /v1/users/db/{id}/deactivate",
            "POST /v1/users/db/{id}/rotate-key",
            "POST /v1/authz/roles",
            "DELETE /v1/authz/roles/{id}",
            *(
                f"POST /v1/authz/{kind}/{{id}}/{action}"
                for kind, actions in (
                    ("roles", ("add-permissions", "remove-permissions")),
                    ("users", ("assign", "revoke")),
                    ("groups", ("assign", "revoke")),
                )
                for action in actions
            ),
        ),
    ),
)
