"""What requests to a Qdrant server touch, over REST (1.19 and the older paths of 1.15) and gRPC.

A request names records by id, and an id is unique in a collection, so that is enough. It does not hold the namespace
where a payload field divides the collection; where shard keys do, it may. Point ids are numbers or UUIDs, which the
server takes in any of their spellings and keeps in the canonical one.
"""

from __future__ import annotations

from vectormigrate.adapter.json_walker import Json, member
from vectormigrate.adapter.operations import (
    COMMON,
    Body,
    Change,
    CollectionFacts,
    Division,
    Effect,
    Forms,
    Found,
    InBody,
    Message,
    Operations,
    Request,
    grpc,
    path_collection,
    rest,
    whole,
)
from vectormigrate.adapter.wire_walker import BYTES, VARINT, Unreadable, fields, text
from vectormigrate.adapters.qdrant.choosing import Selected, by_filter
from vectormigrate.adapters.qdrant.config import DEFAULT_SHARD, QdrantConfig
from vectormigrate.adapters.qdrant.errors import NAME
from vectormigrate.adapters.qdrant.request_ids import json_id, wire_id
from vectormigrate.model.schema import CollectionSchema

POINTS, COLLECTIONS, SNAPSHOTS = "qdrant.Points", "qdrant.Collections", "qdrant.Snapshots"
AT = "/collections/{collection}"


def _namespace(request: Request, collection: str | None, key: str | int | None) -> str | None:
    facts = request.facts.get(collection or "")
    if key is None or facts is None or facts.divided_by is not Division.REQUEST:
        return None
    return "" if key == DEFAULT_SHARD else str(key)


def json_namespace(request: Request, collection: str | None, value: Json) -> str | None:
    """Of a `shard_key`, which names one when it is one key without a fallback."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    key = value if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)) else None
    return _namespace(request, collection, key)


def wire_namespace(request: Request, collection: str | None, place: tuple[int, int] | None) -> str | None:
    """Of a ShardKeySelector: shard_keys (1) {keyword (1) | number (2)}, fallback (2)."""
    keys: list[str | int | None] = []
    for number, kind, first, last in fields(request.body, *place) if place is not None else ():
        if number != 1 or kind != BYTES:
            return _namespace(request, collection, None)
        key: str | int | None = None
        for choice, form, start, end in fields(request.body, first, last):
            key = start if (choice, form) == (2, VARINT) else text(request.body, start, end) if choice == 1 else None
        keys.append(key)
    return _namespace(request, collection, keys[0] if len(keys) == 1 else None)


def facts(schema: CollectionSchema, config: QdrantConfig) -> CollectionFacts:
    """Whether requests name the namespace, which they do where the shard keys are the namespaces (elsewhere the id
    alone is the key), and whether it has replicas."""
    kept: Json = schema.extras.get(NAME) or {}
    by_shard = bool(kept.get("shard_keys")) and config.shard_key is None
    replicated = int(kept.get("replication_factor") or 1) > 1
    return CollectionFacts(divided_by=Division.REQUEST if by_shard else None, replicated=replicated)


WAIT = 2
"""The number of `wait` in every message that changes points."""


def early(request: Request) -> bool:
    """An update is acknowledged when it is in the server's log, unless the request waits for it to be applied."""
    if request.headers.get("content-type", "").startswith("application/grpc"):
        data = request.body
        waits = [first for number, kind, first, _ in fields(data, 0, len(data)) if (number, kind) == (WAIT, VARINT)]
        return not (waits and waits[-1])
    return request.parameter("wait") != "true"


FORMS = Forms(
    json_id=json_id,
    wire_id=wire_id,
    json_namespace=json_namespace,
    wire_namespace=wire_namespace,
    collection=lambda name: name,
)

UPSERT = Body(
    change=Change.REPLACE,
    ids=("points[].id", "batch.ids[]"),
    partly=("update_filter", "update_mode"),
    namespace="shard_key",
)
VECTORS = Body(change=Change.PART, ids=("points[].id",), namespace="shard_key")
DELETE = Body(change=Change.DELETE, ids=("points[]",), filters=("filter",), namespace="shard_key")
CHANGE = Body(change=Change.PART, ids=("points[]",), filters=("filter",), namespace="shard_key")

