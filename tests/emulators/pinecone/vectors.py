"""The vectors API, namespaces, stats, and the records API of integrated indexes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tests.emulators.pinecone import rules, scoring
from tests.emulators.pinecone.errors import Refusal, invalid
from tests.emulators.pinecone.filters import matches
from tests.emulators.pinecone.state import DEFAULT, Index, Record, Space
from tests.emulators.pinecone.view import View

Query = Mapping[str, list[str]]


def vector_json(record_id: str, record: Record, *, values: bool = True, metadata: bool = True) -> dict[str, Any]:
    """A record as the vectors API sends it; what it lacks is left out."""
    found: dict[str, Any] = {"id": record_id}
    if values and record.dense is not None:
        found["values"] = record.dense
    if values and record.sparse is not None:
        found["sparseValues"] = {"indices": record.sparse.indices, "values": record.sparse.values}
    if metadata and record.metadata:
        found["metadata"] = {key: rules.wire(value) for key, value in record.metadata.items()}
    return found


def upsert(view: View, index: Index, body: Any) -> Any:
    """Store whole records, all or none."""
    items = _only(body, "vectors", "namespace").get("vectors")
    if not isinstance(items, list) or not 1 <= len(items) <= rules.MAX_RECORDS:
        raise invalid(f"vectors must hold 1 to {rules.MAX_RECORDS} entries")
    records = [rules.vector_record(index, item) for item in items]
    if len({record_id for record_id, _ in records}) < len(records):
        raise invalid("Duplicate ids in one request")
    view.write(index.make(body.get("namespace")), [*records])
    return {"upsertedCount": len(records)}


def fetch(view: View, index: Index, query: Query) -> Any:
    """Records by id; a missing one is left out."""
    namespace = _one(query, "namespace")
    ids = rules.check_ids(query.get("ids"))
    space = index.space(namespace)
    stored = {} if space is None else view.records(space)
    found = {item: vector_json(item, stored[item]) for item in ids if item in stored}
    return {"vectors": found, "namespace": namespace or "", "usage": {"readUnits": 1}}


def list_ids(view: View, index: Index, query: Query) -> Any:
    """Ids in byte order, at most 100 per page."""
    namespace, prefix = _one(query, "namespace"), _one(query, "prefix") or ""
    limit = int(_one(query, "limit") or 100)
    if not 1 <= limit <= 100:
        raise invalid("limit must be between 1 and 100")
    ids, token = view.page(index.space(namespace), prefix, _one(query, "paginationToken"), limit)
    found: dict[str, Any] = {"vectors": [{"id": item} for item in ids], "namespace": namespace or ""}
    if token is not None:
        found["pagination"] = {"next": token}
    return {**found, "usage": {"readUnits": 1}}


def fetch_by_metadata(view: View, index: Index, body: Any) -> Any:
    """Records that meet a filter, in id order."""
    data = _only(body, "namespace", "filter", "limit", "paginationToken")
    if not data.get("filter"):
        raise invalid("Empty filter provided for fetch by metadata request")
    limit = data.get("limit", 100)
    if not isinstance(limit, int) or not 1 <= limit <= 10_000:
        raise invalid("limit must be between 1 and 10000")
    space = index.space(data.get("namespace"))
    stored = {} if space is None else view.records(space)
    chosen = {item for item in stored if matches(stored[item].metadata, data["filter"])}
    after = view.after(data.get("paginationToken"), "")
    ids = sorted(item for item in chosen if item > after)
    found: dict[str, Any] = {item: vector_json(item, stored[item]) for item in ids[:limit]}
    answer: dict[str, Any] = {"vectors": found, "namespace": data.get("namespace") or "", "usage": {"readUnits": 1}}
    if len(ids) > limit:
        answer["pagination"] = {"next": view.token(ids[limit - 1], "")}
    return answer


def query(view: View, index: Index, body: Any) -> Any:
    """The nearest records of one namespace."""
    allowed = ("namespace", "topK", "filter", "includeValues", "includeMetadata", "vector", "sparseVector", "id")
    data = _only(body, *allowed)
    top_k = data.get("topK")
    if type(top_k) is not int or not 1 <= top_k <= 10_000:
        raise invalid("topK must be between 1 and 10000")
    space = index.space(data.get("namespace"))
    stored = {} if space is None else view.search_records(space)
    dense = sparse = None
    if data.get("id") is not None:
        if data.get("vector") is not None or data.get("sparseVector") is not None:
            raise invalid("id and vector are mutually exclusive")
        origin = stored.get(data["id"])
        dense, sparse = (None, None) if origin is None else (origin.dense, origin.sparse)
        stored = {} if origin is None else stored
    else:
        if index.dense is not None:
            dense = rules.dense(data.get("vector"), index.dimension)
        elif data.get("vector"):
            raise invalid("Sparse indexes are queried with sparseVector")
        if data.get("sparseVector") is not None:
            if index.sparse is None:
                raise invalid("Index configuration does not support sparse values")
            sparse = rules.sparse(data["sparseVector"])
        elif dense is None:
            raise invalid("No query vector")
    wanted = data.get("filter")
    records = [(key, item) for key, item in stored.items() if wanted is None or matches(item.metadata, wanted)]
    hits = scoring.best(records, index.metric, dense, sparse, top_k)
    with_values, with_metadata = bool(data.get("includeValues")), bool(data.get("includeMetadata"))
    found = [
        {**vector_json(key, item, values=with_values, metadata=with_metadata), "score": score}
        for key, item, score in hits
    ]
    return {"matches": found, "namespace": data.get("namespace") or "", "usage": {"readUnits": 1}}


def update(view: View, index: Index, body: Any) -> Any:
    """Patch one record, or the metadata of all that meet a filter. A missing id is ignored."""
    data = _only(body, "id", "values", "sparseValues", "setMetadata", "namespace", "filter", "dryRun")
    patch = rules.metadata(data.get("setMetadata"), documents=False)
    space = index.space(data.get("namespace"))
    stored = {} if space is None else space.head
    if data.get("filter") is not None:
        if not data["filter"]:
            raise invalid("Update with empty metadata filter is not allowed")
        if data.get("id") is not None or data.get("values") or data.get("sparseValues"):
            raise invalid("Update by filter changes metadata only")
        chosen = [key for key, item in stored.items() if matches(item.metadata, data["filter"])]
        if space is not None and not data.get("dryRun"):
            view.write(space, [(key, _patched(stored[key], patch)) for key in chosen])
        return {"matchedRecords": len(chosen)}
    old = stored.get(rules.check_id(data.get("id")))
    dense = rules.dense(data["values"], index.dimension) if data.get("values") else None
    sparse = rules.sparse(data["sparseValues"]) if data.get("sparseValues") else None
    if space is not None and old is not None:
        new = Record(old.dense if dense is None else dense, old.sparse if sparse is None else sparse, old.metadata)
        view.write(space, [(data["id"], _patched(new, patch))])
    return {}


def _patched(record: Record, patch: dict[str, Any]) -> Record:
    merged = {**record.metadata, **patch}
    if len(orjson.dumps(merged)) > rules.MAX_METADATA:
        raise invalid(f"Metadata size exceeds the limit of {rules.MAX_METADATA} bytes per vector")
    return Record(record.dense, record.sparse, merged)


def delete(view: View, index: Index, body: Any) -> Any:
    """Remove by ids, by filter (which wins over ids), or everything of a namespace."""
    data = _only(body, "ids", "deleteAll", "namespace", "filter")
    space = index.space(data.get("namespace"))
    chosen: Sequence[str]
    if data.get("filter") is not None:
        if not data["filter"]:
            raise invalid("Delete with empty metadata filter is not allowed")
        chosen = (
            [] if space is None else [k for k, item in space.head.items() if matches(item.metadata, data["filter"])]
        )
    elif data.get("deleteAll"):
        chosen = [] if space is None else [*space.head]
    else:
        chosen = rules.check_ids(data.get("ids"))
    if space is None:
        raise Refusal(404, "Namespace not found")
    view.write(space, [(item, None) for item in chosen])
    return {}


def stats(view: View, index: Index, body: Any) -> Any:
    """Counts per namespace, as far as they are indexed."""
    if body.get("filter"):
        raise invalid("Serverless and Starter indexes do not support describing index stats with metadata filtering")
    counts = {name: {"vectorCount": len(view.records(space))} for name, space in index.all_spaces()}
    total = sum(item["vectorCount"] for item in counts.values())
    found: dict[str, Any] = {"namespaces": counts, "indexFullness": 0, "totalVectorCount": total}
    if index.dense is not None:
        return {**found, "dimension": index.dimension, "metric": index.metric, "vectorType": "dense"}
    return {**found, "metric": "dotproduct", "vectorType": "sparse"}


def namespaces(view: View, index: Index, query: Query) -> Any:
    """Namespaces in byte order, at most 100 per page."""
    prefix, limit = _one(query, "prefix") or "", int(_one(query, "limit") or 100)
    if not 1 <= limit <= 100:
        raise invalid("limit must be between 1 and 100")
    after = view.after(_one(query, "paginationToken"), prefix)
    every = [(name, space) for name, space in index.all_spaces() if name.startswith(prefix)]
    rest = [(name, space) for name, space in every if name > after]
    answer: dict[str, Any] = {
        "namespaces": [_described(view, name, space) for name, space in rest[:limit]],
        "total_count": len(every),
    }
    if len(rest) > limit:
        answer["pagination"] = {"next": view.token(rest[limit - 1][0], prefix)}
    return answer


def _described(view: View, name: str, space: Space) -> dict[str, Any]:
    return {"name": name, "record_count": len(view.records(space))}


def create_namespace(view: View, index: Index, body: Any) -> Any:
    """An empty namespace; it must not exist."""
    name = _only(body, "name", "schema").get("name")
    if not isinstance(name, str) or name in ("", DEFAULT):
        raise invalid("The namespace needs a name of its own")
    if index.key(name) in index.spaces:
        raise Refusal(409, f"Namespace {name!r} already exists")
    return _described(view, name, index.make(name))


def describe_namespace(view: View, index: Index, name: str) -> Any:
    """Name and count."""
    return _described(view, name, _existing(index, name))


def delete_namespace(view: View, index: Index, name: str) -> Any:
    """Remove the namespace with all its records."""
    del view
    _existing(index, name)
    del index.spaces[index.key(name)]
    return {}


def _existing(index: Index, name: str) -> Space:
    space = index.spaces.get(index.key(name))
    if space is None:
        raise Refusal(404, "Namespace not found")
    return space


def upsert_records(view: View, index: Index, name: str, lines: bytes) -> Any:
    """Texts for an integrated index, as NDJSON; the vectors are made here."""
    if index.kind != "integrated" or index.dense is None:
        raise invalid("Upserting text is supported only for indexes with integrated embedding")
    items = [orjson.loads(line) for line in lines.splitlines() if line.strip()]
    if not 1 <= len(items) <= 96:
        raise invalid("1 to 96 records per request")
    changes: list[tuple[str, Record | None]] = []
    for item in items:
        record_id, text = rules.check_id(item.pop("_id", None)), item.get(index.dense)
        if not isinstance(text, str) or not text:
            raise invalid(f"Record {record_id!r} lacks the field {index.dense!r}")
        vector = scoring.embed(text, index.dimension)
        changes.append((record_id, Record(vector, None, rules.metadata(item, documents=False))))
    view.write(index.make(name), changes)
    return {}


def _only(body: Any, *allowed: str) -> dict[str, Any]:
    """The body, which may hold these keys only: the service ignores others, which would hide mistakes."""
    if not isinstance(body, dict):
        raise invalid("the body must be a JSON object")
    unknown = set(body) - set(allowed)
    if unknown:
        raise invalid(f"unknown field {min(unknown)!r}")
    return body


def _one(query: Query, name: str) -> str | None:
    values = query.get(name, [])
    return values[0] if values else None
