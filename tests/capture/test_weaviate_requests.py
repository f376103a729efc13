"""What requests to Weaviate touch."""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from tests.capture import tables
from tests.capture.requests import GRPC, frame, grpc, rest, said
from vectormigrate.adapter.operations import Effect
from vectormigrate.adapters.weaviate.proto import base, batch, removal
from vectormigrate.capture.classify import Head, Touch, classify, touched_by_answer, touched_by_message

U = UUID("5d1f0c22-92aa-4d6b-8a3e-1f3b1a5e7a10")
W = UUID("00000000-0000-0000-0000-000000000001")
NOBODY: dict[str, str] = {}


def rest_said(method: str, path: str, body: Any = None) -> list[str]:
    return said(rest("weaviate", method, path, body))


def test_objects_are_replaced_under_the_server_s_own_name_of_the_collection() -> None:
    body = {"class": "docs", "id": str(U), "tenant": "t", "vector": [n / 7 for n in range(40)], "properties": {"id": 3}}
    assert rest_said("POST", "/v1/objects", body) == [f"replace Docs/t: {U!r}"]
    other = {"class": "Other", "id": W.hex}
    assert rest_said("POST", "/v1/batch/objects", {"objects": [body, other, body]}) == [
        f"replace Docs/t: {U!r} {U!r}",
        f"replace Other/: {W!r}",
    ]
    assert rest("weaviate", "POST", "/v1/batch/objects", {"objects": []}).effect is Effect.NONE


def test_an_object_without_an_id_gets_one_that_only_the_answer_has() -> None:
    operations = tables.operations("weaviate")
    head, body = Head("POST", "/v1/objects"), b'{"class": "docs", "tenant": "t"}'
    touch = classify(operations, head, body)
    assert touch.assigned
    assert said(touch) == ["assigned replace Docs/t"]
    answer = b'{"class":"Docs","id":"' + str(U).encode() + b'","tenant":"t","vector":[0.1]}'
    assert said(touched_by_answer(operations, head, body, NOBODY, answer)) == [f"replace Docs/t: {U!r}"]


def test_a_batch_with_and_without_ids_is_both() -> None:
    operations, head = tables.operations("weaviate"), Head("POST", "/v1/batch/objects")
    body = b'{"objects":[{"class":"A","id":"%s"},{"class":"A","id":null},{"class":"A","id":""}]}' % str(U).encode()
    touch = classify(operations, head, body)
    assert (touch.effect, said(touch)) == (Effect.SCOPE, [f"replace A/: {U!r}", "assigned replace A/"])
    answer = b'[{"class":"A","id":"%s"},{"class":"A","id":"%s","result":{}}]' % (str(U).encode(), str(W).encode())
    assert said(touched_by_answer(operations, head, body, NOBODY, answer)) == [f"replace A/: {U!r} {W!r}"]


@pytest.mark.parametrize("answer", [b"", b"{", b"[]", b'{"error":[]}', b'[{"class":"A"}]', b'[{"class":"A","id":"x"}]'])
def test_an_answer_without_ids_leaves_the_scope(answer: bytes) -> None:
    body = b'{"objects":[{"class":"A"}]}'
    touch = touched_by_answer(tables.operations("weaviate"), Head("POST", "/v1/batch/objects"), body, NOBODY, answer)
    assert (touch.effect, touch.keys) == (Effect.SCOPE, ())


def test_the_path_names_an_object_and_the_tenant_is_where_the_verb_wants_it() -> None:
    at = f"/v1/objects/docs/{str(U).upper()}"
    assert rest_said("PUT", at, {"class": "docs", "tenant": "t"}) == [f"replace Docs/t: {U!r}"]
    assert rest_said("PATCH", f"{at}?consistency_level=ALL", {"properties": {}}) == [f"part Docs/: {U!r}"]
    assert rest_said("DELETE", f"{at}?tenant=a%20b&consistency_level=ONE") == [f"delete Docs/a b: {U!r}"]
    assert rest_said("DELETE", at) == [f"delete Docs/: {U!r}"]
    for verb in ("POST", "PUT", "DELETE"):
        assert rest_said(verb, f"{at}/references/sees?tenant=t", {"beacon": "x"}) == [f"part Docs/t: {U!r}"]
    assert rest_said("DELETE", f"{at}?tenant=a&tenant=b") == ["unknown part Docs/*"]


def test_deprecated_paths_without_a_collection_count_in_every_collection_that_may_be_meant() -> None:
    at = f"/v1/objects/{U}"
    assert rest_said("PUT", at, {"class": "docs"}) == [f"replace Docs/: {U!r}"]
    assert rest_said("DELETE", at) == [f"delete */*: {U!r}"]
    assert rest_said("POST", f"{at}/references/sees", {}) == [f"part */*: {U!r}"]


