"""One collection: its settings as JSON, and an engine shard per shard key (one in all without custom sharding)."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any
from uuid import UUID

import qdrant_edge as edge

from tests.emulators.qdrant import strict
from tests.emulators.qdrant.errors import Refused, bad_input, bad_request, of_engine
from vectormigrate.adapters.qdrant.edge.child_params import edge_config, index_params
from vectormigrate.cli.demo.live.engine import Json, json_id, native_filter, native_id, native_query, native_vectors

ShardKey = int | str | None


def order(native: int | UUID) -> tuple[int, int]:
    return (0, native) if isinstance(native, int) else (1, native.int)


class Collection:
    """Methods take the JSON of the REST interface and raise Refused."""

    def __init__(self, name: str, folder: Path, config: Json, *, version: tuple[int, int]) -> None:
        self.name = name
        self.config = config
        self.version = version
        self.payload_schema: Json = {}
        self.status = "green"
        self.busy = 0
        self.deferred = 0
        self.queue = 0
        self.applied = 0
        self._folder = folder
        self._shards: dict[ShardKey, Any] = {}
        self.before: Json | None = None
        self._newest: list[int | str] = []
        self.stale = False
        """Reads answer as a replica does that has not got the last upsert yet: its points are not there."""
        if not self.custom:
            self._add(None)

    @property
    def custom(self) -> bool:
        return self.config["params"].get("sharding_method") == "custom"

    @property
    def single(self) -> bool:
        return isinstance(self.config["params"]["vectors"].get("size"), int)

    @property
    def strict(self) -> Json:
        found = self.config.get("strict_mode_config") or {}
        return found if found.get("enabled") else {}

    @property
    def keys(self) -> list[ShardKey]:
        return list(self._shards)

    def dense(self) -> Json:
        found = self.config["params"]["vectors"]
        return {"": found} if self.single else found

    def _add(self, key: ShardKey) -> None:
        dense = {
            name: {key: item[key] for key in ("size", "distance", "datatype", "multivector_config") if item.get(key)}
            for name, item in self.dense().items()
        }
        sparse = {
            name: {"modifier": item["modifier"]} if item.get("modifier") else {}
            for name, item in (self.config["params"].get("sparse_vectors") or {}).items()
        }
        if not dense and not sparse:
            # The engine wants at least one vector; a server's collection may have none.
            dense = {"_none": {"size": 1, "distance": "Dot"}}
        folder = self._folder / f"shard{len(self._shards)}"
        folder.mkdir(parents=True)
        self._shards[key] = edge.EdgeShard.create(
            str(folder), edge_config({"vectors": dense, "sparse_vectors": sparse})
        )
        for path, item in self.payload_schema.items():
            self._index_shard(self._shards[key], path, item)

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def make_key(self, key: ShardKey) -> None:
        if not self.custom:
            raise bad_request("Shard Key cannot be created with Auto sharding method")
        if key in self._shards:
            raise bad_request(f"Sharding key {key} already exists for collection {self.name}")
        self._add(key)

    def drop_key(self, key: ShardKey) -> None:
        if key not in self._shards:
            raise bad_request(f"Sharding key {key} does not exist for collection {self.name}")
        self._shards.pop(key).close()

    def _chosen(self, body: Json) -> list[Any]:
        """The shards that a read asks."""
        keys = body.get("shard_key")
        if keys is None:
            return list(self._shards.values())
        return [self._shard(key) for key in (keys if isinstance(keys, list) else [keys])]

    def _shard(self, key: Any) -> Any:
        if key not in self._shards:
            raise bad_input(f'Shard key "{key}" not found')
        return self._shards[key]

    def _target(self, body: Json) -> Any:
        """The shard that a write goes to."""
        key: Any = body.get("shard_key")
        key = key[0] if isinstance(key, list) and len(key) == 1 else key
        if self.custom and key is None:
            raise bad_input("Shard key not specified")
        if not self.custom and key is not None:
            raise bad_input(f'Shard key "{key}" not found')
        return self._shard(key)

    # Indexes

    def index(self, path: str, schema: Any) -> None:
        item = {"data_type": schema} if isinstance(schema, str) else {"data_type": schema["type"], "params": schema}
        most = self.strict.get("max_payload_index_count")
        if most is not None and len(self.payload_schema) >= most and path not in self.payload_schema:
            raise strict.refused(
                f"Collection already has the maximum number of payload indices ({most})", "Delete one."
            )
        for shard in self._shards.values():
            self._index_shard(shard, path, item)
        self.payload_schema[path] = item

    def _index_shard(self, shard: Any, path: str, item: Json) -> None:
        params = {key: value for key, value in (item.get("params") or {}).items() if key != "type"}
        kind = index_params(item["data_type"], params)
        self._apply(shard, edge.UpdateOperation.create_field_index(path, kind))

    def drop_index(self, path: str) -> None:
        self.payload_schema.pop(path, None)
        for shard in self._shards.values():
            self._apply(shard, edge.UpdateOperation.delete_field_index(path))

    # Reads

    def _check_read(self, body: Json) -> None:
        strict.check_filter(self.strict, body.get("filter"), set(self.payload_schema), write=False)
        if self.version < (1, 19) and any("slice" in item for item in strict.conditions(body.get("filter"))):
            raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum Condition")

    def scroll(self, body: Json) -> tuple[list[Any], int | UUID | None]:
        """Records (of the engine) and the next offset."""
        limit = _limit(body)
        strict.limit(self.strict, "max_query_limit", limit, "limit")
        self._check_read(body)
        request = edge.ScrollRequest(
            offset=None if body.get("offset") is None else native_id(body["offset"]),
            limit=limit + 1,
            filter=native_filter(self._seen(body)),
            with_payload=bool(body.get("with_payload", True)),
            with_vector=bool(body.get("with_vector", False)),
        )
        # Of one id under several shard keys only one record is shown.
        found: dict[Any, Any] = {}
        for key, shard in self._pairs(body):
            for record in shard.scroll(request)[0]:
                found.setdefault(record.id, (key, record))
        records = [found[item] for item in sorted(found, key=order)]
        following = records[limit][1].id if len(records) > limit else None
        return records[:limit], following

    def _seen(self, body: Json) -> Json | None:
        """The filter, without the newest points in a stale read."""
        wanted = body.get("filter")
        if not self.stale or not self._newest:
            return wanted
        return {"must": [wanted] if wanted else [], "must_not": [{"has_id": self._newest}]}

    def _pairs(self, body: Json) -> list[tuple[ShardKey, Any]]:
        chosen = self._chosen(body)
        return [(key, shard) for key, shard in self._shards.items() if any(shard is one for one in chosen)]

    def retrieve(self, body: Json) -> list[Any]:
        unseen = {native_id(item) for item in self._newest} if self.stale else set[int | UUID]()
        ids = [item for item in map(native_id, body["ids"]) if item not in unseen]
        found: dict[Any, Any] = {}
        for key, shard in self._pairs(body):
            for record in shard.retrieve(
                ids, bool(body.get("with_payload", False)), bool(body.get("with_vector", False))
            ):
                found.setdefault(record.id, (key, record))
        return [found[item] for item in ids if item in found]

    def count(self, body: Json) -> int:
        self._check_read(body)
        request = edge.CountRequest(exact=True, filter=native_filter(self._seen(body)))
        return sum(shard.count(request) for shard in self._chosen(body))

    def facet(self, body: Json) -> list[tuple[Any, int]]:
        limit = body.get("limit") or 10
        strict.limit(self.strict, "max_query_limit", limit, "limit")
        self._check_read(body)
        if body["key"] not in self.payload_schema:
            raise bad_input(
                f"No appropriate index for faceting: `{body['key']}`. Please create one to facet on this field."
            )
        counts: dict[Any, int] = {}
        for shard in self._chosen(body):
            request = edge.FacetRequest(body["key"], limit=2**31, exact=True, filter=native_filter(body.get("filter")))
            for hit in shard.facet(request).hits:
                counts[hit.value] = counts.get(hit.value, 0) + hit.count
        return sorted(counts.items(), key=lambda item: (-item[1], str(item[0])))[:limit]

    def query(self, body: Json) -> list[Any]:
        """Scored points of the engine."""
        limit = body.get("limit")
        limit = 10 if limit is None else limit
        if limit < 1:
            raise Refused(422, f"Validation error in JSON body: [limit: value {limit} invalid, must be 1 or larger]")
        strict.limit(self.strict, "max_query_limit", limit, "limit")
        self._check_read(body)
        if (body.get("params") or {}).get("exact") and self.strict.get("search_allow_exact") is False:
            raise strict.refused("Exact search disabled!", "Set exact=false.")
        if body.get("query") is None:
            raise Refused(400, "the emulator only knows nearest-neighbour queries")
        using = body.get("using") or ""
        field = self.dense().get(using) or (self.config["params"].get("sparse_vectors") or {}).get(using)
        if field is None:
            raise bad_input(f"Not existing vector name error: {using}")
        request = edge.QueryRequest(
            limit=limit,
            query=native_query(field, using, body["query"]),
            filter=native_filter(body.get("filter")),
            with_payload=bool(body.get("with_payload", False)),
            with_vector=bool(body.get("with_vector", False)),
        )
        hits: list[Any] = []
        for shard in self._chosen(body):
            try:
                hits += shard.query(request)
            except Exception as error:
                raise of_engine(error) from error
        smaller = field.get("distance") in ("Euclid", "Manhattan")
        return sorted(hits, key=lambda hit: hit.score if smaller else -hit.score)[:limit]

    # Writes

    def _apply(self, shard: Any, operation: Any) -> None:
        try:
            shard.update(operation)
        except Exception as error:
            raise of_engine(error) from error
        self.applied += 1

    def upsert(self, body: Json) -> None:
        points = body["points"]
        if not points:
            raise bad_request("Empty update request")
        if any("vector" not in item for item in points):
            raise Refused(400, "Format error in JSON body: missing field `vector`")
        strict.limit(self.strict, "upsert_max_batchsize", len(points), "upsert limit")
        if body.get("update_filter") or body.get("update_mode") not in (None, "upsert"):
            raise Refused(400, "the emulator does not know conditional upserts")
        native = [
            edge.Point(native_id(item["id"]), native_vectors(item["vector"]), item.get("payload")) for item in points
        ]
        self._apply(self._target(body), edge.UpdateOperation.upsert_points(native))
        self._newest = [item["id"] for item in points]

    def delete(self, body: Json) -> None:
        make = edge.UpdateOperation
        self._selected(body, make.delete_points, make.delete_points_by_filter)

    def set_payload(self, body: Json, *, replace: bool) -> None:
        make = edge.UpdateOperation
        by_ids = make.overwrite_payload if replace else make.set_payload
        by_filter = make.overwrite_payload_by_filter if replace else make.set_payload_by_filter
        self._selected(body, by_ids, by_filter, body["payload"], body.get("key"))

    def delete_payload(self, body: Json) -> None:
        make = edge.UpdateOperation
        self._selected(body, make.delete_payload, make.delete_payload_by_filter, body["keys"])

    def clear_payload(self, body: Json) -> None:
        make = edge.UpdateOperation
        self._selected(body, make.clear_payload, make.clear_payload_by_filter)

    def _selected(self, body: Json, by_ids: Any, by_filter: Any, *more: Any) -> None:
        """The change of the points and of those that the filter chooses; one of both must be there."""
        points, wanted = body.get("points"), body.get("filter")
        if points is None and wanted is None:
            raise Refused(422, "Validation error in JSON body: Either list of point ids or filter must be given")
        if wanted is not None:
            strict.check_filter(self.strict, wanted, set(self.payload_schema), write=True)
            self._apply(self._target(body), by_filter(native_filter(wanted), *more))
        if points is not None:
            self._apply(self._target(body), by_ids([native_id(item) for item in points], *more))

    def update_vectors(self, body: Json) -> None:
        changes = [edge.PointVectors(native_id(item["id"]), native_vectors(item["vector"])) for item in body["points"]]
        self._apply(self._target(body), edge.UpdateOperation.update_vectors(changes))

    def delete_vectors(self, body: Json) -> None:
        make = edge.UpdateOperation
        self._selected(body, make.delete_vectors, make.delete_vectors_by_filter, body["vector"])

    def batch(self, operations: list[Json]) -> None:
        """In order; a failure leaves what came before it."""
        for item in operations:
            ((name, body),) = item.items()
            match name:
                case "upsert":
                    self.upsert(body)
                case "delete":
                    self.delete(body)
                case "set_payload":
                    self.set_payload(body, replace=False)
                case "overwrite_payload":
                    self.set_payload(body, replace=True)
                case "delete_payload":
                    self.delete_payload(body)
                case "clear_payload":
                    self.clear_payload(body)
                case "update_vectors":
                    self.update_vectors(body)
                case "delete_vectors":
                    self.delete_vectors(body)
                case _:
                    raise Refused(400, f"Format error in JSON body: unknown operation {name}")

    def points_count(self) -> int:
        return sum(shard.count(edge.CountRequest(exact=True)) for shard in self._shards.values())

    def indexed(self, path: str) -> int:
        """Records with a value in an indexed field."""
        condition = edge.Filter(must_not=[edge.IsEmptyCondition(path)])
        request = edge.CountRequest(exact=True, filter=condition)
        return sum(shard.count(request) for shard in self._shards.values())


def _limit(body: Json) -> int:
    limit = body.get("limit")
    limit = 10 if limit is None else limit
    if limit < 1:
        raise Refused(422, f"Validation error in JSON body: [limit: value {limit} invalid, must be 1.0 or larger]")
    return limit


def shown(record: Any, body: Json) -> tuple[Any, Any, Any]:
    """Id, payload and vectors as the request wants to see them."""
    payload = record.payload
    chosen = body.get("with_payload", True)
    if isinstance(chosen, list):
        payload = {key: value for key, value in (payload or {}).items() if key in chosen}
    vectors = record.vector
    names = body.get("with_vector", False)
    if isinstance(names, list) and isinstance(vectors, dict):
        vectors = {key: value for key, value in vectors.items() if key in names}
    return json_id(record.id), payload, vectors