STEPS = {
    "upsert": UPSERT,
    "delete": DELETE,
    "set_payload": CHANGE,
    "overwrite_payload": CHANGE,
    "delete_payload": CHANGE,
    "clear_payload": CHANGE,
    "update_vectors": VECTORS,
    "delete_vectors": CHANGE,
}
"""The operations of a batch."""


def batch(request: Request, found: Found) -> None:
    """`operations[]`, each an object with one member of STEPS; one with another member is of unknown scope."""
    steps = member(request.json(), "operations")
    if not isinstance(steps, list):
        raise Unreadable("a batch without operations")
    for step in steps:
        if not isinstance(step, dict) or not step or not step.keys() <= STEPS.keys():
            found.scope(path_collection(request))
            continue
        for name, value in step.items():
            STEPS[name].read(request, found, value)


def wire_batch(request: Request, found: Found) -> None:
    """UpdateBatchPoints: operations (3), each a oneof of WIRE_STEPS; another member is of unknown scope."""
    data = request.body
    collection: str | None = None
    steps: list[tuple[int, int]] = []
    for number, kind, first, last in fields(data, 0, len(data)):
        if number in (1, 3) and kind != BYTES:
            raise Unreadable("a batch of another type")
        if number == 1:
            collection = text(data, first, last)
        elif number == 3:
            steps.append((first, last))
    for start, end in steps:
        known = False
        for number, kind, first, last in fields(data, start, end):
            if number in WIRE_STEPS and kind == BYTES:
                known = True
                WIRE_STEPS[number].read(request, found, first, last, collection)
            else:
                found.scope(collection)
        if not known:
            found.scope(collection)


def _selected(change: Change, selector: int, shard: int, *, collection: int = 1) -> Message:
    """Records that a PointsSelector chooses: points (1) {ids (1)} or filter (2)."""
    return Message(
        change=change,
        ids=((selector, 1, 1),),
        filters=((selector, 2),),
        collection=collection,
        namespace=shard,
    )


WIRE_STEPS = {
    1: Message(change=Change.REPLACE, records=(1, 1), partly=(3, 4), namespace=2),
    2: Message(change=Change.DELETE, ids=((1, 1),), filters=((2,),)),
    3: _selected(Change.PART, 2, 3, collection=0),
    4: _selected(Change.PART, 2, 3, collection=0),
    5: _selected(Change.PART, 2, 3, collection=0),
    6: Message(change=Change.PART, ids=((1, 1),), filters=((2,),)),
    7: Message(change=Change.PART, records=(1, 1), namespace=2),
    8: _selected(Change.PART, 1, 3, collection=0),
    9: _selected(Change.DELETE, 1, 2, collection=0),
    10: _selected(Change.PART, 1, 2, collection=0),
}
"""upsert, delete (deprecated), set, overwrite and delete payload, clear payload (deprecated), update and delete
vectors, delete points, clear payload."""

