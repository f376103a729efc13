"""Where each database's server listens, which names its collection has, and that the lines for people are true: the
vendors' own clients, made from them, reach the server."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Generator
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from tests.emulators import pinecone as pinecone_emulator
from tests.emulators.qdrant import emulator as qdrant_emulator
from tests.emulators.weaviate import emulator as weaviate_emulator
from tests.harness.milvus_server import standalone
from tests.weaviate_client import weaviate, wvc
from vectormigrate import registry
from vectormigrate.adapter.operations import CollectionFacts, Division
from vectormigrate.adapter.ports import Front, Fronts, Interface, Served, served_by
from vectormigrate.capture.gateway.serving import Serving, serving
from vectormigrate.capture.keys import Side
from vectormigrate.config.settings import Endpoint
from vectormigrate.errors import AuthFailed, CollectionNotFound, ConfigError

pytestmark = pytest.mark.anyio

NAMES: dict[str, Any] = {
    name: getattr(importlib.import_module(module), name)
    for name, module in (("QdrantClient", "qdrant_client"), ("MilvusClient", "pymilvus"), ("Pinecone", "pinecone"))
}
Clients = Callable[[Served, dict[str, Any]], list[Any]]


@pytest.fixture
def made() -> Generator[Clients]:
    """Clients as the lines of Python make them, with these arguments besides, at the server's own ports."""
    with ExitStack() as stack:

        def make(served: Served, more: dict[str, Any]) -> list[Any]:
            fronts: dict[Interface, Front] = {
                port.interface: Front(host=port.host, port=port.port, tls=port.tls) for port in served.ports
            }
            found: list[Any] = []
            for line in python(served, fronts):
                found.append(eval(line.replace("(", "(**more, ", 1), {"more": more, **NAMES}))
                stack.callback(found[-1].close)
            return found

        yield make


def python(served: Served, fronts: Fronts) -> list[str]:
    return [line.strip() for line in served.repoint(fronts) if line.startswith("  ")]


def send(method: str, url: str, body: Any) -> None:
    httpx.request(method, url, json=body).raise_for_status()


async def asked(side: Side, endpoint: Endpoint) -> Serving:
    found = await serving(side, endpoint)
    assert found is not None
    return found


async def test_qdrant_has_two_ports_and_every_alias(made: Clients) -> None:
    with qdrant_emulator() as server:
        endpoint = Endpoint(type="qdrant", url=server.url, collection="c", options={"grpc_port": server.grpc_port})
        body = {"vectors": {"size": 4, "distance": "Dot"}}
        send("PUT", f"{server.url}/collections/c", body)
        send("PUT", f"{server.url}/collections/d", body)
        pairs = [("one", "c"), ("two", "c"), ("other", "d")]
        actions = [{"create_alias": {"alias_name": a, "collection_name": c}} for a, c in pairs]
        send("POST", f"{server.url}/collections/aliases", {"actions": actions})
        for name in ("c", "one"):
            found = await asked(Side.SOURCE, replace(endpoint, collection=name))
            assert found.collection.names == {"c", "one", "two"}
            assert set(found.collection.facts) == {"c", "one", "two"}
            assert found.complete
        assert [(port.interface, port.port) for port in found.served.ports] == [
            ("rest", int(server.url.rpartition(":")[2])),
            ("grpc", server.grpc_port),
        ]
        both, rest = made(found.served, {"timeout": 10, "check_compatibility": False})
        assert both.count("one").count == rest.count("one").count == 0


async def test_a_collection_that_is_not_there_yet_has_ports_and_is_not_complete() -> None:
    with qdrant_emulator() as server:
        options = {"grpc_port": server.grpc_port}
        found = await asked(Side.TARGET, Endpoint(type="qdrant", url=server.url, collection="new", options=options))
        assert not found.complete
        assert found.collection.names == {"new"}
        assert len(found.served.ports) == 2


async def test_a_key_that_may_not_list_aliases_is_refused() -> None:
    with qdrant_emulator() as server:
        server.fault("aliases", status=403, times=2)
        with pytest.raises(AuthFailed, match="would be missed"):
            await serving(Side.SOURCE, Endpoint(type="qdrant", url=server.url, collection="c", options=OVER_REST))


OVER_REST = {"prefer_grpc": False}


async def test_a_server_behind_a_proxy_is_refused() -> None:
    options = {**OVER_REST, "proxy": "http://127.0.0.1:1"}
    with pytest.raises(ConfigError, match="proxy"):
        await serving(Side.SOURCE, Endpoint(type="qdrant", url="http://h:1", collection="c", options=options))


