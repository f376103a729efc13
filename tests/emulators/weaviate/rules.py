"""The rules for classes: names, types, defaults, what may change (`usecases/schema`, `entities/schema/validation.go`).

Not imitated: modules (only `none` is a vectorizer), replicas, runtime changes of index settings.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from typing import Any

from tests.emulators.weaviate.faults import Refusal
from tests.emulators.weaviate.values import KINDS

CLASS = re.compile(r"[A-Z][_0-9A-Za-z]{0,254}")
PROPERTY = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,230}")
NESTED = re.compile(r"[_A-Za-z][_0-9A-Za-z]*")
VECTOR = re.compile(r"[_A-Za-z][_0-9A-Za-z]{0,229}")
TENANT = re.compile(r"[A-Za-z0-9_-]{1,64}")
RESERVED = ("_additional", "_id", "id")
SUFFIXES = ("_searchable", "_rangeable", "_temp", "__meta_count", "_propertyLength", "_nullState")
DISTANCES = ("cosine", "dot", "l2-squared", "manhattan", "hamming")

_PQ = {"enabled": False, "bitCompression": False, "segments": 0, "centroids": 256, "trainingLimit": 100000}
_FLAT_QUANTIZER = {"enabled": False, "rescoreLimit": -1, "cache": False}
INDEXES: dict[str, dict[str, Any]] = {
    "hnsw": {
        "skip": False,
        "cleanupIntervalSeconds": 300,
        "maxConnections": 32,
        "efConstruction": 128,
        "ef": -1,
        "dynamicEfMin": 100,
        "dynamicEfMax": 500,
        "dynamicEfFactor": 8,
        "vectorCacheMaxObjects": 1_000_000_000_000,
        "flatSearchCutoff": 40000,
        "distance": "cosine",
        "pq": {**_PQ, "encoder": {"type": "kmeans", "distribution": "log-normal"}},
        "bq": {"enabled": False},
        "sq": {"enabled": False, "trainingLimit": 100000, "rescoreLimit": 20},
        "rq": {"enabled": False, "bits": 8, "rescoreLimit": 20},
        "filterStrategy": "acorn",
        "multivector": {
            "enabled": False,
            "muvera": {"enabled": False, "ksim": 4, "dprojections": 16, "repetitions": 10},
            "aggregation": "maxSim",
        },
        "skipDefaultQuantization": False,
        "trackDefaultQuantization": False,
    },
    "flat": {
        "distance": "cosine",
        "vectorCacheMaxObjects": 1_000_000_000_000,
        "pq": _FLAT_QUANTIZER,
        "bq": _FLAT_QUANTIZER,
        "sq": _FLAT_QUANTIZER,
        "rq": {**_FLAT_QUANTIZER, "bits": 8},
        "skipDefaultQuantization": False,
        "trackDefaultQuantization": False,
    },
    "hfresh": {
        "maxPostingSizeKB": 48,
        "replicas": 4,
        "searchProbe": 256,
        "distance": "cosine",
        "rq": {"enabled": True, "bits": 1, "rescoreLimit": 350},
    },
}
SHARDING: dict[str, Any] = {
    **{"virtualPerPhysical": 128, "desiredCount": 1, "actualCount": 1, "desiredVirtualCount": 128},
    **{"actualVirtualCount": 128, "key": "_id", "strategy": "hash", "function": "murmur3"},
}
NO_SHARDING = {key: 0 if isinstance(value, int) else "" for key, value in SHARDING.items()}


def upper(name: str) -> str:
    return name[:1].upper() + name[1:]


def lower(name: str) -> str:
    return name[:1].lower() + name[1:]


def new_class(raw: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """The class as it is kept, with the server's defaults. `known`: the classes that references may lead to."""
    body: dict[str, Any] = copy.deepcopy(dict(raw))
    name = body["class"] = upper(str(body.get("class", "")))
    if CLASS.fullmatch(name) is None:
        raise Refusal(f"'{name}' is not a valid class name")
    properties = [
        _property({**item, "name": lower(item["name"])}, {*known, name}) for item in body.get("properties") or []
    ]
    check_names(name, [item["name"] for item in properties])
    body["properties"] = properties or None
    body["invertedIndexConfig"] = {
        "bm25": {"b": 0.75, "k1": 1.2},
        "cleanupIntervalSeconds": 60,
        "stopwords": {"additions": None, "preset": "en", "removals": None},
        "usingBlockMaxWAND": True,
        **(body.get("invertedIndexConfig") or {}),
    }
    tenancy = {"autoTenantActivation": False, "autoTenantCreation": False, "enabled": False}
    body["multiTenancyConfig"] = {**tenancy, **(body.get("multiTenancyConfig") or {})}
    divided = body["multiTenancyConfig"]["enabled"]
    if divided and (body.get("shardingConfig") or {}).get("desiredCount"):
        raise Refusal("cannot have both shardingConfig and multiTenancyConfig")
    body["shardingConfig"] = dict(NO_SHARDING) if divided else {**SHARDING, **(body.get("shardingConfig") or {})}
    factor = (body.get("replicationConfig") or {}).get("factor", 1)
    if factor > 1:
        raise Refusal(
            f"init sharding state: could not find enough weaviate nodes for replication: 1 available, "
            f"{factor} requested"
        )
    body["replicationConfig"] = {
        "deletionStrategy": "TimeBasedResolution",
        **(body.get("replicationConfig") or {}),
        "factor": 1,
        "asyncEnabled": False,
    }
    _vectors(body)
    return body