def test_references_change_their_source() -> None:
    line = {"from": f"weaviate://localhost/Docs/{U}/sees", "to": f"weaviate://localhost/Docs/{W}", "tenant": "t"}
    assert rest_said("POST", "/v1/batch/references", [line]) == [f"part Docs/t: {U!r}"]
    line["from"] = f"weaviate://localhost/{U}/sees"
    assert rest_said("POST", "/v1/batch/references", [line]) == ["unknown part */*"]


@pytest.mark.parametrize(
    "body",
    [
        {"Class": "docs", "id": str(U)},
        {"class": "docs", "ID": str(U)},
        {"class": "docs", "id": str(U), "Tenant": "t"},
        {"id": str(U)},
        b'{"class":"docs","id":"%s","tenant":"a","tenant":"b"}' % str(U).encode(),
    ],
)
def test_an_object_that_the_server_may_read_otherwise_is_of_unknown_scope(body: Any) -> None:
    assert rest_said("POST", "/v1/objects", body) == ["unknown part */*"]


def test_an_object_with_a_wrong_id_does_not_hide_the_others_of_its_batch() -> None:
    items = [{"class": "docs", "id": item, "tenant": "t"} for item in (str(U), "seven", 7)]
    wanted = [f"replace Docs/t: {U!r}", "unknown part Docs/t"]
    assert rest_said("POST", "/v1/batch/objects", {"objects": items}) == wanted
    message = batch.BatchObjectsRequest(objects=objects((str(U), "docs", "t"), ("seven", "docs", "t")))
    touch = service("BatchObjects", message)
    assert (said(touch), touch.reason) == (wanted, "an id that is no UUID")
    filters = base.Filters(operator=base.Filters.OPERATOR_EQUAL, value_text="seven", on=["_id"])
    removed = service("BatchDelete", removal.BatchDeleteRequest(collection="docs", filters=filters, tenant="t"))
    assert said(removed) == ["filter delete Docs/t"]


WHERE: list[tuple[Any, str]] = [
    ({"operator": "Equal", "path": ["id"], "valueText": str(U)}, "keys"),
    ({"operator": "ContainsAny", "path": ["_id"], "valueTextArray": [str(U)]}, "keys"),
    ({"operator": "And", "operands": [{"operator": "Like", "path": ["a"], "valueText": "b"}]}, "filter"),
    ({"operator": "NotEqual", "path": ["id"], "valueText": str(U)}, "filter"),
    ({"operator": "Equal", "path": ["id", "x"], "valueText": str(U)}, "filter"),
    ({"operator": "Equal", "path": ["id"], "valueText": str(U), "new": 1}, "filter"),
    ({"operator": "ContainsAny", "path": ["id"], "valueTextArray": []}, "filter"),
    ({"operator": "Equal", "path": ["id"], "valueText": str(U), "operands": [{}]}, "filter"),
    ({"operator": "Equal", "path": ["id"], "valueText": str(U), "valueString": str(U)}, "filter"),
    (
        {
            "operator": "And",
            "operands": [
                {"operator": "Like", "path": ["a"], "valueText": "b"},
                {"operator": "Equal", "path": ["id"], "valueString": str(U)},
            ],
        },
        "keys",
    ),
    (
        {
            "operator": "Or",
            "operands": [
                {"operator": "Like", "path": ["a"], "valueText": "b"},
                {"operator": "Equal", "path": ["id"], "valueText": str(U)},
            ],
        },
        "filter",
    ),
]


@pytest.mark.parametrize(("where", "wanted"), WHERE)
def test_a_delete_by_filter_names_its_objects_when_the_filter_can_choose_no_others(where: Any, wanted: str) -> None:
    found = rest_said("DELETE", "/v1/batch/objects?tenant=t", {"match": {"class": "docs", "where": where}})
    assert found == ([f"delete Docs/t: {U!r}"] if wanted == "keys" else ["filter delete Docs/t"])


def test_only_a_true_dry_run_is_a_read() -> None:
    def effect(**more: Any) -> Effect:
        return rest("weaviate", "DELETE", "/v1/batch/objects", {"match": {"class": "A", "where": {}}, **more}).effect

    assert effect(dryRun=True) is Effect.READ
    for value in (False, None, "true", 1):
        assert effect(dryRun=value) is Effect.SCOPE
    assert effect(dryRun=True, dryrun=False) is Effect.SCOPE


def service(method: str, message: Any) -> Touch:
    return grpc("weaviate", f"/weaviate.v1.Weaviate/{method}", message)


def objects(*items: tuple[str, str, str]) -> Any:
    return [batch.BatchObject(uuid=uuid, collection=name, tenant=tenant, vector=[0.5]) for uuid, name, tenant in items]


def test_grpc_batches_touch_their_objects() -> None:
    message = batch.BatchObjectsRequest(objects=objects((str(U), "docs", "t"), (W.hex, "Docs", "")))
    assert said(service("BatchObjects", message)) == [f"replace Docs/t: {U!r}", f"replace Docs/: {W!r}"]
    unnamed = batch.BatchObjectsRequest(objects=objects(("", "docs", "")))
    assert service("BatchObjects", unnamed).effect is Effect.SCOPE
    line = batch.BatchReference(name="sees", from_collection="docs", from_uuid=str(U), to_uuid=str(W), tenant="t")
    assert said(service("BatchReferences", batch.BatchReferencesRequest(references=[line]))) == [f"part Docs/t: {U!r}"]


