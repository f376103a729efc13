"""Parameters of vector indexes between databases, in the words of each: carried, or named with what becomes of them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tests.mapping.world import schema, spec
from vectormigrate import registry
from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.milvus.capabilities import Server, narrowed
from vectormigrate.adapters.milvus.ddl import creation as make_milvus
from vectormigrate.adapters.milvus.indexes import neutral as of_milvus
from vectormigrate.adapters.qdrant.capabilities import Server as QdrantServer
from vectormigrate.adapters.qdrant.capabilities import narrowed as qdrant_caps
from vectormigrate.adapters.qdrant.config import QdrantConfig
from vectormigrate.adapters.qdrant.ddl import creation as make_qdrant
from vectormigrate.adapters.qdrant.indexes import neutral_index as of_qdrant
from vectormigrate.adapters.weaviate.ddl import creation as make_weaviate
from vectormigrate.adapters.weaviate.indexes import neutral as of_weaviate
from vectormigrate.adapters.weaviate.indexes import vector_indexes
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.model.ids import IdKind
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import Outcome
from vectormigrate.model.schema import Metric, VectorField, VectorKind

DIM = 64
NEWEST = Server(label="", version=(3, 0), lite=False)
OLDEST = Server(label="", version=(2, 3), lite=False)
LITE = Server(label="", version=(3, 2), lite=True)
QDRANT = QdrantServer(version=(1, 19, 0), text="1.19.0", grpc=False)


def field(index: Mapping[str, Any], metric: Metric = Metric.DOT) -> VectorField:
    return VectorField(name="v", kind=VectorKind.DENSE, dim=DIM, metric=metric, index=index)


def planned(
    index: Mapping[str, Any], source: str, target: str, caps: Capabilities | None = None, metric: Metric = Metric.DOT
) -> Decision:
    return decide(
        spec=spec(),
        source_schema=schema(field(index, metric)),
        source_adapter=source,
        source_caps=registry.load("memory").capabilities,
        target_adapter=target,
        target_caps=caps or registry.load(target).capabilities,
        namespaces={"": 1},
    )


def on_qdrant(decision: Decision, server: QdrantServer = QDRANT) -> dict[str, Any]:
    shape = replace(decision.target_schema, note=None)
    config = QdrantConfig(url="http://h", collection="c")
    return make_qdrant(shape, config, server).body["vectors"]["v"]


def on_weaviate(decision: Decision) -> dict[str, Any]:
    shape = replace(decision.target_schema, note=None, fields=())
    body: Any = make_weaviate("C", shape, registry.load("weaviate").capabilities, []).body
    return body["vectorConfig"]["v"]


def on_milvus(decision: Decision, server: Server = NEWEST) -> dict[str, Any]:
    shape = replace(decision.target_schema, note=None, id_kinds=frozenset({IdKind.STRING}))
    (request,) = make_milvus("c", shape, server, narrowed(server)).indexes
    found: dict[str, Any] = {item.key: item.value for item in request.extra_params}
    return {"index_type": found["index_type"], **json.loads(found.get("params", "{}"))}


def named(decision: Decision) -> str:
    """What the plan tells of the index, "" when all goes over as it is."""
    found = [loss for loss in decision.losses if loss.name == "index-params:v"]
    assert all(loss.outcome is Outcome.REVERSIBLE for loss in found)
    return found[0].detail if found else ""


def qdrant(quantization: Mapping[str, Any]) -> dict[str, Any]:
    return of_qdrant({"quantization_config": quantization}, {})


def weaviate(**config: Any) -> dict[str, Any]:
    full = {"maxConnections": 20, "efConstruction": 90, **config}
    return of_weaviate({"vectorIndexType": "hnsw", "vectorIndexConfig": full}, DIM)


@pytest.mark.parametrize(
    ("quantization", "expected", "changed"),
    [
        ({"scalar": {"type": "int8", "quantile": 0.9}}, {"sq": {"enabled": True}}, ""),
        ({"binary": {"always_ram": True}}, {"bq": {"enabled": True}}, ""),
        ({"binary": {"encoding": "two_bits"}}, {"bq": {"enabled": True}}, "binary quantization of 2 bits becomes"),
        ({"product": {"compression": "x16"}}, {"pq": {"enabled": True, "segments": 16}}, ""),
        ({"product": {"compression": "x4"}}, {"pq": {"enabled": True, "segments": 64}}, ""),
        ({"turbo": {"bits": "bits1"}}, {"rq": {"enabled": True, "bits": 1}}, ""),
        ({"turbo": {}}, {"rq": {"enabled": True, "bits": 4}}, ""),
    ],
)
def test_qdrants_quantization_has_a_counterpart_on_weaviate(
    quantization: dict[str, Any], expected: dict[str, Any], changed: str
) -> None:
    found = planned(qdrant(quantization), "qdrant", "weaviate")
    config = on_weaviate(found)["vectorIndexConfig"]
    assert {key: config[key] for key in ("pq", "bq", "sq", "rq") if key in config} == expected
    assert "skipDefaultQuantization" not in config
    assert (changed in named(found)) if changed else named(found) == ""


@pytest.mark.parametrize(
    ("config", "expected", "changed"),
    [
        ({"sq": {"enabled": True, "trainingLimit": 9}}, {"scalar": {"type": "int8"}}, ""),
        ({"bq": {"enabled": True}}, {"binary": {}}, ""),
        ({"rq": {"enabled": True, "bits": 8}}, {"scalar": {"type": "int8"}}, "rotated quantization of 8 bits becomes"),
        ({"rq": {"enabled": True, "bits": 1}}, {"turbo": {"bits": "bits1"}}, ""),
        ({"pq": {"enabled": True, "segments": 16, "centroids": 256}}, {"product": {"compression": "x16"}}, ""),
        ({"pq": {"enabled": True, "segments": 0}}, {"product": {"compression": "x8"}}, ""),
    ],
)
def test_weaviates_quantization_has_a_counterpart_on_qdrant(
    config: dict[str, Any], expected: dict[str, Any], changed: str
) -> None:
    found = planned(weaviate(**config), "weaviate", "qdrant")
    made = on_qdrant(found)
    assert made["quantization_config"] == expected
    assert made["hnsw_config"] == {"m": 20, "ef_construct": 90}
    assert (changed in named(found)) if changed else named(found) == ""


def test_an_older_qdrant_gets_what_it_has() -> None:
    old = QdrantServer(version=(1, 17, 0), text="1.17.0", grpc=False)
    caps = qdrant_caps({}, old, field="_vm_namespace", by_shard=False)
    found = planned(weaviate(rq={"enabled": True, "bits": 1}), "weaviate", "qdrant", caps)
    assert on_qdrant(found, old)["quantization_config"] == {"binary": {}}
    assert "becomes binary quantization of 1 bits" in named(found)


@pytest.mark.parametrize(
    ("params", "on_others"),
    [
        ({"index_type": "HNSW_SQ", "params": '{"M": 8, "efConstruction": 60, "sq_type": "SQ8"}'}, ("sq", "scalar")),
        ({"index_type": "HNSW_PQ", "params": '{"M": 8, "efConstruction": 60, "m": 16, "nbits": 8}'}, ("pq", "product")),
        ({"index_type": "IVF_SQ8", "nlist": "128"}, ("sq", "scalar")),
        ({"index_type": "IVF_PQ", "nlist": "128", "m": "16", "nbits": "8"}, ("pq", "product")),
        ({"index_type": "IVF_RABITQ", "nlist": "128"}, ("bq", "binary")),
        ({"index_type": "GPU_CAGRA"}, None),
        ({"index_type": "SCANN", "nlist": "16"}, None),
        ({"index_type": "DISKANN"}, None),
    ],
)
def test_milvus_quantization_goes_to_the_others_and_its_own_types_are_named(
    params: dict[str, str], on_others: tuple[str, str] | None
) -> None:
    index = of_milvus(params, DIM)
    there, beside = planned(index, "milvus", "weaviate"), planned(index, "milvus", "qdrant")
    config = on_weaviate(there)["vectorIndexConfig"]
    quantizers = [key for key in ("pq", "bq", "sq", "rq") if key in config]
    made = on_qdrant(beside).get("quantization_config", {})
    assert (quantizers, list(made)) == (([on_others[0]], [on_others[1]]) if on_others else ([], []))
    same_form = params["index_type"].startswith("HNSW")
    for found in (there, beside):
        assert (named(found) == "") == same_form
        if not same_form:
            assert f"builds no index {index['type']}; it gets hnsw" in named(found)
    if on_others and on_others[1] == "product":
        assert made["product"] == {"compression": "x16"}


@pytest.mark.parametrize(
    ("server", "kinds"),
    [(NEWEST, ("HNSW_SQ", "HNSW_PQ", "HNSW")), (LITE, ("HNSW_SQ", "HNSW", "HNSW")), (OLDEST, ("HNSW", "HNSW", "HNSW"))],
)
def test_what_a_milvus_can_quantize_it_does(server: Server, kinds: tuple[str, ...]) -> None:
    settings = ({"scalar": {"type": "int8"}}, {"product": {"compression": "x16"}}, {"binary": {}})
    for quantization, kind in zip(settings, kinds, strict=True):
        found = planned(qdrant(quantization), "qdrant", "milvus", narrowed(server))
        made = on_milvus(found, server)
        assert made["index_type"] == kind
        assert ("becomes none" in named(found)) == (kind == "HNSW")
        if kind == "HNSW_SQ":
            assert made["sq_type"] == "SQ8"
        if kind == "HNSW_PQ":
            assert (made["m"], made["nbits"]) == (16, 8)


def test_numbers_out_of_the_targets_range_are_named() -> None:
    index = of_qdrant({}, {"hnsw_config": {"m": 128, "ef_construct": 300}})
    found = planned(index, "qdrant", "milvus")
    assert on_milvus(found) == {"index_type": "HNSW", "M": 64, "efConstruction": 300}
    assert "m 128 becomes 64" in named(found)
    assert "ef_construct" not in named(found)
    config = on_weaviate(planned(index, "qdrant", "weaviate"))["vectorIndexConfig"]
    assert (config["maxConnections"], config["efConstruction"]) == (128, 300)


def test_a_database_that_chooses_its_own_index_is_told_so() -> None:
    found = planned(qdrant({"scalar": {"type": "int8"}}) | {"type": "hnsw", "m": 8}, "qdrant", "pinecone")
    for words in ("builds no index hnsw", "m 8 is left", "scalar quantization of 8 bits becomes none"):
        assert words in named(found)
    assert named(planned({"type": "autoindex"}, "milvus", "weaviate")) == ""


def test_a_metric_without_quantizers_gets_none() -> None:
    found = planned(weaviate(bq={"enabled": True}), "weaviate", "qdrant", metric=Metric.L1)
    assert "quantization_config" not in on_qdrant(found)
    assert "becomes none" in named(found)


def test_a_flat_index_keeps_only_what_flat_ones_have() -> None:
    flat = of_qdrant({"hnsw_config": {"m": 0}, "quantization_config": {"binary": {}}}, {})
    assert on_weaviate(planned(flat, "qdrant", "weaviate")) == {
        "vectorizer": {"none": {}},
        "vectorIndexType": "flat",
        "vectorIndexConfig": {"bq": {"enabled": True}, "distance": "dot"},
    }
    scalar = of_qdrant({"hnsw_config": {"m": 0}, "quantization_config": {"scalar": {"type": "int8"}}}, {})
    found = planned(scalar, "qdrant", "weaviate")
    assert on_weaviate(found)["vectorIndexConfig"]["rq"] == {"enabled": True, "bits": 8}
    assert "becomes rotated" in named(found)


def test_a_collections_own_settings_count_for_each_of_its_vectors_and_defaults_say_nothing() -> None:
    shared = {"hnsw_config": {"m": 32, "ef_construct": 300}, "quantization_config": {"scalar": {"type": "int8"}}}
    scalar, binary = {"kind": "scalar", "bits": 8}, {"kind": "binary", "bits": 1}
    assert of_qdrant({}, shared) == {"type": "hnsw", "m": 32, "ef_construct": 300, "quantization": scalar}
    own = {"hnsw_config": {"m": 8}, "quantization_config": {"binary": {}}}
    assert of_qdrant(own, shared) == {"type": "hnsw", "m": 8, "ef_construct": 300, "quantization": binary}
    assert of_qdrant({}, {"hnsw_config": {"m": 16, "ef_construct": 100}}) == {}
    assert of_qdrant({"hnsw_config": {"m": 0}}, shared)["type"] == "flat"


def test_the_way_home_builds_the_index_that_was() -> None:
    own = {"binary": {"encoding": "two_bits"}}
    shape = replace(schema(field(qdrant(own))), extras={"qdrant": {"quantization_config": own}})
    note = OriginNote(adapter="qdrant", migration_id="m", schema=shape)
    far = field({"type": "hnsw", "m": 32, "quantization": {"kind": "binary", "bits": 1}})
    wide = registry.load("memory").capabilities
    found = decide(
        spec=spec(),
        source_schema=schema(far, note=note.to_json()),
        source_adapter="weaviate",
        source_caps=wide,
        target_adapter="qdrant",
        target_caps=wide.changed(vectors={"indexes": registry.load("qdrant").capabilities.vectors.indexes}),
        namespaces={"": 1},
    )
    assert named(found) == ""
    assert found.target_schema.vectors == shape.vectors
    config = QdrantConfig(url="http://h", collection="c")
    body = make_qdrant(replace(found.target_schema, note=None), config, QDRANT).body
    assert body["quantization_config"] == own
    assert "quantization_config" not in body["vectors"]["v"]


def test_a_server_that_cannot_build_its_own_kinds_index_says_so() -> None:
    for kind in ("GPU_CAGRA", "HNSW_SQ"):
        index = of_milvus({"index_type": kind}, DIM)
        assert named(planned(index, "milvus", "milvus", narrowed(NEWEST))) == ""
    assert "it gets hnsw" in named(planned({"type": "gpu_cagra"}, "milvus", "milvus", narrowed(OLDEST)))
    assert "hfresh" not in vector_indexes((1, 35))
