"""What a class has beyond properties, vectors and objects, by name, for plans. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from vectormigrate.adapters.weaviate.layout import Layout
from vectormigrate.figures import counted, duration, plural
from vectormigrate.model.schema import Json, Setting, Weight

TENANT_STATES = "tenant-states"
CARRIED = frozenset({"inverted-index", "replication", "shards", "tenancy", "description", "index"})

KNOWN: Mapping[str, Weight] = {
    **dict.fromkeys(("vectorizer", "generative", "reranker", "property-modules", "ttl", "times"), Weight.BEHAVIOUR),
    "tenants": Weight.RECORDS,
    **dict.fromkeys((*CARRIED, TENANT_STATES), Weight.SETTING),
    **dict.fromkeys(("aliases", "blob-hash"), Weight.NOTICE),
}
"""Every name that `settings_of` gives; times are only told where nobody filters by them."""

NONE = frozenset({"none"})

_GRAPH: Mapping[str, Json] = {
    "ef": -1,
    "dynamicEfMin": 100,
    "dynamicEfMax": 500,
    "dynamicEfFactor": 8,
    "flatSearchCutoff": 40_000,
    "skip": False,
}
_INVERTED: Mapping[str, Json] = {
    "bm25": {"b": 0.75, "k1": 1.2},
    "stopwords": {"additions": None, "preset": "en", "removals": None},
    "indexTimestamps": False,
    "indexNullState": False,
    "indexPropertyLength": False,
}
"""The server's own (1.39.0): a setting with this value says nothing about the class's maker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What is not in the class's own JSON. `aliases`: None where they could not be read. `left_out`: tenants that
    cannot be read as they are; `switched`: those that are switched on for reading; each with its state."""

    aliases: Sequence[str] | None = ()
    left_out: Mapping[str, str] = field(default_factory=dict[str, str])
    switched: Mapping[str, str] = field(default_factory=dict[str, str])


def settings_of(layout: Layout, around: Around) -> tuple[Setting, ...]:
    """Everything that a copy may not get."""
    return (*_weighty(layout), *_tenants(around), *_notices(layout, around), *_plain(layout.raw, layout.description))


def _weighty(layout: Layout) -> Iterator[Setting]:
    raw = layout.raw
    for kind, names in _modules(raw).items():
        detail = f"the class uses the modules {', '.join(sorted(names))} ({kind}), the copy does not"
        yield Setting(name=kind, weight=Weight.BEHAVIOUR, detail=detail)
    properties: Sequence[Mapping[str, Json]] = raw.get("properties") or ()
    own = sorted(str(item["name"]) for item in properties if set(item.get("moduleConfig") or {}) - NONE)
    if own:
        detail = f"modules treat these properties in their own way: {', '.join(own)}"
        yield Setting(name="property-modules", weight=Weight.BEHAVIOUR, detail=detail)
    ttl: Mapping[str, Json] = raw.get("objectTtlConfig") or {}
    if ttl.get("enabled"):
        after = duration(ttl.get("defaultTtl"))
        detail = f"objects expire {after} after {ttl.get('deleteOn')}; a copy gets the rule switched off"
        yield Setting(name="ttl", weight=Weight.BEHAVIOUR, detail=detail)
    if (raw.get("invertedIndexConfig") or {}).get("indexTimestamps"):
        detail = "objects are filtered by creation and update times, which are those of the copying on the copy"
        yield Setting(name="times", weight=Weight.BEHAVIOUR, detail=detail)


def _modules(raw: Mapping[str, Any]) -> dict[str, set[str]]:
    """Module names by what they do."""
    found: dict[str, set[str]] = {}
    for name in set(raw.get("moduleConfig") or {}) - NONE:
        kind = next((word for word in ("generative", "reranker") if str(name).startswith(word)), "vectorizer")
        found.setdefault(kind, set()).add(str(name))
    makers = {
        str(name) for config in (raw.get("vectorConfig") or {}).values() for name in config.get("vectorizer") or {}
    }
    makers |= {str(raw.get("vectorizer") or "none")}
    if makers - {"none"}:
        found.setdefault("vectorizer", set()).update(makers - {"none"})
    return found


def _tenants(around: Around) -> Iterator[Setting]:
    if around.left_out:
        detail = (
            f"{_listed(around.left_out)} cannot be read and are left out; include them with the option activate_tenants"
        )
        yield Setting(name="tenants", weight=Weight.RECORDS, detail=detail)
    if around.switched:
        detail = (
            f"{_listed(around.switched)}; on a Weaviate target they are so again with its option activate_tenants "
            "(offloaded ones inactive)"
        )
        yield Setting(name=TENANT_STATES, weight=Weight.SETTING, detail=detail)


def _listed(states: Mapping[str, str]) -> str:
    """However many there are, a few names."""
    some = ", ".join(f"{name!r} is {state}" for name, state in list(states.items())[:5])
    return f"{counted(len(states))} tenants are not active ({some}{', …' if len(states) > 5 else ''})"


def _notices(layout: Layout, around: Around) -> Iterator[Setting]:
    if not (layout.raw.get("invertedIndexConfig") or {}).get("indexTimestamps"):
        detail = "creation and update times of objects are not carried"
        yield Setting(name="times", weight=Weight.NOTICE, detail=detail)
    if around.aliases:
        detail = f"the aliases {', '.join(map(repr, sorted(around.aliases)))} lead to the class; they are not copied"
        yield Setting(name="aliases", weight=Weight.NOTICE, detail=detail)
    if around.aliases is None:
        yield Setting(name="aliases", weight=Weight.NOTICE, detail="aliases could not be read; none is copied")
    for item in layout.properties.values():
        if item.kind == "blobHash":
            detail = f"{item.name!r} is a blobHash: its stored hashes are carried as text"
            yield Setting(name=f"blob-hash:{item.name}", weight=Weight.NOTICE, detail=detail)


def _plain(raw: Mapping[str, Any], description: str) -> Iterator[Setting]:
    changed = _unusual(raw.get("invertedIndexConfig") or {}, _INVERTED)
    factor = (raw.get("replicationConfig") or {}).get("factor") or 1
    shards = (raw.get("shardingConfig") or {}).get("desiredCount") or 0
    tenancy: Mapping[str, Json] = raw.get("multiTenancyConfig") or {}
    automatic = [key for key in ("autoTenantCreation", "autoTenantActivation") if tenancy.get(key)]
    told = {
        "inverted-index": f"inverted index: {', '.join(sorted(changed))}" if changed else "",
        "replication": f"{factor} replicas" if factor > 1 else "",
        "shards": f"{plural(shards, 'shard')}" if shards > 1 else "",
        "tenancy": f"tenants: {', '.join(automatic)}" if automatic else "",
        "description": "the class has a description" if description else "",
    }
    for name, detail in told.items():
        if detail:
            yield Setting(name=name, weight=Weight.SETTING, detail=detail)
    yield from _graphs(raw)


def _unusual(config: Mapping[str, Json], defaults: Mapping[str, Json]) -> dict[str, Json]:
    """The settings that somebody chose."""
    return {key: config[key] for key, usual in defaults.items() if key in config and config[key] != usual}


def _graphs(raw: Mapping[str, Any]) -> Iterator[Setting]:
    """The indexes of vectors, named and unnamed, that are not as usual."""
    vectors: dict[str, Any] = dict(raw.get("vectorConfig") or {})
    if raw.get("vectorIndexType"):
        vectors[""] = raw
    for name, json in vectors.items():
        config: Mapping[str, Json] = json.get("vectorIndexConfig") or {}
        graph = _unusual(config, _GRAPH)
        if ((config.get("multivector") or {}).get("muvera") or {}).get("enabled"):
            graph["muvera"] = True
        if graph:
            told = ", ".join(f"{key} {value}" for key, value in graph.items())
            yield Setting(name=f"index:{name}", weight=Weight.SETTING, detail=f"index of {name!r}: {told}")
