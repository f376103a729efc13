"""What requests to a Milvus server touch, over gRPC (pymilvus 3.0.2) and REST (v2, and v1 of 2.3), on one port.

A request does not hold which of its columns has the ids, so the collection's facts are needed; without them its scope
is unknown. Collections are named `database/collection`, in the database `default` by their name alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vectormigrate.adapter.json_walker import Json, member
from vectormigrate.adapter.operations import (
    COMMON,
    Change,
    Chosen,
    CollectionFacts,
    Division,
    Effect,
    Forms,
    Found,
    Operation,
    Operations,
    Request,
    grpc,
    rest,
    unambiguous,
)
from vectormigrate.adapter.wire_walker import BYTES, VARINT, Unreadable, below, fields, signed, text
from vectormigrate.adapters.milvus.choosing import by_expression
from vectormigrate.adapters.milvus.config import MilvusConfig
from vectormigrate.adapters.milvus.errors import NAME
from vectormigrate.adapters.milvus.pk_filters import chosen, id_of
from vectormigrate.adapters.milvus.request_columns import column, ids_of
from vectormigrate.adapters.milvus.request_places import address, database_of
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import CollectionSchema

SERVICE = "milvus.proto.milvus.MilvusService"
TELEMETRY = "milvus.proto.milvus.ClientTelemetryService"
PROXY = "milvus.proto.milvus.ProxyService"
V1, V2 = "/v1/vector", "/v2/vectordb"

PARTITION = "_default"


def facts(schema: CollectionSchema, config: MilvusConfig) -> CollectionFacts:
    """The field with the ids, who makes them, and whether partitions are namespaces (not with a partition key)."""
    del config
    kept: Json = schema.extras[NAME]
    return CollectionFacts(
        id_field=kept["pk"]["name"],
        text_ids=IdKind.STRING in schema.id_kinds,
        assigns_ids=bool(kept["pk"]["auto_id"]),
        divided_by=Division.NOTHING if "num_partitions" in kept else Division.REQUEST,
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a request writes. `collection`: its address. `every`: without a partition, all are meant."""

    collection: str
    partition: str
    facts: CollectionFacts

    def namespace(self, *, every: bool = False) -> str | None:
        if self.facts.divided_by is Division.NOTHING:
            return ""
        if self.partition == "":
            return None if every else ""
        return "" if self.partition == PARTITION else self.partition


def _place(request: Request, found: Found, database: str, name: str, partition: str) -> _Place | None:
    """None, with everything of the collection noted, where the collection's facts are not known."""
    if not name:
        raise Unreadable("no collection is named")
    known = request.facts.get(address(database, name))
    if known is None:
        found.scope(address(database, name))
        return None
    return _Place(address(database, name), partition, known)


def _written(found: Found, place: _Place, change: Change, ids: list[RecordId], *, complete: bool) -> None:
    """`complete`: every record has its id in the request. An upsert of a record with an id that the server makes
    removes the old one."""
    assigns = place.facts.assigns_ids
    if not complete and not assigns:
        raise Unreadable("records without ids")
    if ids:
        found.add(place.collection, place.namespace(), Change.PART if assigns else change, ids)
    if assigns:
        found.scope(place.collection, place.namespace(), Change.REPLACE, Chosen.ASSIGNED)


def _made(found: Found, place: _Place, ids: list[RecordId]) -> None:
    if not ids:
        raise Unreadable("an answer without ids")
    found.add(place.collection, place.namespace(), Change.REPLACE, ids)


@dataclass(frozen=True, slots=True)
class _Head:
    """The texts and columns of an InsertRequest, UpsertRequest or DeleteRequest, which agree in 2 to 4."""

    database: str
    collection: str
    partition: str
    rest: list[tuple[int, int, int, int]]


def _head(request: Request) -> _Head:
    texts = {2: "", 3: "", 4: ""}
    others: list[tuple[int, int, int, int]] = []
    for item in fields(request.body, 0, len(request.body)):
        if item[0] in texts:
            if item[1] != BYTES:
                raise Unreadable(f"field {item[0]} is no text")
            texts[item[0]] = text(request.body, item[2], item[3])
        else:
            others.append(item)
    return _Head(texts[2] or database_of(request, "dbname"), texts[3], texts[4], others)