def test_each_message_of_a_stream_is_read_by_itself() -> None:
    operations, head = tables.operations("weaviate"), Head("POST", "/weaviate.v1.Weaviate/BatchStream", GRPC)
    touch = classify(operations, head, b"")
    assert (touch.stream, touch.effect, touch.scopes) == (True, Effect.KEYS, ())

    def read(message: Any) -> list[str]:
        return said(touched_by_message(operations, head, message.SerializeToString()))

    request = batch.BatchStreamRequest
    data = request.Data(
        objects=request.Data.Objects(values=objects((str(U), "docs", "t"))),
        references=request.Data.References(values=[batch.BatchReference(from_collection="docs", from_uuid=str(W))]),
    )
    assert read(request(start=request.Start())) == read(request(stop=request.Stop())) == []
    assert read(request(data=data)) == [f"replace Docs/t: {U!r}", f"part Docs/: {W!r}"]
    assert said(touched_by_message(operations, head, b"\x22\x00")) == ["unknown part */*"]


def with_target(name: str) -> dict[str, Any]:
    return {"target": base.FilterTarget(property=name)}


def with_on(name: str) -> dict[str, Any]:
    return {"on": [name]}


@pytest.mark.parametrize("on", [with_target, with_on])
def test_clients_delete_by_id_with_a_filter(on: Callable[[str], dict[str, Any]]) -> None:
    texts = base.TextArray(values=[str(U), str(W)])
    many = base.Filters(operator=base.Filters.OPERATOR_CONTAINS_ANY, value_text_array=texts, **on("_id"))
    one = base.Filters(operator=base.Filters.OPERATOR_EQUAL, value_text=str(U), **on("_id"))
    other = base.Filters(operator=base.Filters.OPERATOR_EQUAL, value_text="x", **on("title"))
    unlike = base.Filters(operator=base.Filters.OPERATOR_NOT_EQUAL, value_text=str(U), **on("_id"))

    def deleted(filters: Any, **more: Any) -> list[str]:
        message = removal.BatchDeleteRequest(collection="docs", filters=filters, tenant="t", **more)
        return said(service("BatchDelete", message))

    assert deleted(many) == [f"delete Docs/t: {U!r} {W!r}"]
    assert deleted(one) == [f"delete Docs/t: {U!r}"]
    assert deleted(other) == deleted(unlike) == ["filter delete Docs/t"]
    both = base.Filters(operator=base.Filters.OPERATOR_AND, filters=[other, one])
    either = base.Filters(operator=base.Filters.OPERATOR_OR, filters=[one, many])
    any_of = base.Filters(operator=base.Filters.OPERATOR_OR, filters=[one, other])
    assert deleted(both) == [f"delete Docs/t: {U!r}"]
    assert deleted(either) == [f"delete Docs/t: {U!r} {U!r} {W!r}"]
    assert deleted(any_of) == deleted(None) == ["filter delete Docs/t"]
    assert deleted(other, dry_run=True) == []
    dry = removal.BatchDeleteRequest(collection="docs", filters=other, dry_run=True)
    assert service("BatchDelete", dry).effect is Effect.READ
    wet = dry.SerializeToString() + b"\x20\x00"  # dry_run once more, the last one counts
    assert said(service("BatchDelete", wet)) == ["filter delete Docs/"]


def test_a_dry_run_does_not_hide_another_message_of_the_same_request() -> None:
    dry = removal.BatchDeleteRequest(collection="docs", dry_run=True).SerializeToString()
    wet = removal.BatchDeleteRequest(collection="docs").SerializeToString()
    head = Head("POST", "/weaviate.v1.Weaviate/BatchDelete", GRPC)
    touch = classify(tables.operations("weaviate"), head, frame(dry) + frame(wet) + frame(dry))
    assert said(touch) == ["filter delete Docs/"]


def test_grpc_through_the_rest_port_is_the_same_also_as_text() -> None:
    message = batch.BatchObjectsRequest(objects=objects((str(U), "docs", "t"))).SerializeToString()
    path = "/v1/grpc-web/weaviate.v1.Weaviate/BatchObjects"
    head = Head("POST", path, {"content-type": "application/grpc-web+proto"})
    wanted = [f"replace Docs/t: {U!r}"]
    operations = tables.operations("weaviate")
    assert said(classify(operations, head, frame(message))) == wanted
    text = Head("POST", path, {"content-type": "application/grpc-web-text"})
    assert said(classify(operations, text, base64.b64encode(frame(message)))) == wanted
    assert said(classify(operations, text, frame(message))) == ["unknown part */*"]
