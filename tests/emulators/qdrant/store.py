"""All collections of one server: creating, describing, changing, aliases."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.emulators.qdrant.collection import Collection
from tests.emulators.qdrant.errors import Refused, bad_input, missing
from tests.emulators.qdrant.faults import Faults

Json = dict[str, Any]

HNSW = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10000, "max_indexing_threads": 0, "on_disk": False}
OPTIMIZERS = {
    "deleted_threshold": 0.2,
    "vacuum_min_vector_number": 1000,
    "default_segment_number": 0,
    "max_segment_size": None,
    "memmap_threshold": None,
    "indexing_threshold": 10000,
    "flush_interval_sec": 5,
    "max_optimization_threads": None,
    "prevent_unoptimized": None,
}
WAL = {"wal_capacity_mb": 32, "wal_segments_ahead": 0, "wal_retain_closed": 1}

NAME = re.compile(r'[^<>:"/\\|?*\0\x1f]{1,255}')


class Store:
    """`version` such as "1.19.0"; `api_key` None lets everybody in; `clustered`: custom sharding is possible; `peer`:
    the random number by which a server knows itself."""

    def __init__(
        self, *, version: str = "1.19.0", api_key: str | None = None, clustered: bool = True, peer: int | None = None
    ) -> None:
        self.text = version
        major, minor = version.split(".")[:2]
        self.version = (int(major), int(minor))
        self.api_key = api_key
        self.clustered = clustered
        self.peer = secrets.randbelow(2**53) + 1 if peer is None else peer
        self.faults = Faults()
        self.aliases: dict[str, str] = {}
        self.max_body = 32 * 2**20
        self._collections: dict[str, Collection] = {}
        self._root = Path(tempfile.mkdtemp(prefix="vectormigrate-qdrant-"))
        self._made = 0

    @contextmanager
    def lagging(self) -> Generator[None]:
        """Reads in the block are stale."""
        held = list(self._collections.values())
        for collection in held:
            collection.stale = True
        try:
            yield
        finally:
            for collection in held:
                collection.stale = False

    def since(self, minor: int) -> bool:
        return self.version >= (1, minor)

    def close(self) -> None:
        for collection in self._collections.values():
            collection.close()
        shutil.rmtree(self._root, ignore_errors=True)

    def names(self) -> list[str]:
        return sorted(self._collections)

    def get(self, name: str) -> Collection:
        """By its name or an alias of it."""
        found = self._collections.get(self.aliases.get(name, name))
        if found is None:
            raise missing(name)
        return found

    def create(self, name: str, body: Json) -> None:
        if not NAME.fullmatch(name):
            raise Refused(422, f"Validation error in path: collection name cannot contain such characters: {name!r}")
        if name in self._collections:
            raise Refused(409, f"Wrong input: Collection `{name}` already exists!")
        if name in self.aliases:
            raise bad_input(f"Can't create collection with name {name}. Alias with the same name already exists")
        config = self._config(body)
        self._made += 1
        folder = self._root / f"collection{self._made}"
        self._collections[name] = Collection(name, folder, config, version=self.version)

    def _config(self, body: Json) -> Json:
        vectors = deepcopy(body.get("vectors") or {})
        for item in [vectors] if "size" in vectors else vectors.values():
            if item["size"] < 1 or item["distance"] not in ("Cosine", "Dot", "Euclid", "Manhattan"):
                message = "data did not match any variant of untagged enum VectorsConfig"
                raise Refused(400, f"Format error in JSON body: {message}")
            if item["size"] > 65536:
                raise Refused(422, f"Validation error in JSON body: [size: value {item['size']} invalid]")
            _datatype(item.get("datatype"), self.version)
        params: Json = {
            "vectors": vectors,
            "shard_number": body.get("shard_number") or 1,
            "replication_factor": body.get("replication_factor") or 1,
            "write_consistency_factor": body.get("write_consistency_factor") or 1,
            "on_disk_payload": body["on_disk_payload"] if body.get("on_disk_payload") is not None else True,
        }
        if body.get("sharding_method"):
            params["sharding_method"] = body["sharding_method"]
        if body.get("sparse_vectors"):
            params["sparse_vectors"] = deepcopy(body["sparse_vectors"])
        if body.get("payload") and self.since(19):
            params["payload"] = body["payload"]
        config: Json = {
            "params": params,
            "hnsw_config": {**HNSW, **_set(body.get("hnsw_config"))},
            "optimizer_config": {**OPTIMIZERS, **_set(body.get("optimizers_config"))},
            "wal_config": {**WAL, **_set(body.get("wal_config"))},
            "quantization_config": body.get("quantization_config"),
        }
        if not self.since(17):
            config["optimizer_config"].pop("prevent_unoptimized")
        if not self.since(16):
            config["wal_config"].pop("wal_retain_closed")
        if body.get("strict_mode_config"):
            config["strict_mode_config"] = _set(body["strict_mode_config"])
        if body.get("metadata") is not None and self.since(16):
            config["metadata"] = dict(body["metadata"])
        return config

    def update(self, name: str, body: Json) -> None:
        """PATCH: only settings that are given change; metadata is merged by key, null removes one."""
        collection = self.get(name)
        config = collection.config
        for theirs, ours in (("optimizers_config", "optimizer_config"), ("hnsw_config", "hnsw_config")):
            config[ours] = {**config[ours], **_set(body.get(theirs))}
        if body.get("quantization_config"):
            config["quantization_config"] = body["quantization_config"]
        if body.get("strict_mode_config"):
            config["strict_mode_config"] = {
                **(config.get("strict_mode_config") or {}),
                **_set(body["strict_mode_config"]),
            }
        config["params"] = {**config["params"], **_set(body.get("params"))}
        for key, change in (body.get("vectors") or {}).items():
            found = config["params"]["vectors"]
            item = found if key == "" and collection.single else found.get(key)
            if item is None:
                raise bad_input(f"Not existing vector name error: {key}")
            for setting, value in change.items():
                both = isinstance(value, dict) and isinstance(item.get(setting), dict)
                item[setting] = {**item[setting], **value} if both else value
        if body.get("metadata") is not None and self.since(16):
            old = config.get("metadata")
            config["metadata"] = dict(body["metadata"]) if old is None else _merged(old, body["metadata"])
        if "optimizers_config" in body or "hnsw_config" in body:
            collection.busy = max(collection.busy, 1)
            if collection.status == "grey":
                collection.status = "green"

    def delete(self, name: str) -> bool:
        """Whether there was such a collection; aliases of it go with it."""
        found = self._collections.pop(name, None)
        if found is None:
            return False
        found.close()
        self.aliases = {alias: target for alias, target in self.aliases.items() if target != name}
        return True

    def info(self, name: str) -> Json:
        collection = self.get(name)
        status = collection.status
        if collection.busy:
            collection.busy -= 1
            status = "yellow"
        schema = {
            path: {**item, "points": collection.indexed(path)}
            for path, item in sorted(collection.payload_schema.items())
        }
        found: Json = {
            "status": status,
            "optimizer_status": "ok" if status != "red" else {"error": "the optimiser failed"},
            "indexed_vectors_count": 0,
            "points_count": collection.points_count(),
            "segments_count": 1,
            "config": deepcopy(collection.config),
            "payload_schema": schema,
        }
        if self.since(17):
            queue: Json = {"length": collection.queue}
            if self.since(18) and collection.deferred:
                queue["deferred_points"] = collection.deferred
            found["update_queue"] = queue
        return found

    def change_aliases(self, actions: list[Json]) -> None:
        aliases = dict(self.aliases)
        for action in actions:
            ((kind, body),) = action.items()
            if kind == "create_alias":
                if body["collection_name"] not in self._collections:
                    raise missing(body["collection_name"])
                if body["alias_name"] in self._collections:
                    raise Refused(409, f"Wrong input: Collection `{body['alias_name']}` already exists!")
                aliases[body["alias_name"]] = body["collection_name"]
            elif kind == "delete_alias":
                aliases.pop(body["alias_name"], None)
            else:
                aliases[body["new_alias_name"]] = aliases.pop(body["old_alias_name"])
        self.aliases = aliases


def _set(settings: Json | None) -> Json:
    return {key: value for key, value in (settings or {}).items() if value is not None}


def _merged(old: Json, new: Json) -> Json:
    merged = {**old, **new}
    return {key: value for key, value in merged.items() if not (key in new and value is None)}


def _datatype(name: str | None, version: tuple[int, int]) -> None:
    known = {"float32": 0, "float16": 0, "uint8": 0, "turbo4": 19, "turbo8": 20, "turbo16": 20}
    if name is not None and version < (1, known.get(name, 99)):
        raise Refused(400, "Format error in JSON body: data did not match any variant of untagged enum VectorsConfig")