@dataclass(frozen=True, slots=True)
class Columns:
    """InsertRequest and UpsertRequest: columns (5). `partly`: the fields that make an upsert partial."""

    change: Change
    partly: tuple[int, ...]

    def __call__(self, request: Request, found: Found) -> None:
        """Note the ids in the request, and that the server makes some."""
        head = _head(request)
        place = _place(request, found, head.database, head.collection, head.partition)
        if place is None:
            return
        try:
            self._read(request.body, head, place, found)
        except Unreadable as error:
            found.unread(error, place.collection, place.namespace())

    def _read(self, data: bytes, head: _Head, place: _Place, found: Found) -> None:
        change = self.change
        ids: list[RecordId] = []
        complete = False
        for number, kind, first, last in head.rest:
            if number in self.partly and (kind == BYTES or first):
                change = Change.PART
            elif number == 5:
                if kind != BYTES:
                    raise Unreadable("a column of another type")
                held = column(data, first, last, place.facts)
                if held is not None:
                    ids += held
                    complete = True
        _written(found, place, change, ids, complete=complete)

    def made(self, request: Request, answer: bytes, found: Found) -> None:
        """The ids in a MutationResult: IDs (2) {int_id (1) | str_id (2)}."""
        head = _head(request)
        place = _place(request, found, head.database, head.collection, head.partition)
        if place is None:
            return
        try:
            ids = [item for where in below(answer, 0, len(answer), (2,)) for item in ids_of(answer, *where, 1, 2)]
            _made(found, place, ids)
        except Unreadable as error:
            found.unread(error, place.collection, place.namespace())


def delete(request: Request, found: Found) -> None:
    """DeleteRequest: expr (5), expr_template_values (8) {key (1), value (2)}. Without a partition, all are meant."""
    head = _head(request)
    place = _place(request, found, head.database, head.collection, head.partition)
    if place is None:
        return
    expression = ""
    values: dict[str, Json] = {}
    for number, kind, first, last in head.rest:
        if number == 5 and kind == BYTES:
            expression = text(request.body, first, last)
        elif number == 8 and kind == BYTES:
            key, value = "", None
            for part, form, start, end in fields(request.body, first, last):
                if part == 1 and form == BYTES:
                    key = text(request.body, start, end)
                elif part == 2 and form == BYTES:
                    value = _template(request.body, start, end)
            values[key] = value
    _deleted(found, place, expression, values)


def _template(data: bytes, start: int, end: int) -> Json:
    """A TemplateValue: int64_val (2), string_val (4), array_val (5) {long_data (2), string_data (4)}; None for
    another."""
    found: Json = None
    for number, kind, first, last in fields(data, start, end):
        if number == 2 and kind == VARINT:
            found = signed(first)
        elif number == 4 and kind == BYTES:
            found = text(data, first, last)
        else:
            found = ids_of(data, first, last, 2, 4) if number == 5 and kind == BYTES else None
    return found


def _deleted(found: Found, place: _Place, expression: str, values: Mapping[str, Json]) -> None:
    namespace = place.namespace(every=True)
    ids = chosen(expression, place.facts.id_field, values, text_ids=place.facts.text_ids)
    if ids is None:
        found.scope(place.collection, namespace, Change.DELETE, Chosen.FILTER)
    else:
        found.add(place.collection, namespace, Change.DELETE, ids)


NAMES = ("collectionName", "dbName", "partitionName")


def _json_place(request: Request, found: Found, value: Json) -> _Place | None:
    unambiguous(value, (*NAMES, "data", "filter", "id", "exprParams", "partialUpdate"))
    database, name, partition = (_name(value, key) for key in ("dbName", "collectionName", "partitionName"))
    return _place(request, found, database or database_of(request, "db-name"), name, partition)


def _name(value: Json, key: str) -> str:
    found = member(value, key)
    if found is not None and not isinstance(found, str):
        raise Unreadable(f"{key!r} is no text")
    return found or ""


@dataclass(frozen=True, slots=True)
class Rows:
    """`data`, a record or a list of them."""

    change: Change

    def __call__(self, request: Request, found: Found) -> None:
        """Note the ids in the request, and that the server makes some."""
        value = request.json()
        place = _json_place(request, found, value)
        if place is None:
            return
        try:
            self._read(value, place, found)
        except Unreadable as error:
            found.unread(error, place.collection, place.namespace())

    def _read(self, value: Json, place: _Place, found: Found) -> None:
        data = member(value, "data")
        records = [data] if isinstance(data, dict) else data
        if not isinstance(records, list) or not records:
            raise Unreadable("no records")
        given = [member(record, place.facts.id_field) for record in records]
        ids = [_row_id(item, place.facts) for item in given if item is not None]
        change = Change.PART if member(value, "partialUpdate") else self.change
        _written(found, place, change, ids, complete=len(ids) == len(records))

    def made(self, request: Request, answer: bytes, found: Found) -> None:
        """`data.insertIds` or `data.upsertIds`, where a number may be written as text."""
        place = _json_place(request, found, request.json())
        if place is None:
            return
        try:
            data = member(replace(request, body=answer).json(), "data")
            ids = [item for name in ("insertIds", "upsertIds") for item in member(data, name) or []]
            _made(found, place, [_row_id(item, place.facts) for item in ids])
        except Unreadable as error:
            found.unread(error, place.collection, place.namespace())


