"""What requests to Qdrant touch."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from google.protobuf.message_factory import GetMessageClass

from tests.capture import tables
from tests.capture.requests import grpc, rest, said
from vectormigrate.adapter.operations import CollectionFacts, Division, Effect
from vectormigrate.adapters.qdrant import QdrantConfig
from vectormigrate.adapters.qdrant.operations import WAIT, facts
from vectormigrate.adapters.qdrant.proto import coll, common, pb
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema

U = UUID("5d1f0c22-92aa-4d6b-8a3e-1f3b1a5e7a10")
VECTOR = [n / 7 for n in range(40)]
AT = "/collections/c/points"


def rest_said(method: str, path: str, body: Any) -> list[str]:
    return said(rest("qdrant", method, path, body))


def test_an_upsert_replaces_the_points_that_it_holds_also_in_columns() -> None:
    points = [{"id": 7, "vector": VECTOR}, {"id": str(U), "vector": {"a": VECTOR}, "payload": {"id": 9}}]
    assert rest_said("PUT", AT, {"points": points}) == [f"replace c/*: 7 {U!r}"]
    assert rest_said("PUT", AT, {"batch": {"ids": [2**64 - 1, 0], "vectors": [VECTOR, VECTOR]}}) == [
        "replace c/*: 18446744073709551615 0"
    ]


@pytest.mark.parametrize("extra", [{"update_filter": {"must": []}}, {"update_mode": "insert_only"}])
def test_a_conditional_upsert_is_no_replacement(extra: dict[str, Any]) -> None:
    assert rest_said("PUT", AT, {"points": [{"id": 7}], **extra}) == ["part c/*: 7"]


@pytest.mark.parametrize("spelling", [str(U).upper(), U.hex, U.urn, f"{{{U}}}"])
def test_a_uuid_is_one_id_in_all_its_spellings(spelling: str) -> None:
    assert rest_said("POST", f"{AT}/delete", {"points": [spelling]}) == [f"delete c/*: {U!r}"]


def test_ids_and_a_filter_in_one_request_both_count() -> None:
    body = {"payload": {"a": 1}, "points": [1], "filter": {"must": []}, "shard_key": None}
    assert rest_said("POST", f"{AT}/payload", body) == ["part c/*: 1", "filter part c/*"]
    assert rest_said("POST", f"{AT}/delete", {"filter": {}}) == ["filter delete c/*"]


def test_only_the_verb_tells_a_retrieval_from_an_upsert() -> None:
    assert rest("qdrant", "POST", AT, {"ids": [1]}).effect is Effect.READ
    assert rest("qdrant", "PUT", AT, {"ids": [1]}).effect is Effect.SCOPE


def test_a_batch_touches_what_its_operations_touch() -> None:
    steps = [
        {"upsert": {"points": [{"id": 1, "vector": VECTOR}]}},
        {"upsert": {"batch": {"ids": [2]}}},
        {"delete": {"points": [3]}},
        {"delete_payload": {"keys": ["a"], "points": [4]}},
        {"update_vectors": {"points": [{"id": 5, "vector": VECTOR}]}},
        {"delete_vectors": {"points": [6], "vector": ["a"]}},
        {"clear_payload": {"filter": {}}},
    ]
    assert rest_said("POST", f"{AT}/batch", {"operations": steps}) == [
        "replace c/*: 1 2",
        "delete c/*: 3",
        "part c/*: 4 5 6",
        "filter part c/*",
    ]


def test_an_operation_of_a_batch_that_is_not_known_may_change_every_point() -> None:
    steps = [{"upsert": {"points": [{"id": 1}]}}, {"truncate": {}}]
    assert rest_said("POST", f"{AT}/batch", {"operations": steps}) == ["replace c/*: 1", "unknown part c/*"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"points": []},
        {"points": [1.5]},
        {"points": [True]},
        {"points": [-1]},
        {"points": [2**64]},
        {"points": ["seven"]},
        {"points": {"id": 1}},
        {"points": {}},
        [],
        7,
        b"{",
        b'{"points": [1',
    ],
)
def test_a_request_whose_points_cannot_be_read_may_change_every_point_of_the_collection(body: Any) -> None:
    touch = rest("qdrant", "POST", f"{AT}/delete", body)
    assert touch.effect is Effect.SCOPE
    assert {scope.collection for scope in touch.scopes} == {"c"}


def test_an_array_of_ids_is_never_taken_for_a_vector() -> None:
    many = list(range(1_000_000, 1_000_200))
    assert rest_said("POST", f"{AT}/delete", {"points": many}) == [f"delete c/*: {' '.join(map(str, many))}"]
    assert rest_said("POST", f"{AT}/delete", {"points": [*many, 1.5]}) == ["unknown delete c/*"]


def test_a_vector_in_a_text_is_a_text() -> None:
    text = "[" + ",".join(["0.25"] * 40) + "]"
    body = {"points": [{"id": 1, "payload": {"a": text, "b\\": f'"{text}'}}, {"id": 2}]}
    assert rest_said("PUT", AT, body) == ["replace c/*: 1 2"]


def test_a_name_in_the_path_is_decoded_and_never_leads_elsewhere() -> None:
    assert rest_said("PUT", "/collections/a%20b%25/points", {"points": [{"id": 1}]}) == ["replace a b%/*: 1"]
    for name in ("..", ".", "%2e%2E", "a%2Fb", "a%2fb", "", "a\\b", "%ff"):
        assert rest_said("PUT", f"/collections/{name}/points", {"points": [{"id": 1}]}) == ["unknown part */*"]


def test_a_shard_key_is_the_namespace_only_where_shard_keys_divide_the_collection() -> None:
    def touched(key: Any) -> list[str]:
        return rest_said("POST", "/collections/shards/points/delete", {"points": [1], "shard_key": key})

    assert touched("a") == touched(["a"]) == ["delete shards/a: 1"]
    assert touched("_vm_default") == ["delete shards/: 1"]
    assert touched(None) == touched(["a", "b"]) == touched({"target": "a", "fallback": "b"}) == ["delete shards/*: 1"]
    assert rest_said("POST", f"{AT}/delete", {"points": [1], "shard_key": "a"}) == ["delete c/*: 1"]


def test_the_facts_name_shard_keys_as_namespaces_where_the_adapter_reads_them_so() -> None:
    schema = CollectionSchema(
        name="c", id_kinds=frozenset({IdKind.UUID}), vectors=(), extras={"qdrant": {"shard_keys": ["a"]}}
    )
    config = QdrantConfig(url="http://db:6333", collection="c")
    assert facts(schema, config) == CollectionFacts(divided_by=Division.REQUEST)
    assert facts(schema, config.model_copy(update={"shard_key": "a"})) == CollectionFacts()


def ids(*values: int | str) -> list[Any]:
    return [common.PointId(num=item) if isinstance(item, int) else common.PointId(uuid=item) for item in values]


def selected(*values: int | str) -> Any:
    return pb.PointsSelector(points=pb.PointsIdsList(ids=ids(*values)))


FILTER = pb.PointsSelector(filter=common.Filter())


def shard(*keys: int | str, fallback: str | None = None) -> Any:
    items = [coll.ShardKey(number=key) if isinstance(key, int) else coll.ShardKey(keyword=key) for key in keys]
    return pb.ShardKeySelector(shard_keys=items, fallback=None if fallback is None else coll.ShardKey(keyword=fallback))


def grpc_said(method: str, message: Any) -> list[str]:
    return said(grpc("qdrant", f"/qdrant.Points/{method}", message))


def test_grpc_requests_touch_the_same_as_their_rest_counterparts() -> None:
    point = pb.PointStruct(
        id=ids(2**64 - 1)[0], vectors=pb.Vectors(vector=pb.Vector(dense=pb.DenseVector(data=VECTOR)))
    )
    point.payload["id"].integer_value = 3
    assert grpc_said("Upsert", pb.UpsertPoints(collection_name="c", points=[point], wait=True)) == [
        f"replace c/*: {2**64 - 1}"
    ]
    conditional = pb.UpsertPoints(collection_name="c", points=[point], update_mode=pb.UpdateMode.InsertOnly)
    assert grpc_said("Upsert", conditional) == [f"part c/*: {2**64 - 1}"]
    moved = pb.UpdatePointVectors(collection_name="c", points=[pb.PointVectors(id=ids(0)[0])])
    assert grpc_said("UpdateVectors", moved) == ["part c/*: 0"]
    for method, message in {
        "Delete": pb.DeletePoints(collection_name="c", points=selected(1, str(U))),
        "ClearPayload": pb.ClearPayloadPoints(collection_name="c", points=selected(1, str(U))),
        "DeleteVectors": pb.DeletePointVectors(collection_name="c", points_selector=selected(1, str(U))),
        "SetPayload": pb.SetPayloadPoints(collection_name="c", points_selector=selected(1, str(U)), key="a.b"),
        "OverwritePayload": pb.SetPayloadPoints(collection_name="c", points_selector=selected(1, str(U))),
        "DeletePayload": pb.DeletePayloadPoints(collection_name="c", points_selector=selected(1, str(U))),
    }.items():
        assert grpc_said(method, message) == [f"{'delete' if method == 'Delete' else 'part'} c/*: 1 {U!r}"], method
    assert grpc_said("Delete", pb.DeletePoints(collection_name="c", points=FILTER)) == ["filter delete c/*"]
    assert grpc_said("Delete", pb.DeletePoints(collection_name="c")) == ["unknown delete c/*"]
    assert grpc_said("Upsert", pb.UpsertPoints(collection_name="c", points=[pb.PointStruct()])) == ["unknown part c/*"]
    strange = pb.UpsertPoints(points=[pb.PointStruct(id=ids("seven")[0])], collection_name="c")
    assert grpc_said("Upsert", strange) == ["unknown part c/*"]
    assert grpc_said("Upsert", strange.SerializeToString() + b"\x1a") == ["unknown part */*"]


def test_a_grpc_request_names_a_namespace_by_one_shard_key() -> None:
    def touched(selector: Any) -> list[str]:
        return grpc_said(
            "Delete", pb.DeletePoints(collection_name="shards", points=selected(1), shard_key_selector=selector)
        )

    assert touched(shard("a")) == ["delete shards/a: 1"]
    assert touched(shard(7)) == ["delete shards/7: 1"]
    assert touched(shard("a", "b")) == touched(shard("a", fallback="b")) == touched(None) == ["delete shards/*: 1"]


def test_a_grpc_batch_touches_what_its_operations_touch() -> None:
    step = pb.PointsUpdateOperation
    steps = [
        step(upsert=step.PointStructList(points=[pb.PointStruct(id=ids(1)[0])])),
        step(delete_deprecated=selected(2)),
        step(set_payload=step.SetPayload(points_selector=selected(3))),
        step(overwrite_payload=step.OverwritePayload(points_selector=selected(4))),
        step(delete_payload=step.DeletePayload(points_selector=selected(5))),
        step(clear_payload_deprecated=selected(6)),
        step(update_vectors=step.UpdateVectors(points=[pb.PointVectors(id=ids(7)[0])])),
        step(delete_vectors=step.DeleteVectors(points_selector=selected(8))),
        step(delete_points=step.DeletePoints(points=selected(9))),
        step(clear_payload=step.ClearPayload(points=FILTER)),
    ]
    known = {field.number for field in step.DESCRIPTOR.fields}
    assert known == set(range(1, len(steps) + 1)), "a batch has other operations than those of this test"
    assert grpc_said("UpdateBatch", pb.UpdateBatchPoints(collection_name="c", operations=steps)) == [
        "replace c/*: 1",
        "delete c/*: 2 9",
        "part c/*: 3 4 5 6 7 8",
        "filter part c/*",
    ]
    assert grpc_said("UpdateBatch", pb.UpdateBatchPoints(collection_name="c", operations=[step()])) == [
        "unknown part c/*"
    ]


def test_changes_of_the_schema_name_their_collection() -> None:
    touch = rest("qdrant", "DELETE", "/collections/c")
    assert (touch.effect, said(touch)) == (Effect.WHOLE, ["all part c/*"])
    touch = rest("qdrant", "POST", "/collections/aliases", {"actions": []})
    assert (touch.effect, said(touch)) == (Effect.SCHEMA, ["unknown part */*"])


def test_a_change_may_be_answered_early_unless_it_waits_until_it_is_applied() -> None:
    body = {"points": [{"id": 1, "vector": [1]}]}
    found = [
        rest("qdrant", "PUT", f"/collections/c/points{query}", body).early for query in ("", "?wait=true", "?wait=0")
    ]
    assert found == [True, False, True]
    assert rest("qdrant", "PUT", "/collections/c/points?wait=true&wait=false", body).early


def test_every_message_that_changes_points_has_its_wait_where_it_is_read() -> None:
    methods = tables.stub_methods("qdrant")
    changing = [row.path for row in tables.operations("qdrant").rows if row.grpc and row.effect is Effect.KEYS]
    assert len(changing) > 5
    for path in changing:
        message = methods[path].input_type
        made = GetMessageClass(message)
        assert message.fields_by_name["wait"].number == WAIT, path
        assert [grpc("qdrant", path, made(collection_name="c", wait=wait)).early for wait in (True, False)] == [
            False,
            True,
        ]
