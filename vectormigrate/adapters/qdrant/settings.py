"""What a collection, on a server or in Edge, has beyond vectors and payload, by name, for plans. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from vectormigrate.adapters.qdrant.config import NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.layout import Layout
from vectormigrate.model.schema import Setting, Weight

SINCE: Mapping[str, int] = {
    "ascii_folding": 16,
    "enable_hnsw": 17,
    "inline_storage": 16,
    "memory": 19,
    "nested": 20,
    "prefix": 19,
    "prevent_unoptimized": 17,
    "scoring": 20,
    "wal_retain_closed": 16,
}
"""Settings and the minor version that brought them; an older server is not asked for them."""

TURBO = {"turbo4": 19, "turbo8": 20, "turbo16": 20}
"""Storage types of vectors and the minor version that brought them. Where one is missing, vectors are kept whole."""


GROUPS: Mapping[str, str] = {
    "optimizers": "optimizers",
    "wal_config": "write-ahead log",
    "strict_mode_config": "strict mode",
    "metadata": "metadata of the collection",
    "on_disk_payload": "where the payload is kept",
    "payload_memory": "where the payload is kept",
    "id_tracker_memory": "where the ids are kept",
    "read_fan_out_factor": "reads of several replicas",
    "read_fan_out_delay_ms": "reads of several replicas",
    "shard_number": "number of shards",
    "replication_factor": "replicas",
    "write_consistency_factor": "replicas that acknowledge",
    "params": "settings of a newer server",
    "config": "settings of a newer server",
}
"""Keys of the extras that plans name, in words."""

SERVER_ONLY = frozenset(
    {
        *("wal_config", "wal_retain_closed", "strict_mode_config", "metadata", "params", "config"),
        *("read_fan_out_factor", "read_fan_out_delay_ms"),
        *("shard_number", "replication_factor", "write_consistency_factor"),
    }
)
"""Settings that a shard of Edge does not have."""

SHARD_KEYS = "shard-keys"
TENANT_FIELD = "namespace-field"
GRAPH = frozenset({"m", "ef_construct"})


def settings_in(extras: Mapping[str, Any]) -> Iterator[Setting]:
    """The settings in `extras["qdrant"]`."""
    for name, item in extras.get("sparse_vectors", {}).items():
        if item.get("modifier") not in (None, "none"):
            detail = f"the scores of {name!r} are weighed by how rare a component is (modifier {item['modifier']})"
            yield Setting(name=f"idf:{name}", weight=Weight.BEHAVIOUR, detail=detail)
    for key, words in GROUPS.items():
        if key in extras:
            yield Setting(name=key, weight=Weight.SETTING, detail=f"{words}: {_told(extras[key])}")
    graph = {key: value for key, value in extras.get("hnsw_config", {}).items() if key not in GRAPH}
    if graph:
        yield Setting(name="hnsw_config", weight=Weight.SETTING, detail=f"graph: {_told(graph)}")
    for name, item in extras.get("vectors", {}).items():
        rest = {key: value for key, value in item.items() if key not in ("quantization_config", "hnsw_config")}
        if rest:
            yield Setting(name=f"vector:{name}", weight=Weight.SETTING, detail=f"vector {name!r}: {_told(rest)}")
        if rest.get("datatype") in TURBO:
            detail = f"vector {name!r} is stored as {rest['datatype']}"
            yield Setting(name=f"{rest['datatype']}:{name}", weight=Weight.SETTING, detail=detail)
    for key in sorted(_keys(extras) & SINCE.keys()):
        yield Setting(name=key, weight=Weight.SETTING, detail=f"the setting {key} (of Qdrant 1.{SINCE[key]} and later)")


def _told(value: Any) -> str:
    return ", ".join(f"{key} {item}" for key, item in value.items()) if isinstance(value, Mapping) else str(value)


def _keys(value: Any) -> set[str]:
    """Every key, however deep, but those that people chose themselves."""
    if not isinstance(value, Mapping):
        return set()
    inner = [_keys(item) for key, item in value.items() if key != "metadata"]
    return {str(key) for key in value}.union(*inner)


KNOWN: Mapping[str, Weight] = {
    "idf": Weight.BEHAVIOUR,
    **dict.fromkeys(("hnsw_config", "vector", *SINCE, *TURBO, *GROUPS), Weight.SETTING),
}
"""Every name that `settings_in` gives."""


def carried(since: Callable[[int], bool]) -> frozenset[str]:
    """Names of the settings that a collection made on this server gets; `since(minor)`: it is 1.`minor` or later."""
    known = {key for key, minor in {**SINCE, **TURBO, "metadata": 16}.items() if since(minor)}
    return frozenset({"idf", "hnsw_config", "vector"} | known | (GROUPS.keys() - {"metadata"}))


def settings_of(layout: Layout, aliases: Sequence[str], extras: Mapping[str, Any]) -> tuple[Setting, ...]:
    """`extras`: what schema.py made of the layout for a target of this kind."""
    return (*_places(layout, aliases), *settings_in(extras))


def _places(layout: Layout, aliases: Sequence[str]) -> Iterator[Setting]:
    if layout.custom:
        keys = ", ".join(repr(key) for key in layout.shard_keys[:5])
        more = ", …" if len(layout.shard_keys) > 5 else ""
        detail = f"the collection is divided by shard keys ({keys}{more})"
        yield Setting(name=SHARD_KEYS, weight=Weight.SETTING, detail=detail)
    elif layout.divided and layout.namespace_field != NAMESPACE_FIELD:
        detail = f"the namespaces are the values of the field {layout.namespace_field!r}, which is no field elsewhere"
        yield Setting(name=TENANT_FIELD, weight=Weight.SETTING, detail=detail)
    if aliases:
        names = ", ".join(repr(name) for name in sorted(aliases))
        detail = f"the aliases {names} lead to the collection; they are not copied"
        yield Setting(name="aliases", weight=Weight.NOTICE, detail=detail)