async def test_an_embedded_database_has_no_ports(tmp_path: Any) -> None:
    assert await serving(Side.SOURCE, Endpoint(type="milvus", url=str(tmp_path / "lite.db"), collection="c")) is None
    assert served_by(registry.load("qdrant_edge")) is None
    assert served_by(registry.load("memory")) is None


async def test_weaviate_has_two_ports_and_names_with_a_raised_first_letter(made: Clients) -> None:
    with weaviate_emulator() as server:
        for name in ("Docs", "Others"):
            send("POST", f"{server.url}/v1/schema", {"class": name, "vectorizer": "none"})
        for alias, name in (("Texts", "Docs"), ("More", "Others")):
            send("POST", f"{server.url}/v1/aliases", {"alias": alias, "class": name})
        endpoint = Endpoint(type="weaviate", url=server.url, collection="texts", options={"grpc_url": server.grpc})
        found = await asked(Side.SOURCE, endpoint)
        assert found.collection.names == {"Docs", "Texts"}
        assert [(port.interface, port.port) for port in found.served.ports] == [
            ("rest", server.port),
            ("grpc", server.grpc_port),
        ]
        options = {"skip_init_checks": True, "additional_config": wvc.init.AdditionalConfig()}
        client = _connect(found.served, options)
        try:
            assert client.collections.exists("Docs")
            assert client.collections.use("Docs").aggregate.over_all(total_count=True).total_count == 0
        finally:
            client.close()


def _connect(served: Served, more: dict[str, Any]) -> Any:
    """The line, without the checks at the start that call the package index."""
    fronts: dict[Interface, Front] = {
        port.interface: Front(host=port.host, port=port.port, tls=port.tls) for port in served.ports
    }
    (line,) = python(served, fronts)
    return eval(line[:-1] + ", **more)", {"weaviate": weaviate, "more": more})


async def test_pinecone_is_reached_by_the_name_of_its_index(made: Clients) -> None:
    with pinecone_emulator.running("127.0.0.5") as server:
        endpoint = Endpoint(type="pinecone", url=server.url, collection="docs", api_key=SecretStr(server.api_key))
        with pytest.raises(CollectionNotFound):
            await serving(Side.TARGET, endpoint)  # an index that is not there has no host
        sdk: Any = importlib.import_module("pinecone")
        fields = {"_values": {"type": "dense_vector", "dimension": 3, "metric": "cosine"}}
        with sdk.Pinecone(api_key=server.api_key, host=server.url) as client:
            client.indexes.create(name="docs", schema={"fields": fields}, timeout=10)
            host = client.indexes.describe("docs").host
        found = await asked(Side.SOURCE, endpoint)
        (port,) = found.served.ports
        assert host == f"http://{port.host_header}{port.path}"
        assert found.collection.names == {None}
        assert found.complete
        rest, over_grpc = made(found.served, {"api_key": server.api_key})
        # The emulator has every index below a path of its own, which the gateway puts before the client's.
        assert rest.host == f"http://{port.host}:{port.port}"
        assert over_grpc.host.endswith(f"{port.host}:{port.port}")


@pytest.mark.server
async def test_milvus_has_one_port_and_names_with_the_database(made: Clients) -> None:
    with ExitStack() as stack:
        url = os.environ.get("VECTORMIGRATE_TEST_MILVUS_URL") or stack.enter_context(standalone())
        pymilvus: Any = importlib.import_module("pymilvus")
        client = pymilvus.MilvusClient(url)
        stack.callback(client.close)
        client.create_collection("ports", dimension=4)
        client.create_alias("ports", "harbours")
        for name in ("ports", "harbours"):
            found = await asked(Side.SOURCE, Endpoint(type="milvus", url=url, collection=name))
            assert found.collection.names == {"ports", "harbours"}
            facts = CollectionFacts(id_field="id", divided_by=Division.REQUEST)
            assert found.collection.facts == {"ports": facts, "harbours": facts}
        assert [(port.interface, f"{port.host}:{port.port}") for port in found.served.ports] == [
            ("http", url.removeprefix("http://"))
        ]
        (again,) = made(found.served, {})
        assert again.has_collection("harbours")
        missing = await asked(Side.TARGET, Endpoint(type="milvus", url=url, collection="nowhere"))
        assert (missing.complete, missing.collection.names) == (False, {"nowhere"})
