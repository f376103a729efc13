"""What requests to a Pinecone index touch: the data plane over REST and gRPC, and the control plane for completeness.

Every index has a host of its own, so requests name no collection. The default namespace is `""` here, whether it is
left out, null, empty or `__default__`. A `dryRun` counts as the real thing: a server of an older API ignores it.
"""

from __future__ import annotations

from vectormigrate.adapter.json_walker import Json, member, parsed
from vectormigrate.adapter.operations import (
    COMMON,
    Body,
    Change,
    Chosen,
    CollectionFacts,
    Effect,
    Forms,
    Found,
    Message,
    Operations,
    Request,
    grpc,
    rest,
    whole,
)
from vectormigrate.adapter.wire_walker import Unreadable, text
from vectormigrate.adapters.pinecone.capabilities import DEFAULT_NAMESPACE

SERVICE = "VectorService"
AT = "/namespaces/{namespace+}"


def json_id(value: Json) -> str:
    """A text that is not empty."""
    if not isinstance(value, str) or not value:
        raise Unreadable("an id that is no text")
    return value


def wire_id(data: bytes, start: int, end: int) -> str:
    """As `json_id`."""
    return json_id(text(data, start, end))


def json_namespace(request: Request, collection: str | None, value: Json) -> str:
    """Our name of a namespace."""
    if value is not None and not isinstance(value, str):
        raise Unreadable("a namespace that is no text")
    return "" if value in (None, DEFAULT_NAMESPACE) else value


def wire_namespace(request: Request, collection: str | None, place: tuple[int, int] | None) -> str:
    """As `json_namespace`."""
    return json_namespace(request, collection, None if place is None else text(request.body, *place))


FORMS = Forms(
    json_id=json_id,
    wire_id=wire_id,
    json_namespace=json_namespace,
    wire_namespace=wire_namespace,
    collection=lambda name: name,
    strict=True,
)

DELETE = Body(
    change=Change.DELETE,
    ids=("ids[]",),
    filters=("filter",),
    all=("deleteAll", "delete_all"),
    namespace="namespace",
)


def delete_by_query(request: Request, found: Found) -> None:
    """`DELETE /vectors/delete?ids=a&ids=b`, `?deleteAll=true`, `&namespace=`; a body counts as well."""
    if request.body.strip():
        DELETE(request, found)
    namespace = json_namespace(request, None, request.parameter("namespace"))
    ids = [json_id(item) for item in request.parameters().get("ids", [])]
    if ids:
        found.add(None, namespace, Change.DELETE, ids)
    every = [*request.parameters().get("deleteAll", []), *request.parameters().get("delete_all", [])]
    if any(item.lower() != "false" for item in every):
        found.scope(None, namespace, Change.DELETE, Chosen.ALL)
    if "filter" in request.parameters() or not (ids or every or request.body.strip()):
        found.scope(None, namespace, Change.DELETE, Chosen.FILTER)


def records(request: Request, found: Found) -> None:
    """`application/x-ndjson`: a JSON object per line with `_id` or `id`, and text of which the server makes vectors."""
    namespace = json_namespace(request, None, request.parts["namespace"])
    ids: list[str] = []
    for line in request.body.splitlines():
        if not line.strip():
            continue
        value = parsed(line, once=True)
        given = [member(value, name) for name in ("_id", "id")]
        ids += [json_id(item) for item in given if item is not None] or [json_id(None)]
    if not ids:
        raise Unreadable("no records")
    found.add(None, namespace, Change.REPLACE, ids)


OPERATIONS = Operations(
    forms=FORMS,
    facts=lambda schema, config: CollectionFacts(),
    address=lambda config, name: None,
    rows=(
        *COMMON,
        *rest(
            Effect.KEYS,
            "POST /vectors/upsert",
            rule=Body(change=Change.REPLACE, ids=("vectors[].id",), namespace="namespace"),
        ),
        *rest(
            Effect.KEYS,
            "POST /vectors/update",
            rule=Body(change=Change.PART, ids=("id",), filters=("filter",), namespace="namespace"),
        ),
        *rest(Effect.KEYS, "POST /vectors/delete", rule=DELETE),
        *rest(Effect.KEYS, "DELETE /vectors/delete", rule=delete_by_query),
        *rest(Effect.KEYS, "POST /records/namespaces/{namespace+}/upsert", rule=records),
        *rest(
            Effect.KEYS,
            f"POST {AT}/documents/upsert",
            rule=Body(change=Change.REPLACE, ids=("documents[]._id",)),
        ),
        *rest(
            Effect.KEYS,
            f"POST {AT}/documents/update",
            rule=Body(change=Change.PART, ids=("documents[]._id",), filters=("filter",)),
        ),
        *rest(
            Effect.KEYS,
            f"POST {AT}/documents/delete",
            rule=Body(change=Change.DELETE, ids=("ids[]",), filters=("filter",), all=("delete_all", "deleteAll")),
        ),
        *rest(
            Effect.READ,
            "POST /query",
            "POST /vectors/fetch_by_metadata",
            "POST /describe_index_stats",
            "POST /records/namespaces/{namespace+}/search",
            *(f"POST {AT}/documents/{name}" for name in ("search", "fetch", "list")),
        ),
        *rest(Effect.SCHEMA, "POST /namespaces"),
        *rest(Effect.WHOLE, f"DELETE {AT}", rule=whole),
        *rest(Effect.WHOLE, "POST /bulk/imports", "DELETE /bulk/imports/{id}"),
        *grpc(
            Effect.KEYS,
            SERVICE,
            "Upsert",
            rule=Message(change=Change.REPLACE, records=(1, 1), namespace=2),
        ),
        *grpc(
            Effect.KEYS,
            SERVICE,
            "Update",
            rule=Message(change=Change.PART, ids=((1,),), filters=((6,),), namespace=4),
        ),
        *grpc(
            Effect.KEYS,
            SERVICE,
            "Delete",
            rule=Message(change=Change.DELETE, ids=((1,),), filters=((4,),), all=(2,), namespace=3),
        ),
        *grpc(
            Effect.READ,
            SERVICE,
            *("Query", "Fetch", "FetchByMetadata", "List", "DescribeIndexStats", "ListNamespaces"),
            "DescribeNamespace",
        ),
        *grpc(Effect.SCHEMA, SERVICE, "CreateNamespace"),
        *grpc(Effect.WHOLE, SERVICE, "DeleteNamespace", rule=Message(change=Change.DELETE, namespace=1)),
        # The control plane, which has a host of its own.
        *rest(
            Effect.SCHEMA,
            "POST /indexes",
            "POST /indexes/create-for-model",
            "PATCH /indexes/{index}",
            "POST /backups/{id}/create-index",
        ),
        *rest(Effect.WHOLE, "DELETE /indexes/{index}"),
        *rest(
            Effect.NONE,
            "POST /collections",
            "DELETE /collections/{name}",
            "POST /indexes/{index}/backups",
            "DELETE /backups/{id}",
        ),
    ),
)
