"""A real server with authentication, which runs for its test alone."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.adapters.milvus.native import native
from tests.adapters.milvus.shapes import SCHEMA, everything, records
from tests.harness.milvus_server import standalone
from tests.support.connected import connected
from tests.support.tls import authority, tls
from vectormigrate.adapters.milvus import SPEC, MilvusConfig
from vectormigrate.errors import AuthFailed, InvalidRequest, Unavailable

pytestmark = [pytest.mark.anyio, pytest.mark.server]


async def test_a_wrong_key_is_told_and_a_right_one_works_with_and_without_tls(tmp_path: Path) -> None:
    pytest.importorskip("milvus")
    with standalone(authorization=True) as url:
        for key in (None, SecretStr("root:wrong"), SecretStr("nonsense")):
            with pytest.raises(AuthFailed) as caught:
                async with connected(SPEC, MilvusConfig(url=url, collection="c", api_key=key)):
                    pass
            assert "wrong" not in str(caught.value)
        named = url.replace("http://", "http://root:Milvus@")
        for config in (
            MilvusConfig(url=url, collection="c", api_key=SecretStr("root:Milvus")),
            MilvusConfig(url=named, collection="c"),
        ):
            async with connected(SPEC, config) as target:
                await target.create(SCHEMA)
                assert await target.upsert(records([1])) == []
                assert await target.count() == 1
                await target.drop()
        await reading_only(url)
        await encrypted(int(url.rpartition(":")[2]), tmp_path)


async def encrypted(port: int, folder: Path) -> None:
    """The same server as a cloud offers it: https and a token."""
    made = authority(folder, "localhost")
    ca = made.ca
    async with tls(port, made, anybody=True) as secure:
        url = f"https://localhost:{secure}"
        token = SecretStr("root:Milvus")
        with pytest.raises(AuthFailed):
            async with connected(SPEC, MilvusConfig(url=url, collection="c", ca_file=ca)):
                pass
        for untrusted in (
            MilvusConfig(url=url, collection="c", api_key=token, connect_timeout=2),
            MilvusConfig(url=f"http://localhost:{secure}", collection="c", api_key=token, connect_timeout=2),
        ):
            with pytest.raises(Unavailable):
                async with connected(SPEC, untrusted):
                    pass
        async with connected(SPEC, MilvusConfig(url=url, collection="c", ca_file=ca, api_key=token)) as target:
            await target.create(SCHEMA)
            assert await target.upsert(records([1, 2])) == []
            (page,) = await everything(target)
            assert page.ids == [1, 2]
            await target.drop()


async def reading_only(url: str) -> None:
    """With the right to query a collection, and no other."""
    admin = MilvusConfig(url=url, collection="docs", api_key=SecretStr("root:Milvus"))
    async with connected(SPEC, admin) as target:
        await target.create(SCHEMA)
        await target.upsert(records([1, 2]))
        await target.finalize()
    config = admin.model_copy(update={"api_key": SecretStr("reader:Passw0rd!")})
    async with native(admin) as client:
        await client.user("reader", "Passw0rd!", "reading")
        await client.grant("reading", "Query", "docs")
    async with connected(SPEC, config) as source:
        assert (await source.describe()).vectors
        assert await source.count() == 2
        assert [batch.ids for batch in await everything(source)] == [[1, 2]]
    async with native(admin) as client:
        await client.create_partition("docs", "a")
    async with connected(SPEC, config) as source:
        with pytest.raises(AuthFailed, match="ShowPartitions"):
            await source.namespaces()
    async with native(admin) as client:
        await client.release("docs")
        await client.grant("reading", "ShowPartitions", "docs")
        await client.load_partitions("docs", ["_default"])
    async with connected(SPEC, config) as source:
        assert await source.count("") == 2
        with pytest.raises(InvalidRequest, match="not loaded"):
            await source.count()
