"""A collection as the server describes it (raw JSON), with what we keep on it read out. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from vectormigrate.adapters.qdrant.config import NAMESPACE_FIELD
from vectormigrate.adapters.qdrant.indexes import neutral_index
from vectormigrate.model.schema import DType, Metric, VectorField, VectorKind

NOTE_KEY = "_vm_note"
SHAPE_KEY = "_vm_shape"
RESTORE_KEY = "_vm_restore"
OWN_KEYS = (NOTE_KEY, SHAPE_KEY, RESTORE_KEY)
"""Keys of ours in the collection's metadata, each holding JSON text: the origin note; the order of the vector fields
and which indexed fields hold lists; and the settings that `finalize` must restore, as the body of a PATCH."""

FIELD = "namespace_field"
"""In the text of SHAPE_KEY: the people's own payload field that divides the collection; in the extras its `name` and
the `data_type` and `params` of its index."""

Texts = Mapping[str, str]

METRICS = {"Cosine": Metric.COSINE, "Dot": Metric.DOT, "Euclid": Metric.L2, "Manhattan": Metric.L1}
DATATYPES = {"float32": DType.FLOAT32, "float16": DType.FLOAT16, "uint8": DType.UINT8}
"""Others (turbo4, …) are read as float32; their name goes into the extras."""

ShardKey = int | str


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """`config` holds the settings as they will be once the switches of a bulk load are restored.

    `single`: the dense vector has no name. `divided`: records are divided by the payload field. `by_shard`: by shard
    keys. `texts`: our own JSON texts.
    """

    name: str
    info: Mapping[str, Any]
    config: Mapping[str, Any]
    vectors: tuple[VectorField, ...]
    single: bool
    namespace_field: str = NAMESPACE_FIELD
    divided: bool = False
    custom: bool = False
    by_shard: bool = False
    shard_keys: tuple[ShardKey, ...] = ()
    texts: Texts = field(default_factory=dict[str, str])

    def vector(self, name: str) -> VectorField | None:
        return next((item for item in self.vectors if item.name == name), None)

    @property
    def dense(self) -> Mapping[str, Any]:
        """The settings of every dense and multi-vector field by name."""
        found: Mapping[str, Any] = self.config["params"].get("vectors") or {}
        return {"": found} if self.single else found

    @property
    def strict(self) -> Mapping[str, Any]:
        """The strict-mode settings that are in force now, empty when it is off."""
        found: Mapping[str, Any] = self.info["config"].get("strict_mode_config") or {}
        return found if found.get("enabled") else {}

    @property
    def replicas(self) -> int:
        return int(self.config["params"].get("replication_factor") or 1)

    @property
    def deferred(self) -> int:
        """Records that reads do not show until they are optimised (reported by server 1.18 and later)."""
        return int((self.info.get("update_queue") or {}).get("deferred_points") or 0)

    @property
    def unindexed(self) -> int:
        """Vectors in no index while the server is building one, at least 1: small segments stay without."""
        vectors = int(self.info.get("points_count") or 0) * len(self.dense)
        return max(1, vectors - int(self.info.get("indexed_vectors_count") or 0))

    @property
    def shape(self) -> dict[str, Any]:
        return json.loads(self.texts.get(SHAPE_KEY, "{}"))


def read_layout(name: str, info: Mapping[str, Any], texts: Texts, *, namespace_field: str | None) -> Layout:
    """`texts`: our own texts where they are not in the collection's metadata. `namespace_field`: as the operator named
    it, else it is the one with which the collection was made, else ours. A named one divides the collection whether it
    has an index or not."""
    found = {**texts, **own_texts(info["config"].get("metadata"))}
    config = _final(info["config"], json.loads(found.get(RESTORE_KEY, "{}")))
    params = config["params"]
    dense = params.get("vectors") or {}
    single = isinstance(dense.get("size"), int)
    named: dict[str, Any] = {"": dense} if single else dict(dense)
    fields = {key: _dense(key, item, config) for key, item in sorted(named.items())}
    fields |= {
        key: VectorField(name=key, kind=VectorKind.SPARSE, dim=None, metric=Metric.DOT)
        for key in sorted(params.get("sparse_vectors") or {})
    }
    own: str | None = namespace_field or json.loads(found.get(SHAPE_KEY, "{}")).get(FIELD)
    layout = Layout(
        name=name,
        info=info,
        config=config,
        vectors=(),
        single=single,
        namespace_field=own or NAMESPACE_FIELD,
        divided=own is not None or NAMESPACE_FIELD in (info.get("payload_schema") or {}),
        custom=params.get("sharding_method") == "custom",
        texts=found,
    )
    order: list[str] = layout.shape.get("vectors", [])
    ordered = [*(key for key in order if key in fields), *(key for key in fields if key not in order)]
    return replace(layout, vectors=tuple(fields[key] for key in ordered))


def own_texts(metadata: Mapping[str, Any] | None) -> dict[str, str]:
    """Our texts in a collection's metadata; a removed one may be left as null."""
    return {key: metadata[key] for key in OWN_KEYS if metadata and isinstance(metadata.get(key), str)}


def _final(config: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """The settings after the PATCH that `finalize` still has to make."""
    final: dict[str, Any] = {**config, "params": {**config["params"]}}
    for theirs, ours in (("optimizers_config", "optimizer_config"), ("hnsw_config", "hnsw_config")):
        if patch.get(theirs):
            final[ours] = {**(final.get(ours) or {}), **patch[theirs]}
    if patch.get("strict_mode_config"):
        final["strict_mode_config"] = patch["strict_mode_config"]
    vectors = patch.get("vectors") or {}
    if vectors:
        dense: dict[str, Any] = dict(final["params"].get("vectors") or {})
        for key, change in vectors.items():
            if key == "" and "size" in dense:
                dense = _changed(dense, change)
            elif key in dense:
                dense[key] = _changed(dense[key], change)
        final["params"]["vectors"] = dense
    return final


def _changed(settings: dict[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a vector, whose graph's settings are changed one by one."""
    graph = {**(settings.get("hnsw_config") or {}), **change["hnsw_config"]}
    return {**settings, "hnsw_config": graph}


def _dense(name: str, config: Mapping[str, Any], collection: Mapping[str, Any]) -> VectorField:
    return VectorField(
        name=name,
        kind=VectorKind.MULTI if config.get("multivector_config") else VectorKind.DENSE,
        dim=config["size"],
        metric=METRICS[config["distance"]],
        dtype=DATATYPES.get(config.get("datatype") or "float32", DType.FLOAT32),
        index=neutral_index(config, collection),
    )