_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)")


def _row_id(value: Json, known: CollectionFacts) -> RecordId:
    """An id in JSON, where the server also takes a number as text."""
    if not known.text_ids and isinstance(value, str) and _DECIMAL.fullmatch(value):
        value = int(value)
    return id_of(value, text_ids=known.text_ids)


def delete_rows(request: Request, found: Found) -> None:
    """`filter` with `exprParams`, and `id` (v1), one or a list."""
    value = request.json()
    place = _json_place(request, found, value)
    if place is None:
        return
    given, expression, values = (member(value, name) for name in ("id", "filter", "exprParams"))
    if given is not None:
        items = given if isinstance(given, list) else [given]
        ids = [_row_id(item, place.facts) for item in items]
        found.add(place.collection, place.namespace(every=True), Change.DELETE, ids)
    if expression or given in (None, []):
        if not isinstance(expression, str) or not isinstance(values, dict | None):
            raise Unreadable("a filter that is no text")
        _deleted(found, place, expression, values or {})


@dataclass(frozen=True, slots=True)
class Of:
    """A collection that a message names: the numbers of the database (0: none) and of the collection."""

    database: int = 2
    collection: int = 3

    def __call__(self, request: Request, found: Found) -> None:
        """Note all of it."""
        texts = {self.database: "", self.collection: ""}
        for number, kind, first, last in fields(request.body, 0, len(request.body)):
            if number in texts:
                if kind != BYTES:
                    raise Unreadable(f"field {number} is no text")
                texts[number] = text(request.body, first, last)
        if not texts[self.collection]:
            raise Unreadable("no collection is named")
        database = texts[self.database] or database_of(request, "dbname")
        found.scope(address(database, texts[self.collection]), chosen=Chosen.ALL)


def of_body(request: Request, found: Found) -> None:
    """A collection that a JSON body names."""
    value = request.json()
    unambiguous(value, NAMES)
    database = _name(value, "dbName") or database_of(request, "db-name")
    name = _name(value, "collectionName")
    if not name:
        raise Unreadable("no collection is named")
    found.scope(address(database, name), chosen=Chosen.ALL)


def _unused(*_: Any) -> Any:
    raise Unreadable("Milvus' ids and namespaces are read by rules of its own")


FORMS = Forms(
    json_id=_unused,
    wire_id=_unused,
    json_namespace=_unused,
    wire_namespace=_unused,
    collection=lambda name: name,
    strict=True,
)

# The server does not look for an older record with the same id, so both may be there: no replacement.
INSERT, UPSERT = Columns(Change.PART, ()), Columns(Change.REPLACE, (9, 11))
INSERT_ROWS, UPSERT_ROWS = Rows(Change.PART), Rows(Change.REPLACE)


def _rest(effect: Effect, category: str, *actions: str, named: bool = False) -> list[Operation]:
    paths = [f"POST {V2}/{category}/{action}" for action in actions]
    return rest(effect, *paths, rule=of_body if named else None)