def _vectors(body: dict[str, Any]) -> None:
    named = body.get("vectorConfig")
    legacy = [key for key in ("vectorizer", "vectorIndexType", "vectorIndexConfig") if body.get(key)]
    if named:
        if legacy:
            raise Refusal("creating a class with both a class level vector index and named vectors is forbidden")
        body["vectorConfig"] = {name: named_vector(name, config) for name, config in named.items()}
        return
    body.pop("vectorConfig", None)
    vectorizer = body.setdefault("vectorizer", "none")
    if vectorizer != "none":
        raise Refusal(f'vectorizer: no module with name "{vectorizer}" present')
    kind, config = _index(body.get("vectorIndexType") or "hnsw", body.get("vectorIndexConfig") or {}, "")
    if config.get("multivector", {}).get("enabled"):
        raise Refusal("class level vector index does not support multi vectors")
    body["vectorIndexType"], body["vectorIndexConfig"] = kind, config


def named_vector(name: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of `vectorConfig`."""
    if VECTOR.fullmatch(name) is None:
        raise Refusal(
            f'class.VectorConfig target vector name "{name}" is not valid, in Weaviate target vector names are '
            "restricted to valid GraphQL names, which must be “/[_A-Za-z][_0-9A-Za-z]{0,229}/”."
        )
    if set(config.get("vectorizer") or {}) != {"none"}:
        raise Refusal(f'target vector "{name}": vectorizer must be an object with one known module')
    kind, settings = _index(
        config.get("vectorIndexType") or "hnsw", config.get("vectorIndexConfig") or {}, f'target vector "{name}": '
    )
    return {"vectorizer": {"none": {}}, "vectorIndexType": kind, "vectorIndexConfig": settings}


def _index(kind: str, settings: Mapping[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    if kind == "dynamic":
        raise Refusal(f"{where}the dynamic index can only be created when async indexing is enabled")
    if kind not in INDEXES:
        raise Refusal(f'{where}unrecognized or unsupported vectorIndexType "{kind}"')
    found = copy.deepcopy(INDEXES[kind])
    for key, value in settings.items():
        if key not in found:
            continue
        found[key] = {**found[key], **value} if isinstance(value, dict) else value
    distance = found["distance"] = found["distance"] or "cosine"
    if distance not in DISTANCES or (kind == "hfresh" and distance not in ("cosine", "l2-squared")):
        raise Refusal(f'{where}unrecognized distance metric "{distance}"')
    if kind == "hnsw" and (found["maxConnections"] < 4 or found["efConstruction"] < 4):
        raise Refusal(f"{where}invalid hnsw config: maxConnections and efConstruction must be at least 4")
    return kind, found


def check_names(class_name: str, names: list[str]) -> None:
    """Names of properties are unique whatever their case."""
    seen: set[str] = set()
    for name in names:
        if name.lower() in seen:
            raise Refusal(
                f'class "{class_name}": conflict for property "{name}": already in use or provided multiple times'
            )
        seen.add(name.lower())


def new_property(item: Mapping[str, Any], classes: set[str]) -> dict[str, Any]:
    """A property that is added to a class."""
    return _property({**item, "name": lower(str(item.get("name", "")))}, classes)


def _property(item: dict[str, Any], classes: set[str]) -> dict[str, Any]:
    name = item["name"]
    if PROPERTY.fullmatch(name) is None:
        raise Refusal(
            f"'{name}' is not a valid property name. Property names in Weaviate are restricted to valid GraphQL names, "
            "which must be “/[_A-Za-z][_0-9A-Za-z]{0,230}/”"
        )
    if name in RESERVED:
        raise Refusal(f"'{name}' is a reserved property name")
    for suffix in SUFFIXES:
        if name.endswith(suffix):
            raise Refusal(f"'{name}' is not a valid property name: suffix '{suffix}' is reserved for internal indices")
    types: list[str] = item.get("dataType") or []
    if types and all(kind[:1].isupper() for kind in types):
        if not set(types) <= classes:
            raise Refusal("bad request: reference property to nonexistent class")
        return _indexing(item, text=False)
    return _typed(item, name)


def _typed(item: dict[str, Any], where: str) -> dict[str, Any]:
    types: list[str] = item.get("dataType") or []
    kind = types[0] if len(types) == 1 else ""
    if kind not in KINDS:
        raise Refusal(f"property '{where}': invalid dataType: {types}: unknown primitive data type '{kind}'")
    nested = item.get("nestedProperties")
    if kind in ("object", "object[]"):
        if not nested:
            raise Refusal(f"property '{where}': At least one nested property is required for data type object/object[]")
        for inner in nested:
            if NESTED.fullmatch(inner["name"]) is None:
                raise Refusal(f"'{inner['name']}' is not a valid nested property name of '{where}'.")
            if inner["dataType"][0] in ("geoCoordinates", "phoneNumber"):
                raise Refusal(f"property '{where}.{inner['name']}': data type '{inner['dataType'][0]}' not allowed")
        item["nestedProperties"] = [_typed(dict(inner), f"{where}.{inner['name']}") for inner in nested]
    elif nested:
        raise Refusal(f"property '{where}': nestedProperties is not allowed for data type '{kind}'")
    text = kind in ("text", "text[]", "string", "string[]")
    if item.get("tokenization") and not text:
        raise Refusal(f"tokenization is not allowed for data type '{kind}'")
    if item.get("indexSearchable") and not text:
        raise Refusal(
            "`indexSearchable` is allowed only for text/text[] data types. For other data types set false or leave "
            "empty"
        )
    if text:
        item["tokenization"] = item.get("tokenization") or "word"
    return _indexing(item, text=text)


def _indexing(item: dict[str, Any], *, text: bool) -> dict[str, Any]:
    defaults = {"indexFilterable": True, "indexRangeFilters": False, "indexSearchable": text}
    return {**item, **{key: value if item.get(key) is None else item[key] for key, value in defaults.items()}}


PREFIX = "updating schema: TYPE_UPDATE_CLASS: bad request :parse class update: "


def changed_class(old: Mapping[str, Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """The class after `PUT`. Raises Refusal for what is immutable."""
    body: dict[str, Any] = copy.deepcopy(dict(raw))
    if upper(str(body.get("class", ""))) != old["class"]:
        raise Refusal(f'class name is immutable: attempted change from "{old["class"]}" to "{body.get("class")}"')
    body["class"] = old["class"]
    if (body.get("multiTenancyConfig") or {}).get("enabled") != old["multiTenancyConfig"]["enabled"]:
        raise Refusal("enabling multi-tenancy for an existing class is not supported")
    if (body.get("replicationConfig") or {}).get("factor", 1) != 1:
        raise Refusal("not enough replicas in shard to increase replication factor")
    inverted = body.get("invertedIndexConfig") or {}
    for key in ("indexTimestamps", "indexNullState", "indexPropertyLength"):
        if bool(inverted.get(key)) != bool(old["invertedIndexConfig"].get(key)):
            raise Refusal(f'"{key}" setting is immutable.')
    _same_properties(old.get("properties") or [], body.get("properties") or [])
    for key, label in (("vectorizer", "vectorizer"), ("vectorIndexType", "vector index type")):
        if body.get(key) != old.get(key):
            raise Refusal(f'{PREFIX}{label} is immutable: attempted change from "{old.get(key)}" to "{body.get(key)}"')
    if (body.get("shardingConfig") or {}).get("desiredCount", 1) != old["shardingConfig"]["desiredCount"]:
        raise Refusal(f"{PREFIX}validate sharding config: re-sharding not supported yet: shard count is immutable")
    _same_vectors(old, body)
    return {**old, **body, "shardingConfig": old["shardingConfig"], "properties": body.get("properties")}


def _same_properties(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> None:
    bare = [[{k: v for k, v in item.items() if k != "description"} for item in items] for items in (old, new)]
    if bare[0] != bare[1]:
        raise Refusal(
            f"{PREFIX}property fields other than description cannot be updated through updating the class. Use the add "
            "property feature (e.g. POST /v1/schema/{className}/properties) to add additional properties"
        )


def _same_vectors(old: Mapping[str, Any], body: dict[str, Any]) -> None:
    before: Mapping[str, Any] = old.get("vectorConfig") or {}
    after: dict[str, Any] = body.get("vectorConfig") or {}
    if set(before) - set(after):
        raise Refusal(f"{PREFIX}missing config for vectors: {sorted(set(before) - set(after))}")
    pairs = [(old.get("vectorIndexConfig"), body.get("vectorIndexConfig"))]
    pairs += [(before[name]["vectorIndexConfig"], after[name].get("vectorIndexConfig")) for name in before]
    for mine, theirs in pairs:
        if mine and (theirs or {}).get("distance") != mine["distance"]:
            raise Refusal(f"{PREFIX}validate vector index config: distance is immutable")
    if after:
        body["vectorConfig"] = {
            name: before[name] if name in before else named_vector(name, config) for name, config in after.items()
        }
