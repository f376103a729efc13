"""The documents API."""

from __future__ import annotations

from typing import Any

from tests.emulators.pinecone import rules, scoring
from tests.emulators.pinecone.errors import Refusal, invalid
from tests.emulators.pinecone.filters import matches
from tests.emulators.pinecone.state import Index, Record
from tests.emulators.pinecone.view import View

USAGE = {"read_units": 1}


def document_json(index: Index, record_id: str, record: Record, fields: list[str] | None) -> dict[str, Any]:
    """A document; `fields` None is all that is stored."""
    found: dict[str, Any] = {}
    if record.dense is not None and index.dense is not None:
        found[index.dense] = record.dense
    if record.sparse is not None and index.sparse is not None:
        found[index.sparse] = {"indices": record.sparse.indices, "values": record.sparse.values}
    hidden = {name for name, config in index.fields.items() if config.get("store_text") is False}
    found |= {key: rules.wire(value) for key, value in record.metadata.items() if key not in hidden}
    if fields is not None and fields != ["*"]:
        named = hidden & set(fields)
        if named:
            raise invalid(f"Field {min(named)!r} is not stored")
        found = {key: value for key, value in found.items() if key in fields}
    return {"_id": record_id, **found}


def upsert(view: View, index: Index, name: str, body: Any) -> Any:
    """Store whole documents, all or none."""
    items = body.get("documents")
    if not isinstance(items, list) or not 1 <= len(items) <= rules.MAX_RECORDS:
        raise invalid(f"documents must hold 1 to {rules.MAX_RECORDS} entries")
    records = [rules.document(index, item) for item in items]
    if len({record_id for record_id, _ in records}) < len(records):
        raise invalid("Duplicate _id in one request")
    view.write(index.make(name), [*records])
    return {"upserted_count": len(records)}


def update(view: View, index: Index, name: str, body: Any) -> Any:
    """Patch documents by id, or the metadata of all that meet a filter."""
    space = index.space(name)
    assert space is not None
    if body.get("filter") is not None:
        if not body["filter"]:
            raise invalid("Update with empty metadata filter is not allowed")
        patch = rules.metadata(body.get("set_fields"), documents=True)
        gone = set(body.get("remove_fields") or [])
        chosen = [key for key, item in space.head.items() if matches(item.metadata, body["filter"])]
        changes = [(key, _patched(space.head[key], patch, gone)) for key in chosen]
        view.write(space, [*changes])
        return {"matched_records": len(chosen)}
    changes = []
    for item in body.get("documents") or []:
        data = dict(item)
        record_id = rules.check_id(data.pop("_id", None))
        gone = set(data.pop("_remove_fields", None) or [])
        if any(value is None for value in data.values()):
            raise invalid("null is no value; use _remove_fields")
        old = space.head.get(record_id)
        if old is None:
            continue
        dense = rules.dense(data.pop(index.dense), index.dimension) if index.dense in data else old.dense
        sparse = rules.sparse(data.pop(index.sparse)) if index.sparse in data else old.sparse
        changes.append(
            (record_id, _patched(Record(dense, sparse, old.metadata), rules.metadata(data, documents=True), gone))
        )
    view.write(space, [*changes])
    return {}


def _patched(record: Record, patch: dict[str, Any], gone: set[str]) -> Record:
    kept = {key: value for key, value in record.metadata.items() if key not in gone}
    return Record(record.dense, record.sparse, {**kept, **patch})


def delete(view: View, index: Index, name: str, body: Any) -> Any:
    """Remove by ids, by filter, or everything."""
    space = index.space(name)
    assert space is not None
    if body.get("filter") is not None:
        if not body["filter"]:
            raise invalid("Delete with empty metadata filter is not allowed")
        chosen = [key for key, item in space.head.items() if matches(item.metadata, body["filter"])]
    elif body.get("delete_all"):
        chosen = [*space.head]
    else:
        chosen = rules.check_ids(body.get("ids"))
    view.write(space, [(item, None) for item in chosen])
    return {}


def fetch(view: View, index: Index, name: str, body: Any) -> Any:
    """Documents by id, or pages of those that meet a filter."""
    fields = body.get("include_fields")
    space = index.space(name)
    assert space is not None
    stored = view.records(space)
    answer: dict[str, Any] = {"namespace": name, "usage": USAGE}
    if body.get("ids") is not None:
        ids = [item for item in rules.check_ids(body["ids"]) if item in stored]
    else:
        if not body.get("filter"):
            raise invalid("Empty filter provided for fetch by metadata request")
        limit = body.get("limit", 100)
        after = view.after(body.get("pagination_token"), "")
        rest = sorted(key for key, item in stored.items() if key > after and matches(item.metadata, body["filter"]))
        ids = rest[:limit]
        if len(rest) > limit:
            answer["pagination"] = {"next": view.token(ids[-1], "")}
    return {**answer, "documents": {item: document_json(index, item, stored[item], fields) for item in ids}}


def list_ids(view: View, index: Index, name: str, body: Any) -> Any:
    """Ids in byte order, at most 100 per page."""
    limit = body.get("limit", 100)
    if type(limit) is not int or not 1 <= limit <= 100:
        raise invalid("limit must be between 1 and 100")
    ids, token = view.page(index.space(name), body.get("prefix") or "", body.get("pagination_token"), limit)
    found: dict[str, Any] = {"documents": [{"_id": item} for item in ids], "namespace": name, "usage": USAGE}
    return found if token is None else {**found, "pagination": {"next": token}}


def search(view: View, index: Index, name: str, body: Any) -> Any:
    """Score by one dense, one sparse, or one embedded-text clause; or by words of a full-text field."""
    clauses, top_k = body.get("score_by"), body.get("top_k")
    if type(top_k) is not int or not 1 <= top_k <= 10_000:
        raise invalid("top_k must be between 1 and 10000")
    if not isinstance(clauses, list) or not clauses:
        raise invalid("score_by needs a clause")
    if len(clauses) > 1 and any(item.get("type") not in ("text", "query_string") for item in clauses):
        raise invalid("A vector clause must be the only clause")
    space = index.space(name)
    assert space is not None
    wanted = body.get("filter")
    records = [
        (key, item)
        for key, item in view.search_records(space).items()
        if wanted is None or matches(item.metadata, wanted)
    ]
    fields = body.get("include_fields") or []
    hits = _scored(index, records, clauses, top_k)
    found = [{**document_json(index, key, item, fields), "_score": score} for key, item, score in hits]
    return {"matches": found, "namespace": name, "usage": USAGE}


def _scored(
    index: Index, records: list[tuple[str, Record]], clauses: list[dict[str, Any]], top_k: int
) -> list[tuple[str, Record, float]]:
    clause = clauses[0]
    field = clause.get("field") or (clause.get("fields") or [None])[0]
    match clause.get("type"):
        case "dense_vector" if field == index.dense and not index.embeds:
            query = rules.dense(clause.get("values"), index.dimension)
            return scoring.best(records, index.metric, query, None, top_k)
        case "sparse_vector" if field == index.sparse:
            return scoring.best(records, "dotproduct", None, rules.sparse(clause.get("sparse_values")), top_k)
        case "text":
            words = set(str(clause.get("query")).lower().split())
            counted = [
                (key, item, float(len(words & set(str(item.metadata.get(field or "", "")).lower().split()))))
                for key, item in records
            ]
            return sorted((hit for hit in counted if hit[2]), key=lambda hit: -hit[2])[:top_k]
        case kind:
            raise Refusal(400, f"cannot score the field {field!r} by {kind!r}")
