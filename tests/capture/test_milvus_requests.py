"""What requests to Milvus touch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture import tables
from tests.capture.requests import FACTS, GRPC, frame, grpc, rest, said
from vectormigrate.adapter.operations import CollectionFacts, Division, Effect
from vectormigrate.adapters.milvus import MilvusConfig
from vectormigrate.adapters.milvus.operations import facts
from vectormigrate.adapters.milvus.pk_filters import chosen
from vectormigrate.adapters.milvus.proto import pb, sp
from vectormigrate.capture.classify import Head, touched_by_answer
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import CollectionSchema

SERVICE = "/milvus.proto.milvus.MilvusService/"
V2 = "/v2/vectordb/entities"
VECTORS = sp.FieldData(
    field_name="v",
    type=sp.DataType.FloatVector,
    vectors=sp.VectorField(dim=2, float_vector=sp.FloatArray(data=[0.5, 1.5])),
)


def numbers(*values: int, name: str = "pk") -> Any:
    return sp.FieldData(
        field_name=name, type=sp.DataType.Int64, scalars=sp.ScalarField(long_data=sp.LongArray(data=values))
    )


def texts(*values: str, name: str = "pk") -> Any:
    return sp.FieldData(
        field_name=name, type=sp.DataType.VarChar, scalars=sp.ScalarField(string_data=sp.StringArray(data=values))
    )


def touched(method: str, message: Any, **metadata: str) -> list[str]:
    return said(grpc("milvus", SERVICE + method, message, **metadata))


def test_the_column_with_the_ids_is_found_by_its_name() -> None:
    columns = [VECTORS, numbers(5, 6, name="year"), numbers(-1, 2**63 - 1)]
    message = pb.UpsertRequest(collection_name="numbers", fields_data=columns, num_rows=2)
    assert touched("Upsert", message) == [f"replace numbers/: -1 {2**63 - 1}"]
    message = pb.UpsertRequest(collection_name="texts", fields_data=[texts("a", "ü\0"), texts("x", name="t")])
    assert touched("Upsert", message) == ["replace texts/: 'a' 'ü\\x00'"]


def test_an_insert_replaces_nothing_and_a_partial_upsert_neither() -> None:
    assert touched("Insert", pb.InsertRequest(collection_name="numbers", fields_data=[numbers(1)])) == [
        "part numbers/: 1"
    ]
    partial = pb.UpsertRequest(collection_name="numbers", fields_data=[numbers(1)], partial_update=True)
    assert touched("Upsert", partial) == ["part numbers/: 1"]


def test_a_partition_is_the_namespace_unless_a_key_divides_the_collection() -> None:
    def upsert(name: str, partition: str) -> list[str]:
        return touched(
            "Upsert",
            pb.UpsertRequest(collection_name=name, partition_name=partition, fields_data=[numbers(1)]),
        )

    assert upsert("numbers", "p") == ["replace numbers/p: 1"]
    assert upsert("numbers", "_default") == upsert("numbers", "") == ["replace numbers/: 1"]
    assert upsert("keyed", "") == upsert("keyed", "_default_3") == ["replace keyed/: 1"]


def test_a_collection_that_is_not_known_is_touched_as_a_whole() -> None:
    message = pb.InsertRequest(collection_name="strange", fields_data=[numbers(1)])
    assert touched("Insert", message) == ["unknown part strange/*"]


def test_the_database_is_a_part_of_the_collection_s_name() -> None:
    message = pb.UpsertRequest(collection_name="numbers", fields_data=[texts("a")])
    assert touched("Upsert", message, dbname="other") == ["replace other/numbers/: 'a'"]
    message.db_name = "default"
    message.fields_data[0].CopyFrom(numbers(1))
    assert touched("Upsert", message, dbname="other") == ["replace numbers/: 1"]
    message.db_name = ""
    assert touched("Upsert", message, dbname="other,default") == ["unknown part */*"]
    config = MilvusConfig(url="http://db:19530/other", collection="numbers")
    assert tables.operations("milvus").address(config, "numbers") == "other/numbers"


def test_records_without_ids_are_of_unknown_scope() -> None:
    message = pb.InsertRequest(collection_name="numbers", fields_data=[VECTORS])
    assert touched("Insert", message) == ["unknown part numbers/"]


def test_ids_that_the_server_makes_come_in_the_answer() -> None:
    operations, head = tables.operations("milvus"), Head("POST", SERVICE + "Insert", GRPC)
    message = pb.InsertRequest(collection_name="made", partition_name="p", fields_data=[VECTORS])
    assert touched("Insert", message) == ["assigned replace made/p"]
    body = frame(message.SerializeToString())
    answer = pb.MutationResult(IDs=sp.IDs(int_id=sp.LongArray(data=[7, 8])), insert_cnt=2)
    found = touched_by_answer(operations, head, body, GRPC, frame(answer.SerializeToString()), FACTS)
    assert said(found) == ["replace made/p: 7 8"]
    lost = touched_by_answer(operations, head, body, GRPC, frame(pb.MutationResult().SerializeToString()), FACTS)
    assert said(lost) == ["unknown part made/p"]


def test_an_upsert_with_ids_of_the_server_removes_the_old_and_makes_new_ones() -> None:
    message = pb.UpsertRequest(collection_name="made", fields_data=[numbers(1)])
    assert touched("Upsert", message) == ["part made/: 1", "assigned replace made/"]


def removal(expression: str, partition: str = "", name: str = "numbers", **values: Any) -> list[str]:
    message = pb.DeleteRequest(collection_name=name, partition_name=partition, expr=expression)
    for key, value in values.items():
        message.expr_template_values[key].CopyFrom(value)
    return touched("Delete", message)


def test_a_delete_by_id_names_its_records_in_all_partitions_or_in_one() -> None:
    assert removal("pk in [1, -2]") == ["delete numbers/*: 1 -2"]
    assert removal("pk in [1]", "p") == ["delete numbers/p: 1"]
    assert removal("pk in [1]", "_default") == ["delete numbers/: 1"]
    assert removal("pk == 1", name="keyed") == ["delete keyed/: 1"]
    assert removal("pk in [\"a\", 'b']", name="texts") == ["delete texts/*: 'a' 'b'"]
    ids = sp.TemplateValue(array_val=sp.TemplateArrayValue(long_data=sp.LongArray(data=[1, 2])))
    assert removal("pk in {ids}", ids=ids) == ["delete numbers/*: 1 2"]
    assert removal("pk == {id}", id=sp.TemplateValue(int64_val=-3)) == ["delete numbers/*: -3"]
    assert removal("year in {ids}", ids=ids) == ["filter delete numbers/*"]
    none = sp.TemplateValue(array_val=sp.TemplateArrayValue(long_data=sp.LongArray()))
    assert removal("pk in {ids}", ids=none) == ["filter delete numbers/*"]
    assert removal("pk in {ids}") == removal("year > 3") == ["filter delete numbers/*"]


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "pk in []",
        "pk in [1,]",
        "pk in [1] or year > 3",
        "pk in [1] or pk in [2]",
        "not pk in [1]",
        "pk not in [1]",
        "pk in [01]",
        "pk in [0x1]",
        "pk in [1.0]",
        "pk in [9223372036854775808]",
        "pk in [-9223372036854775808]",
        'pk in ["1"]',
        "pk >= 1",
        "pk == 1 + 1",
        "PK in [1]",
        "year == 1",
        "pk ==",
        "pkin [1]",
        "a.pk in [1]",
        'pk["x"] == 1',
    ],
)
def test_any_other_expression_is_a_filter(expression: str) -> None:
    assert chosen(expression, "pk", {}, text_ids=False) is None


def test_texts_are_read_as_the_server_reads_them_or_not_at_all() -> None:
    def ids(literal: str) -> list[Any] | None:
        return chosen(f"pk in [{literal}]", "pk", {}, text_ids=True)

    assert ids(r'"a\"b\\c\n"') == ['a"b\\c\n']
    assert ids(r"'it\'s', 'ü]'") == ["it's", "ü]"]
    assert ids('"a] or pk in [b"') == ["a] or pk in [b"]
    for strange in (r'"\x41"', r'"\u0041"', r'"\101"', '"a\nb"', '"a', "'a\"", "1", r'"a\"'):
        assert ids(strange) is None, strange


def rest_said(path: str, body: Any, **headers: str) -> list[str]:
    return said(rest("milvus", "POST", path, body, **headers))


def test_rest_requests_touch_the_same() -> None:
    body = {"collectionName": "numbers", "data": [{"pk": 1, "v": [0.5]}, {"pk": "2"}]}
    assert rest_said(f"{V2}/upsert", body) == ["replace numbers/: 1 2"]
    assert rest_said(f"{V2}/insert", {**body, "partitionName": "p"}) == ["part numbers/p: 1 2"]
    assert rest_said("/v1/vector/insert", {"collectionName": "numbers", "data": {"pk": 1}}) == ["part numbers/: 1"]
    assert rest_said(f"{V2}/upsert", {**body, "dbName": "other", "data": [{"pk": "a"}]}) == [
        "replace other/numbers/: 'a'"
    ]
    assert rest_said(f"{V2}/upsert", {**body, "data": [{"pk": "a"}]}, db_name="other") == [
        "replace other/numbers/: 'a'"
    ]
    by_filter = {"collectionName": "numbers", "filter": "pk in {ids}", "exprParams": {"ids": [1]}}
    assert rest_said(f"{V2}/delete", by_filter) == ["delete numbers/*: 1"]
    assert rest_said(f"{V2}/delete", {"collectionName": "numbers", "filter": "a > 1"}) == ["filter delete numbers/*"]
    assert rest_said("/v1/vector/delete", {"collectionName": "numbers", "id": [1, "2"]}) == ["delete numbers/*: 1 2"]


@pytest.mark.parametrize(
    "body",
    [
        {"collectionName": "numbers", "data": [{"pk": 1}, {}]},
        {"collectionName": "numbers", "data": [{"pk": "007"}]},
        {"collectionName": "numbers", "data": [{"pk": 1.0}]},
        {"collectionName": "numbers", "data": []},
        {"collectionName": "numbers", "CollectionName": "texts", "data": [{"pk": 1}]},
        b'{"collectionName": "numbers", "data": [{"pk": 1, "pk": 2}]}',
        {"data": [{"pk": 1}]},
    ],
)
def test_a_rest_request_that_the_server_may_read_otherwise_is_of_unknown_scope(body: Any) -> None:
    touch = rest("milvus", "POST", f"{V2}/upsert", body)
    assert (touch.effect, touch.keys) == (Effect.SCOPE, ())


def test_ids_in_a_rest_answer_may_be_numbers_as_text() -> None:
    head, body = Head("POST", f"{V2}/insert"), b'{"collectionName": "made", "data": [{"v": [0.5]}]}'
    operations = tables.operations("milvus")
    answer = b'{"code":0,"data":{"insertCount":2,"insertIds":[7,"442147653350115745"]}}'
    found = touched_by_answer(operations, head, body, {}, answer, FACTS)
    assert said(found) == ["replace made/: 7 442147653350115745"]
    refused = touched_by_answer(operations, head, body, {}, b'{"code":1100,"message":"no"}', FACTS)
    assert said(refused) == ["unknown part made/"]


def test_changes_of_the_schema_name_their_collection() -> None:
    touch = grpc("milvus", SERVICE + "DropCollection", pb.DropCollectionRequest(db_name="d", collection_name="c"))
    assert (touch.effect, said(touch)) == (Effect.WHOLE, ["all part d/c/*"])
    touch = rest("milvus", "POST", "/v2/vectordb/partitions/create", {"collectionName": "c", "partitionName": "p"})
    assert (touch.effect, said(touch)) == (Effect.SCHEMA, ["all part c/*"])
    touch = grpc("milvus", SERVICE + "AlterAlias", pb.AlterAliasRequest(collection_name="c", alias="a"))
    assert (touch.effect, said(touch)) == (Effect.SCHEMA, ["unknown part */*"])


def test_the_facts_of_a_collection_come_from_its_schema() -> None:
    config = MilvusConfig(url="http://db:19530", collection="c")

    def known(**extras: Any) -> CollectionFacts:
        kept = {"pk": {"name": "pk", "auto_id": False}, **extras}
        kinds = frozenset({IdKind.STRING})
        return facts(CollectionSchema(name="c", id_kinds=kinds, vectors=(), extras={"milvus": kept}), config)

    assert known() == CollectionFacts(id_field="pk", text_ids=True, divided_by=Division.REQUEST)
    assert known(num_partitions=16).divided_by is Division.NOTHING
    assert known(pk={"name": "pk", "auto_id": True}).assigns_ids