OPERATIONS = Operations(
    forms=FORMS,
    facts=facts,
    address=lambda config, name: address(config.database_name(), name),
    rows=(
        *COMMON,
        *grpc(Effect.KEYS, SERVICE, "Insert", rule=INSERT, answer=INSERT.made),
        *grpc(Effect.KEYS, SERVICE, "Upsert", rule=UPSERT, answer=UPSERT.made),
        *grpc(Effect.KEYS, SERVICE, "Delete", rule=delete, choose=by_expression),
        *grpc(
            Effect.READ,
            SERVICE,
            *("Connect", "Search", "HybridSearch", "Query", "AllocTimestamp", "CheckHealth", "CalcDistance"),
            *("RunAnalyzer", "DumpMessages", "Dummy", "RegisterLink", "ComputePhraseMatchSlop", "GetVersion"),
            *("DescribeCollection", "BatchDescribeCollection", "DescribePrewarmTask", "DescribeNamespace"),
            *("DescribeAlias", "DescribeIndex", "DescribeResourceGroup", "DescribeSegmentIndexData"),
            *("DescribeDatabase", "DescribeSnapshot", "ShowCollections", "ShowPartitions", "HasCollection"),
            *("HasPartition", "HasNamespace", "SelectRole", "SelectUser", "SelectGrant"),
            *("GetCollectionStatistics", "GetPartitionStatistics", "GetNamespaceStats", "GetLoadingProgress"),
            *("GetLoadState", "GetIndexStatistics", "GetIndexState", "GetIndexBuildProgress", "GetFlushState"),
            *("GetFlushAllState", "GetPersistentSegmentInfo", "GetQuerySegmentInfo", "GetReplicas", "GetMetrics"),
            *("GetComponentStates", "GetCompactionState", "GetCompactionStateWithPlans", "GetImportState"),
            *("GetUserTags", "GetReplicateConfiguration", "GetReplicateInfo", "GetExportSnapshotState"),
            *("GetRestoreSnapshotState", "GetRefreshExternalCollectionProgress"),
            *("ListAliases", "ListNamespaces", "ListImportTasks", "ListCredUsers", "ListResourceGroups"),
            *("ListIndexedSegment", "ListDatabases", "ListPrivilegeGroups", "ListFileResources"),
            *("ListUsersWithTag", "ListRowPolicies", "ListSnapshots", "ListRestoreSnapshotJobs"),
            *("ListRefreshExternalCollectionJobs", "BackupRBAC"),
        ),
        *grpc(Effect.READ, PROXY, "RegisterLink"),
        *grpc(
            Effect.NONE,
            SERVICE,
            *("LoadCollection", "ReleaseCollection", "LoadPartitions", "ReleasePartitions", "Prewarm"),
            *("CreateIndex", "AlterIndex", "DropIndex", "Flush", "FlushAll", "LoadBalance", "ManualCompaction"),
            *("CreateCredential", "UpdateCredential", "DeleteCredential", "CreateRole", "AlterRole", "DropRole"),
            *("OperateUserRole", "OperatePrivilege", "OperatePrivilegeV2", "CreatePrivilegeGroup"),
            *("DropPrivilegeGroup", "OperatePrivilegeGroup", "RestoreRBAC", "CreateRowPolicy", "DropRowPolicy"),
            *("CreateResourceGroup", "DropResourceGroup", "UpdateResourceGroups", "TransferNode"),
            *("TransferReplica", "AddFileResource", "RemoveFileResource", "AddUserTags", "DeleteUserTags"),
            *("CreateSnapshot", "DropSnapshot", "PinSnapshotData", "UnpinSnapshotData", "ExportSnapshot"),
        ),
        *grpc(
            Effect.NONE,
            TELEMETRY,
            *("ClientHeartbeat", "GetClientTelemetry", "PushClientCommand", "DeleteClientCommand"),
        ),
        *grpc(
            Effect.SCHEMA,
            SERVICE,
            *("CreateCollection", "AlterCollection", "AlterCollectionField", "AddCollectionFunction"),
            *("AlterCollectionFunction", "DropCollectionFunction", "AddCollectionField"),
            *("AddCollectionStructField", "AlterCollectionSchema", "CreatePartition", "CreateNamespace"),
            rule=Of(),
        ),
        # An alias may lead elsewhere afterwards, whatever collection is named.
        *grpc(
            Effect.SCHEMA,
            SERVICE,
            *("RenameCollection", "CreateAlias", "DropAlias", "AlterAlias", "CreateDatabase", "AlterDatabase"),
            "UpdateReplicateConfiguration",
        ),
        *grpc(
            Effect.WHOLE,
            SERVICE,
            *("DropCollection", "TruncateCollection", "DropPartition", "DropNamespace", "BatchUpdateManifest"),
            "RefreshExternalCollection",
            rule=Of(),
        ),
        *grpc(Effect.WHOLE, SERVICE, "Import", rule=Of(7, 1)),
        *grpc(
            Effect.WHOLE,
            SERVICE,
            *("DropDatabase", "RestoreSnapshot", "RestoreExternalSnapshot", "ReplicateMessage"),
        ),
        *grpc(Effect.WHOLE, SERVICE, "CreateReplicateStream", stream=True),
        *rest(Effect.KEYS, f"POST {V2}/entities/insert", rule=INSERT_ROWS, answer=INSERT_ROWS.made),
        *rest(Effect.KEYS, f"POST {V2}/entities/upsert", rule=UPSERT_ROWS, answer=UPSERT_ROWS.made),
        *rest(Effect.KEYS, f"POST {V2}/entities/delete", rule=delete_rows),
        *_rest(Effect.READ, "entities", "query", "get", "search", "advanced_search", "hybrid_search"),
        *_rest(
            Effect.READ,
            "collections",
            *("list", "has", "describe", "get_stats", "get_load_state", "get_compaction_state"),
        ),
        *_rest(Effect.READ, "partitions", "list", "has", "get_stats"),
        *(
            row
            for category in ("databases", "users", "roles", "indexes", "aliases", "resource_groups")
            for row in _rest(Effect.READ, category, "list", "describe")
        ),
        *_rest(Effect.READ, "privilege_groups", "list"),
        *_rest(Effect.READ, "file_resources", "list"),
        *_rest(Effect.READ, "jobs/import", "list", "describe", "get_progress"),
        *_rest(Effect.READ, "jobs/snapshot", "list", "describe"),
        *_rest(Effect.READ, "jobs/external_collection", "list", "describe"),
        *_rest(Effect.READ, "segments", "describe"),
        *_rest(Effect.READ, "quotacenter", "describe"),
        *_rest(Effect.READ, "common", "run_analyzer"),
        *_rest(Effect.NONE, "collections", "load", "refresh_load", "release", "compact", "flush"),
        *_rest(Effect.NONE, "partitions", "load", "release"),
        *_rest(Effect.NONE, "indexes", "create", "drop", "alter_properties", "drop_properties"),
        *_rest(Effect.NONE, "users", "create", "update_password", "drop", "grant_role", "revoke_role"),
        *_rest(
            Effect.NONE,
            "roles",
            *("create", "alter", "drop", "grant_privilege", "revoke_privilege", "grant_privilege_v2"),
            "revoke_privilege_v2",
        ),
        *_rest(
            Effect.NONE,
            "privilege_groups",
            *("create", "drop", "add_privileges_to_group", "remove_privileges_from_group"),
        ),
        *_rest(Effect.NONE, "resource_groups", "create", "drop", "alter", "transfer_replica"),
        *_rest(Effect.NONE, "file_resources", "add", "remove"),
        *_rest(Effect.NONE, "jobs/snapshot", "export"),
        *_rest(
            Effect.SCHEMA,
            "collections",
            *("create", "alter_properties", "drop_properties", "add_function", "alter_function", "drop_function"),
            *("add_function_field", "drop_function_field", "fields/alter_properties", "fields/add", "fields/drop"),
            "struct_fields/add",
            named=True,
        ),
        *_rest(Effect.SCHEMA, "partitions", "create", named=True),
        *_rest(Effect.SCHEMA, "collections", "rename"),
        *_rest(Effect.SCHEMA, "databases", "create", "alter", "alter_properties", "drop_properties"),
        *_rest(Effect.SCHEMA, "aliases", "create", "drop", "alter"),
        *_rest(Effect.WHOLE, "collections", "drop", "truncate", named=True),
        *_rest(Effect.WHOLE, "partitions", "drop", named=True),
        *_rest(Effect.WHOLE, "jobs/import", "create", named=True),
        *_rest(Effect.WHOLE, "jobs/import", "commit", "abort"),
        *_rest(Effect.WHOLE, "jobs/external_collection", "refresh"),
        *_rest(Effect.WHOLE, "jobs/snapshot", "restore_external"),
        *_rest(Effect.WHOLE, "databases", "drop"),
        *rest(Effect.KEYS, f"POST {V1}/insert", rule=INSERT_ROWS, answer=INSERT_ROWS.made),
        *rest(Effect.KEYS, f"POST {V1}/upsert", rule=UPSERT_ROWS, answer=UPSERT_ROWS.made),
        *rest(Effect.KEYS, f"POST {V1}/delete", rule=delete_rows),
        *rest(Effect.READ, f"POST {V1}/query", f"POST {V1}/get", f"POST {V1}/search"),
        # Of the oldest interface only what reads: the rest of it is rare, and of unknown scope.
        *rest(Effect.READ, "POST /api/v1/search", "POST /api/v1/query"),
        *rest(Effect.SCHEMA, f"POST {V1}/collections/create", rule=of_body),
        *rest(Effect.WHOLE, f"POST {V1}/collections/drop", rule=of_body),
    ),
)
