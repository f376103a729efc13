"""What requests to Pinecone touch."""

from __future__ import annotations

from typing import Any

import pytest

from tests.capture.requests import grpc, rest, said
from vectormigrate.adapter.operations import Effect


def rest_said(method: str, path: str, body: Any = None) -> list[str]:
    return said(rest("pinecone", method, path, body))


def text(number: int, value: str | bytes) -> bytes:
    """A field of a protobuf message; the vendor's package has no message classes."""
    raw = value.encode() if isinstance(value, str) else value
    return bytes([number << 3 | 2, len(raw)]) + raw


@pytest.mark.parametrize("namespace", [{}, {"namespace": None}, {"namespace": ""}, {"namespace": "__default__"}])
def test_the_default_namespace_is_one_however_it_is_written(namespace: dict[str, Any]) -> None:
    body = {"vectors": [{"id": "a", "values": [n / 7 for n in range(40)], "metadata": {"id": "b"}}], **namespace}
    assert rest_said("POST", "/vectors/upsert", body) == ["replace */: 'a'"]


def test_an_upsert_replaces_records_of_its_namespace() -> None:
    body = {"vectors": [{"id": "a"}, {"id": "1"}], "namespace": "n"}
    assert rest_said("POST", "/vectors/upsert", body) == ["replace */n: 'a' '1'"]
    for broken in ({"vectors": [{"id": 1}]}, {"vectors": [{}]}, {"vectors": [{"id": "a"}], "namespace": 3}, {}):
        assert rest("pinecone", "POST", "/vectors/upsert", broken).effect is Effect.SCOPE


def test_an_update_changes_a_part_of_a_record_or_of_those_that_a_filter_chooses() -> None:
    assert rest_said("POST", "/vectors/update", {"id": "a", "namespace": "n"}) == ["part */n: 'a'"]
    body = {"filter": {"a": 1}, "setMetadata": {}, "dryRun": True}
    assert rest_said("POST", "/vectors/update", body) == ["filter part */"]


def test_a_delete_is_by_id_by_filter_or_of_the_whole_namespace() -> None:
    path = "/vectors/delete"
    assert rest_said("POST", path, {"ids": ["a"], "namespace": "n"}) == ["delete */n: 'a'"]
    assert rest_said("POST", path, {"ids": ["a"], "filter": {"b": 1}}) == ["delete */: 'a'", "filter delete */"]
    for name in ("deleteAll", "delete_all"):
        assert rest_said("POST", path, {name: True, "namespace": "n"}) == ["all delete */n"]
        assert rest_said("POST", path, {name: False, "ids": ["a"]}) == ["delete */: 'a'"]
    assert rest_said("POST", path, {}) == ["unknown delete */"]


def test_ids_with_dots_are_never_taken_for_a_vector() -> None:
    many = [f"file.{n}.5" for n in range(50)]
    assert rest_said("POST", "/vectors/delete", {"ids": many}) == [f"delete */: {' '.join(map(repr, many))}"]


def test_a_delete_may_have_everything_in_its_query() -> None:
    path = "/vectors/delete"
    assert rest_said("DELETE", f"{path}?ids=a&ids=b%20c&namespace=n") == ["delete */n: 'a' 'b c'"]
    assert rest_said("DELETE", f"{path}?deleteAll=true") == ["all delete */"]
    assert rest_said("DELETE", f"{path}?deleteAll=false&ids=a") == ["delete */: 'a'"]
    assert rest_said("DELETE", f"{path}?filter=%7B%7D&namespace=n") == ["filter delete */n"]
    assert rest_said("DELETE", path) == ["filter delete */"]
    assert rest_said("DELETE", f"{path}?ids=a&namespace=n&namespace=m") == ["unknown part */*"]
    assert rest_said("DELETE", f"{path}?ids=%ff") == ["unknown part */*"]
    assert rest_said("DELETE", path, {"ids": ["a"]}) == ["delete */: 'a'"]


def test_records_with_text_come_one_per_line() -> None:
    body = b'{"_id": "a", "text": "x"}\n\r\n{"id": "b"}\n'
    assert rest_said("POST", "/records/namespaces/a%2Fb%20c/upsert", body) == ["replace */a/b c: 'a' 'b'"]
    assert rest_said("POST", "/records/namespaces/__default__/upsert", body) == ["replace */: 'a' 'b'"]
    for broken in (b"", b'{"_id": "a"}\n{"text": "x"}', b'{"_id": "a"}\n{'):
        assert rest_said("POST", "/records/namespaces/n/upsert", broken) == ["unknown part */*"]


def test_documents_are_named_by_their_path_and_ids() -> None:
    at = "/namespaces/n/documents"
    assert rest_said("POST", f"{at}/upsert", {"documents": [{"_id": "a"}]}) == ["replace */n: 'a'"]
    assert rest_said("POST", f"{at}/update", {"documents": [{"_id": "a"}]}) == ["part */n: 'a'"]
    assert rest_said("POST", f"{at}/delete", {"ids": ["a"]}) == ["delete */n: 'a'"]
    assert rest_said("POST", f"{at}/delete", {"filter": {}}) == ["filter delete */n"]
    assert rest_said("POST", f"{at}/delete", {"delete_all": True}) == ["all delete */n"]
    assert rest("pinecone", "POST", f"{at}/search", {}).effect is Effect.READ


def test_a_namespace_is_dropped_as_a_whole() -> None:
    touch = rest("pinecone", "DELETE", "/namespaces/n")
    assert (touch.effect, said(touch)) == (Effect.WHOLE, ["all part */n"])


def test_grpc_requests_touch_the_same_as_their_rest_counterparts() -> None:
    def touched(method: str, message: bytes) -> list[str]:
        return said(grpc("pinecone", f"/VectorService/{method}", message))

    vector = text(1, "a") + text(2, b"\0" * 8) + text(3, text(1, text(1, "id")))
    assert touched("Upsert", text(1, vector) + text(1, text(1, "b")) + text(2, "n")) == ["replace */n: 'a' 'b'"]
    assert touched("Upsert", text(1, text(2, b"")) + text(2, "n")) == ["unknown part */*"]
    assert touched("Update", text(1, "a") + text(4, "__default__")) == ["part */: 'a'"]
    assert touched("Update", text(6, b"") + text(4, "n") + b"\x38\x01") == ["filter part */n"]
    assert touched("Delete", text(1, "a") + text(1, "b") + text(3, "n")) == ["delete */n: 'a' 'b'"]
    assert touched("Delete", b"\x10\x01" + text(3, "n")) == ["all delete */n"]
    assert touched("Delete", b"\x10\x00" + text(1, "a")) == ["delete */: 'a'"]
    assert touched("Delete", text(4, text(1, b""))) == ["filter delete */"]
    assert touched("Delete", b"") == ["unknown delete */"]
    assert grpc("pinecone", "/VectorService/DeleteNamespace", text(1, "n")).effect is Effect.WHOLE
    assert grpc("pinecone", "/VectorService/Query", b"\xff").effect is Effect.READ