OPERATIONS = Operations(
    forms=FORMS,
    facts=facts,
    address=lambda config, name: name,
    early=early,
    rows=(
        *COMMON,
        *rest(Effect.KEYS, f"PUT {AT}/points", rule=UPSERT),
        *rest(Effect.KEYS, f"PUT {AT}/points/vectors", rule=VECTORS),
        *rest(Effect.KEYS, f"POST {AT}/points/delete", rule=DELETE, choose=by_filter),
        *rest(
            Effect.KEYS,
            f"POST,PUT {AT}/points/payload",
            f"POST {AT}/points/payload/delete",
            f"POST {AT}/points/payload/clear",
            f"POST {AT}/points/vectors/delete",
            rule=CHANGE,
            choose=by_filter,
        ),
        *rest(Effect.KEYS, f"POST {AT}/points/batch", rule=batch, stepwise=True),
        *rest(
            Effect.READ,
            f"POST {AT}/points",
            f"POST {AT}/facet",
            *(
                f"POST {AT}/points/{name}"
                for name in (
                    *("scroll", "count", "query", "query/batch", "query/groups", "search", "search/batch"),
                    *("search/groups", "search/matrix/pairs", "search/matrix/offsets", "recommend"),
                    *("recommend/batch", "recommend/groups", "discover", "discover/batch"),
                )
            ),
        ),
        *rest(
            Effect.SCHEMA,
            f"PUT,PATCH {AT}",
            f"PUT {AT}/vectors/{{vector}}",
            f"PUT {AT}/shards",
            f"POST {AT}/cluster",  # moves, copies, splits and restores shards
            rule=whole,
        ),
        *rest(Effect.SCHEMA, "POST /collections/aliases"),
        *rest(
            Effect.WHOLE,
            f"DELETE {AT}",
            f"DELETE {AT}/vectors/{{vector}}",
            f"POST {AT}/shards/delete",
            f"PUT {AT}/snapshots/recover",
            f"POST {AT}/snapshots/upload",
            f"PUT {AT}/shards/{{shard}}/snapshots/recover",
            f"POST {AT}/shards/{{shard}}/snapshots/upload",
            rule=whole,
        ),
        # They take replicas or a peer out of the cluster, with the data that only they hold.
        *rest(Effect.WHOLE, "DELETE /cluster/peer/{peer}", "POST /cluster/recover"),
        *rest(
            Effect.NONE,
            f"PUT {AT}/index",
            f"DELETE {AT}/index/{{field}}",
            f"POST {AT}/snapshots",
            f"DELETE {AT}/snapshots/{{snapshot}}",
            f"POST {AT}/shards/{{shard}}/snapshots",
            f"DELETE {AT}/shards/{{shard}}/snapshots/{{snapshot}}",
            "POST /snapshots",
            "DELETE /snapshots/{snapshot}",
            "DELETE /issues",
            "PUT /quotas",
            "POST /telemetry",
            "POST /logger",
        ),
        *grpc(
            Effect.KEYS,
            POINTS,
            "Upsert",
            rule=Message(change=Change.REPLACE, records=(3, 1), partly=(6, 8), collection=1, namespace=5),
        ),
        *grpc(
            Effect.KEYS,
            POINTS,
            "UpdateVectors",
            rule=Message(change=Change.PART, records=(3, 1), collection=1, namespace=5),
        ),
        *grpc(Effect.KEYS, POINTS, "Delete", rule=_selected(Change.DELETE, 3, 5), choose=Selected(3, 5)),
        *grpc(Effect.KEYS, POINTS, "ClearPayload", rule=_selected(Change.PART, 3, 5), choose=Selected(3, 5)),
        *grpc(Effect.KEYS, POINTS, "DeleteVectors", rule=_selected(Change.PART, 3, 6), choose=Selected(3, 6)),
        *grpc(
            Effect.KEYS,
            POINTS,
            *("SetPayload", "OverwritePayload", "DeletePayload"),
            rule=_selected(Change.PART, 5, 7),
            choose=Selected(5, 7),
        ),
        *grpc(Effect.KEYS, POINTS, "UpdateBatch", rule=wire_batch, stepwise=True),
        *grpc(
            Effect.READ,
            POINTS,
            *("Get", "Scroll", "Count", "Facet", "Query", "QueryBatch", "QueryGroups", "Search", "SearchBatch"),
            *("SearchGroups", "Recommend", "RecommendBatch", "RecommendGroups", "Discover", "DiscoverBatch"),
            *("SearchMatrixPairs", "SearchMatrixOffsets"),
        ),
        *grpc(Effect.NONE, POINTS, "CreateFieldIndex", "DeleteFieldIndex"),
        *grpc(Effect.SCHEMA, POINTS, "CreateVectorName", rule=InBody(1)),
        *grpc(Effect.WHOLE, POINTS, "DeleteVectorName", rule=InBody(1)),
        *grpc(
            Effect.READ,
            COLLECTIONS,
            *("Get", "List", "CollectionExists", "ListAliases", "ListCollectionAliases", "CollectionClusterInfo"),
            "ListShardKeys",
        ),
        *grpc(
            Effect.SCHEMA,
            COLLECTIONS,
            *("Create", "Update", "UpdateCollectionClusterSetup", "CreateShardKey"),
            rule=InBody(1),
        ),
        *grpc(Effect.SCHEMA, COLLECTIONS, "UpdateAliases"),
        *grpc(Effect.WHOLE, COLLECTIONS, "Delete", "DeleteShardKey", rule=InBody(1)),
        *grpc(Effect.READ, SNAPSHOTS, "List", "ListFull"),
        *grpc(Effect.NONE, SNAPSHOTS, "Create", "Delete", "CreateFull", "DeleteFull"),
        *grpc(Effect.READ, "qdrant.Qdrant", "HealthCheck"),
    ),
)
