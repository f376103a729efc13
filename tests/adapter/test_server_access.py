"""One set of options for reaching a server: every database, REST and gRPC."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc.aio
import pytest
from pydantic import ValidationError

from tests.emulators.pinecone import running
from tests.emulators.qdrant import emulator as qdrant
from tests.emulators.weaviate import emulator as weaviate
from tests.support.connected import connected
from tests.support.tls import Authority, authority, tls
from vectormigrate.adapter import AnySpec
from vectormigrate.adapter.server_access import environment_proxy
from vectormigrate.adapters import milvus
from vectormigrate.adapters import pinecone as pinecone_adapter
from vectormigrate.adapters import qdrant as qdrant_adapter
from vectormigrate.adapters import weaviate as weaviate_adapter
from vectormigrate.adapters.milvus.embedded import served
from vectormigrate.adapters.pinecone.client import Client
from vectormigrate.adapters.pinecone.errors import HttpError
from vectormigrate.config.settings import Settings, resolve_endpoint
from vectormigrate.errors import ConfigError, Unavailable

pytestmark = pytest.mark.anyio

NAME = "db.internal"
SPECS: list[AnySpec] = [milvus.SPEC, pinecone_adapter.SPEC, qdrant_adapter.SPEC, weaviate_adapter.SPEC]
KEY = "a-secret-of-the-test"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return authority(tmp_path_factory.mktemp("tls"), NAME)


def shown(made: Authority) -> dict[str, Any]:
    """All that the server wants to see."""
    return {
        "ca_file": made.ca,
        "client_cert": made.client,
        "client_key": made.client_key,
        "tls_server_name": NAME,
    }


async def reach(spec: AnySpec, **options: Any) -> str:
    async with connected(spec, spec.config(collection="C", connect_timeout=3, **options)) as target:
        try:
            return await target.server()
        except Exception as error:
            return type(error).__name__


async def refused_without_each(spec: AnySpec, made: Authority, **options: Any) -> None:
    """Each part counts: without the authority, the certificate or the name there is no connection."""
    for left_out in (("ca_file",), ("client_cert", "client_key"), ("tls_server_name",)):
        rest = {key: value for key, value in shown(made).items() if key not in left_out}
        with pytest.raises(Unavailable):
            await reach(spec, **options, **rest)


async def test_qdrant_takes_certificates_name_and_headers_on_both_interfaces(
    made: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("QDRANT_TEST_KEY", KEY)
    with qdrant(api_key=KEY) as server:
        async with tls(int(server.url.rpartition(":")[2]), made) as rest, tls(server.grpc_port, made) as records:
            options: dict[str, Any] = {"url": f"https://127.0.0.1:{rest}", "grpc_port": records}
            headers = {"api-key": "env:QDRANT_TEST_KEY"}
            assert "gRPC" in await reach(qdrant_adapter.SPEC, **options, **shown(made), headers=headers)
            await refused_without_each(qdrant_adapter.SPEC, made, **options, headers=headers)


async def test_weaviate_takes_certificates_name_and_headers_on_both_interfaces(made: Authority, tmp_path: Path) -> None:
    (tmp_path / "bearer").write_text(f"Bearer {KEY}\n")
    with weaviate(api_key=KEY) as server:
        async with tls(server.port, made) as rest, tls(server.grpc_port, made) as records:
            options: dict[str, Any] = {"url": f"https://127.0.0.1:{rest}", "grpc_port": records}
            headers = {"Authorization": f"file:{tmp_path / 'bearer'}"}
            assert "Weaviate" in await reach(weaviate_adapter.SPEC, **options, **shown(made), headers=headers)
            await refused_without_each(weaviate_adapter.SPEC, made, **options, headers=headers)


async def test_milvus_takes_certificates_and_name(made: Authority, tmp_path: Path) -> None:
    pytest.importorskip("milvus_lite")
    async with served(tmp_path / "m.db", 5) as address, tls(int(address.rpartition(":")[2]), made) as port:
        options = {"url": f"https://127.0.0.1:{port}"}
        assert "Milvus" in await reach(milvus.SPEC, **options, **shown(made))
        await refused_without_each(milvus.SPEC, made, **options)


async def test_milvus_sends_headers_with_every_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEAM_KEY", KEY)
    seen: list[dict[str, Any]] = []

    class Everything(grpc.GenericRpcHandler):
        def service(self, handler_call_details: Any) -> None:
            seen.append(dict(handler_call_details.invocation_metadata))

    server = grpc.aio.server(handlers=[Everything()])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        with pytest.raises(Exception, match="no Milvus"):
            await reach(milvus.SPEC, url=f"http://127.0.0.1:{port}", headers={"X-Team": "env:TEAM_KEY"})
    finally:
        await server.stop(None)
    assert seen
    assert all(item["x-team"] == KEY for item in seen)


async def test_pinecone_takes_certificates_name_and_headers_on_both_planes(made: Authority) -> None:
    with running() as server:
        async with tls(int(server.url.rpartition(":")[2]), made) as port:
            options: dict[str, Any] = {"url": f"https://127.0.0.1:{port}", "api_key": server.api_key}
            assert await reach(pinecone_adapter.SPEC, **options, **shown(made)) == "CollectionNotFound"
            await refused_without_each(pinecone_adapter.SPEC, made, **options)
            config = pinecone_adapter.PineconeConfig(
                collection="c",
                **options,
                **shown(made),
                headers={"x-team": KEY},  # pyright: ignore[reportArgumentType]
            )
            client = Client(config, server.api_key)
            try:
                assert client._http.headers["x-team"] == KEY
                with pytest.raises(HttpError):
                    await client.get(f"https://127.0.0.1:{port}/nothing")
            finally:
                await client.close()


async def test_weaviate_is_reached_below_a_path(made: Authority) -> None:
    config = weaviate_adapter.WeaviateConfig(url="http://h/db/v1", collection="C")
    assert (config.rest(), config.location()) == ("http://h:8080/db/v1", "weaviate:http://h:8080/db#C")


def test_proxies_come_from_the_environment_but_not_for_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:3128")
    monkeypatch.setenv("NO_PROXY", "inside.test")
    assert environment_proxy("https://api.pinecone.io") == "http://proxy:3128"
    assert environment_proxy("https://inside.test") is None
    assert environment_proxy("https://127.0.0.1:5080") is None


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: spec.name)
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"headers": {"x-team": "env:NOT_SET_ANYWHERE"}}, "NOT_SET_ANYWHERE"),
        ({"headers": {"x-team": "file:/no/such/file"}}, "cannot be read"),
        ({"headers": {"content-length": KEY}}, "cannot be an extra header"),
        ({"headers": {"x-team": f"{KEY}\r\nx: y"}}, "no header has"),
        ({"headers": KEY}, "must be a table"),
        ({"ca_file": "/no/such/file"}, "cannot be read"),
        ({"client_key": __file__}, "client_cert"),
        ({"proxy": f"socks5://u:{KEY}@p"}, "the proxy must be"),
    ],
)
def test_wrong_options_are_told_without_their_secrets(spec: AnySpec, options: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text) as caught:
        spec.config(url="https://db.example", collection="c", **options)
    assert all(KEY not in item["msg"] for item in caught.value.errors())


@pytest.mark.parametrize("options", [{"headers": {"x": KEY}}, {"proxy": f"http://u:{KEY}@p:1"}])
def test_what_is_secret_in_options_of_a_command_is_not_stored(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"env:NAME|named connection") as caught:
        resolve_endpoint(Settings(), "target", type="qdrant", url="http://db", collection="c", options=options)
    assert KEY not in str(caught.value)
    fine = {"headers": {"x": "env:NAME"}, "proxy": "http://p:1"}
    found = resolve_endpoint(Settings(), "target", type="qdrant", url="http://db", collection="c", options=fine)
    assert found.options == fine
