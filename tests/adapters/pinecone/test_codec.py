"""Records to JSON and back, cutting into requests, config and exceptions. No server."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import parse_qs, quote

import httpx
import numpy as np
import orjson
import pytest
from pinecone import ApiError, ForbiddenError, PineconeTimeoutError, PineconeValueError, RateLimitError
from pydantic import SecretStr, ValidationError

from tests.adapters.pinecone.support import dense, records, sparse, sparse_column
from tests.support.connected import connected
from vectormigrate.adapters.pinecone import CAPABILITIES, DOCUMENTS, SPEC, PineconeConfig
from vectormigrate.adapters.pinecone.calls import URL_BYTES, chunks, require_ascending
from vectormigrate.adapters.pinecone.decode import batch_of
from vectormigrate.adapters.pinecone.encode import AMBIGUOUS, encode, requests
from vectormigrate.adapters.pinecone.errors import HttpError
from vectormigrate.adapters.pinecone.layout import Layout, layout_of
from vectormigrate.adapters.pinecone.session import segment
from vectormigrate.errors import (
    AdapterError,
    AlreadyExists,
    AuthFailed,
    CollectionNotFound,
    InvalidRequest,
    QuotaExceeded,
    RateLimited,
    RecordsRejected,
    TimedOut,
    Unavailable,
)
from vectormigrate.model.batch import DenseColumn, SparseColumn

HYBRID = {
    "_values": {"type": "dense_vector", "dimension": 3, "metric": "dotproduct"},
    "_sparse_values": {"type": "sparse_vector"},
}
PAPERS = {
    "body": {"type": "dense_vector", "dimension": 3, "metric": "cosine"},
    "terms": {"type": "sparse_vector"},
    "title": {"type": "string", "full_text_search": {"language": "en"}, "filterable": False, "store_text": True},
}


def layout(fields: dict[str, Any], **changes: Any) -> Layout:
    """The layout of a described index with these fields."""
    return layout_of(
        {
            "name": "x",
            "host": "http://127.0.0.1:1",
            "status": {"ready": True, "state": "Ready"},
            "schema": {"fields": fields},
            "deployment": {"deployment_type": "managed", "cloud": "aws", "region": "us-east-1"},
            "deletion_protection": "disabled",
            **changes,
        }
    )


def test_every_float32_survives_the_shortest_decimal_even_the_ambiguous_one() -> None:
    values = np.array([[AMBIGUOUS, -AMBIGUOUS, 0.1], [1e-45, -0.0, 3.4028235e38]], np.float32)
    batch = records(["a", "b"], values=DenseColumn(values))
    encoded = encode(batch, layout(HYBRID), CAPABILITIES)
    rows = {item["id"]: item for item in map(orjson.loads, encoded.records)}
    assert rows["b"]["values"] == [1e-45, -0.0, 3.4028235e38]
    sent = np.array([rows[key]["values"] for key in "ab"], np.float64).astype(np.float32)
    assert sent.tobytes() == values.tobytes()
    # A server that answers with shortest decimals says 7.038531e-26, which as a double rounds to the neighbour.
    answer = orjson.loads(orjson.dumps({"a": {"values": values[0]}}, option=orjson.OPT_SERIALIZE_NUMPY))
    back = batch_of(answer, ["a"], layout(HYBRID), "", vectors=True).vectors["values"]
    assert back.values.tobytes() == values[0].tobytes()


def test_numbers_come_back_as_integers_where_whole_and_exact() -> None:
    given = {"a": {"values": [1, 2, 3], "metadata": {"i": 3, "w": 2.0, "f": 0.5, "big": 2**60, "t": True, "l": ["x"]}}}
    (found,) = batch_of(given, ["a", "gone"], layout(HYBRID), "", vectors=True).metadata
    assert [(key, type(value), value) for key, value in found.items()] == [
        ("i", int, 3),
        ("w", int, 2),
        ("f", float, 0.5),
        ("big", float, float(2**60)),
        ("t", bool, True),
        ("l", list, ["x"]),
    ]


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (None, "value"),
        (1.0, "value"),
        (2**53 + 1, "value"),
        (float("nan"), "value"),
        ({"a": 1}, "value"),
        (["a", 1], "value"),
        (b"x", "value"),
        ("\ud800", "value"),
        ("x" * 41_000, "size"),
    ],
)
def test_a_value_that_would_change_is_rejected(value: Any, code: str) -> None:
    encoded = encode(records(["a", "b"], metadata=[{"k": value}, {"k": "fine"}]), layout(HYBRID), CAPABILITIES)
    assert [(reject.id, reject.code) for reject in encoded.rejects] == [("a", code)]
    assert len(encoded.records) == 1


def test_vectors_that_the_service_refuses_are_rejected_by_name() -> None:
    column = records([str(n) for n in range(6)]).vectors["values"]
    assert isinstance(column, DenseColumn)
    column.values[0] = 0
    column.values[1, 2] = np.inf
    terms = sparse_column([{1: 1.0}, {}, {5: np.nan}, {2**32 - 1: 0.5}, {9: 1.0, 3: 1.0}, {}])
    assert terms.valid is not None
    terms.valid[5] = True
    batch = records([str(n) for n in range(6)], values=column, sparse_values=terms)
    encoded = encode(batch, layout(HYBRID), CAPABILITIES)
    assert {reject.id: reject.code for reject in encoded.rejects} == {
        "0": "zero_vector",
        "1": "nan",
        "2": "nan",
        "4": "sparse_index",
        "5": "empty_vector",
    }
    (kept,) = map(orjson.loads, encoded.records)
    assert kept["sparseValues"] == {"indices": [2**32 - 1], "values": [0.5]}


def test_the_last_record_of_an_id_is_sent_and_bad_ids_are_not() -> None:
    bad = ["", "é", "x" * 513, "a\0b", 7]
    encoded = encode(records(["a", "b", "a", *bad]), layout(HYBRID), CAPABILITIES)  # pyright: ignore[reportArgumentType]
    assert [orjson.loads(item)["metadata"]["n"] for item in encoded.records] == [1, 2]
    assert [reject.id for reject in encoded.rejects] == bad


def test_a_document_holds_its_fields_side_by_side_and_reads_back() -> None:
    shape = layout(PAPERS)
    column = records(["a"]).vectors["values"]
    metadata: dict[str, Any] = {"title": "t" * 50_000, "year": 1999, "_vm_origin": "o", "_vm_id": "7"}
    batch = records(["a"], metadata=[metadata])
    batch = type(batch)("", batch.ids, {"body": column, "terms": sparse_column([{3: 0.5}])}, batch.metadata)
    encoded = encode(batch, shape, DOCUMENTS)
    assert encoded.rejects == []
    document = orjson.loads(encoded.records[0])
    assert {"vm_origin": "o", "vm_id": "7", "year": 1999}.items() <= document.items()
    back = batch_of({"a": document}, ["a"], shape, "", vectors=True)
    assert back.metadata == [metadata]
    terms = back.vectors["terms"]
    assert isinstance(terms, SparseColumn)
    assert (terms.indices.tolist(), terms.values.tolist()) == ([3], [0.5])
    for key in ("_x", "$x", "", "vm_id", "body"):
        wrong = type(batch)("", ["a"], batch.vectors, [{key: "x"}])
        assert [reject.code for reject in encode(wrong, shape, DOCUMENTS).rejects] == ["field_name"]


def test_requests_keep_to_a_thousand_records_and_two_megabytes() -> None:
    head, tail = b'{"vectors":[', b'],"namespace":""}'
    small = [b'{"id":"%d"}' % number for number in range(2500)]
    cut = list(requests(small, head, tail))
    assert [count for _, count in cut] == [1000, 1000, 500]
    large = [b'"' + b"x" * 39_990 + b'"' for _ in range(120)]
    cut = list(requests(large, head, tail))
    assert sum(count for _, count in cut) == 120
    assert all(1_900_000 < len(body) <= 2_000_000 for body, _ in cut[:-1])
    assert [item for body, _ in cut for item in orjson.loads(body)["vectors"]] == [orjson.loads(item) for item in large]


def test_fetches_are_cut_by_the_encoded_length_of_their_url() -> None:
    ids = [f"{number:03d}" + "/% +" * 120 for number in range(100)]
    parts = list(chunks(ids, layout(HYBRID), "n s"))
    assert [item for part in parts for item in part] == ids
    queries = ["&".join(f"ids={quote(item, safe='')}" for item in part) for part in parts]
    assert max(map(len, queries)) <= URL_BYTES
    assert [item for query in queries for item in parse_qs(query)["ids"]] == ids
    assert len(list(chunks(ids, layout(PAPERS), "n s"))) == 1
    assert [len(part) for part in chunks([str(n) for n in range(1200)], layout(PAPERS), "")] == [1000, 200]


@pytest.mark.parametrize(
    ("name", "path"), [("", "__default__"), ("a/b", "a%2Fb"), (".", "%2E"), ("..", "%2E%2E"), ("a b+%", "a%20b%2B%25")]
)
def test_a_namespace_is_one_path_segment(name: str, path: str) -> None:
    assert segment(name) == path
    assert httpx.URL(f"http://h/namespaces/{segment(name)}/documents/list").raw_path.decode().split("/")[2] == path


def test_the_kind_of_an_index_follows_from_its_fields() -> None:
    assert [item.name for item in layout(HYBRID).vectors] == ["values", "sparse_values"]
    assert layout(HYBRID).vectors == (dense(), sparse())
    assert [item.name for item in layout(PAPERS).vectors] == ["body", "terms"]
    assert layout({"chunk": {"type": "semantic_text", "model": "m"}}).kind == "integrated"
    embedded = layout({"text": {"type": "string", "embed": {"model": "m"}, "store_text": False}})
    assert (embedded.kind, embedded.vectors, embedded.embedded) == ("document", (), ("text",))
    pod = {"deployment_type": "pod", "environment": "e", "pod_type": "p1.x1"}
    with pytest.raises(InvalidRequest, match="pod index"):
        layout(HYBRID, deployment=pod)


@pytest.mark.parametrize(
    ("error", "operation", "kind"),
    [
        (HttpError(400, "x"), "upsert", InvalidRequest),
        (HttpError(401, "x"), "scan", AuthFailed),
        (HttpError(402, "x"), "create", QuotaExceeded),
        (HttpError(403, "x"), "scan", AuthFailed),
        (HttpError(403, "x", code="QUOTA_EXCEEDED"), "create", QuotaExceeded),
        (HttpError(404, "x"), "scan", CollectionNotFound),
        (HttpError(408, "x"), "scan", TimedOut),
        (HttpError(409, "x"), "create", AlreadyExists),
        (HttpError(413, "x"), "upsert", RecordsRejected),
        (HttpError(413, "x"), "scan", InvalidRequest),
        (HttpError(422, "x"), "create", InvalidRequest),
        (HttpError(429, "too many"), "upsert", RateLimited),
        (HttpError(429, "write unit limit for the current month"), "upsert", QuotaExceeded),
        (HttpError(500, "x"), "upsert", Unavailable),
        (HttpError(503, "x"), "upsert", Unavailable),
        (HttpError(504, "x"), "upsert", TimedOut),
        (RateLimitError("slow down"), "describe", RateLimited),
        (ForbiddenError("Deletion protection is enabled for this index."), "drop", InvalidRequest),
        (ApiError("exists", 409), "create", AlreadyExists),
        (PineconeTimeoutError("late"), "describe", TimedOut),
        (PineconeValueError("odd"), "describe", InvalidRequest),
        (httpx.ReadTimeout("late"), "upsert", TimedOut),
        (httpx.ConnectTimeout("late"), "upsert", Unavailable),
        (httpx.ConnectError("refused"), "upsert", Unavailable),
        (httpx.RemoteProtocolError("cut"), "upsert", Unavailable),
        (httpx.LocalProtocolError("Illegal header value b'secret'"), "upsert", InvalidRequest),
        (httpx.InvalidURL("long"), "fetch", InvalidRequest),
    ],
)
def test_failures_mean(error: Exception, operation: str, kind: type[AdapterError]) -> None:
    found = SPEC.classify(error, operation)
    assert type(found) is kind
    assert "secret" not in str(found)


def test_a_rate_limit_carries_its_wish() -> None:
    found = SPEC.classify(HttpError(429, "x", retry_after=7.0), "upsert")
    assert isinstance(found, RateLimited)
    assert found.retry_after == 7


@pytest.mark.parametrize("url", ["ftp://h", "http://", "https://user:pw@h", "https://h?k=1", "api.pinecone.io"])
def test_an_unusable_url_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        PineconeConfig(url=url, collection="c")


def test_the_location_names_server_project_and_index_but_no_key() -> None:
    given = PineconeConfig(collection="c", project="p", api_key=SecretStr("pcsk_secret"))
    assert given.location() == "pinecone:https://api.pinecone.io/p#c"
    assert "pcsk_secret" not in repr(given) + str(given.model_dump())


@pytest.mark.anyio
async def test_a_missing_or_unusable_key_is_an_auth_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PINECONE_API_KEY", raising=False)
    for key in ("", "pcsk_with\nnewline"):
        with pytest.raises(AuthFailed) as caught:
            async with connected(SPEC, PineconeConfig(collection="c", api_key=SecretStr(key))):
                pass
        assert "pcsk_with" not in str(caught.value)
    assert "PINECONE_API_KEY" not in os.environ


def test_a_page_of_ids_in_another_order_is_an_error_and_not_a_gap() -> None:
    require_ascending([], "a")
    require_ascending(["a", "b", "ba"], "")
    require_ascending(["a", "b"], "a")
    for ids in (["b", "a"], ["a", "a"], ["a", "c", "b"]):
        with pytest.raises(InvalidRequest, match="order"):
            require_ascending(ids, "")
    with pytest.raises(InvalidRequest, match="order"):
        require_ascending(["a", "c"], "b")
