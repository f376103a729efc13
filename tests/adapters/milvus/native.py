"""Milvus as another application uses it: plain calls beside the adapter."""

from __future__ import annotations

import base64
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

from tests.adapters.milvus.shapes import layout
from vectormigrate.adapters.milvus import MilvusConfig
from vectormigrate.adapters.milvus.client import Client, connected
from vectormigrate.adapters.milvus.embedded import served
from vectormigrate.adapters.milvus.encode import encode
from vectormigrate.adapters.milvus.indexes import pairs
from vectormigrate.adapters.milvus.proto import cp, pb, sp
from vectormigrate.model.batch import RecordBatch


class Native:
    """Calls of another client."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def create(self, name: str, schema: sp.CollectionSchema, **options: Any) -> None:
        schema = sp.CollectionSchema.FromString(schema.SerializeToString())
        schema.name = name
        request = pb.CreateCollectionRequest(
            collection_name=name, schema=schema.SerializeToString(), shards_num=1, **options
        )
        await self.client.call(request, cp.Status)

    async def index(self, name: str, field: str = "embedding", **params: str) -> None:
        wanted = {"index_type": "FLAT", "metric_type": "L2", **params}
        request = pb.CreateIndexRequest(
            collection_name=name, field_name=field, index_name=field, extra_params=pairs(wanted)
        )
        await self.client.call(request, cp.Status)

    async def load_partitions(self, name: str, partitions: list[str]) -> None:
        request = pb.LoadPartitionsRequest(collection_name=name, partition_names=partitions, replica_number=1)
        await self.client.call(request, cp.Status)

    async def create_partition(self, name: str, partition: str) -> None:
        await self.client.call(pb.CreatePartitionRequest(collection_name=name, partition_name=partition), cp.Status)

    async def user(self, name: str, password: str, role: str) -> None:
        """A new user with a new role, which has no right yet."""
        secret = base64.b64encode(password.encode()).decode()
        await self.client.call(pb.CreateCredentialRequest(username=name, password=secret), cp.Status)
        await self.client.call(pb.CreateRoleRequest(entity=pb.RoleEntity(name=role)), cp.Status)
        await self.client.call(pb.OperateUserRoleRequest(username=name, role_name=role), cp.Status)

    async def grant(self, role: str, privilege: str, collection: str) -> None:
        entity = pb.GrantEntity(
            role=pb.RoleEntity(name=role),
            object=pb.ObjectEntity(name="Collection"),
            object_name=collection,
            grantor=pb.GrantorEntity(privilege=pb.PrivilegeEntity(name=privilege)),
        )
        await self.client.call(pb.OperatePrivilegeRequest(entity=entity), cp.Status)

    async def load(self, name: str) -> None:
        await self.client.call(pb.LoadCollectionRequest(collection_name=name, replica_number=1), cp.Status)

    async def release(self, name: str) -> None:
        await self.client.call(pb.ReleaseCollectionRequest(collection_name=name), cp.Status)

    async def state(self, name: str) -> int:
        request = pb.GetLoadStateRequest(collection_name=name)
        return (await self.client.call(request, pb.GetLoadStateResponse)).state

    async def insert(self, name: str, batch: RecordBatch, schema: sp.CollectionSchema, partition: str = "") -> None:
        fields = encode(batch, layout(*schema.fields, dynamic=schema.enable_dynamic_field), lite=True).fields
        await self.send(name, fields, len(batch), partition)

    async def send(self, name: str, fields: list[sp.FieldData], count: int, partition: str = "") -> None:
        request = pb.InsertRequest(collection_name=name, partition_name=partition, fields_data=fields, num_rows=count)
        await self.client.call(request, pb.MutationResult)

    async def alias(self, name: str, alias: str) -> None:
        await self.client.call(pb.CreateAliasRequest(collection_name=name, alias=alias), cp.Status)


@asynccontextmanager
async def native(config: MilvusConfig) -> AsyncGenerator[Native, None]:
    """Another client of the same Milvus."""
    if config.lite:
        async with served(config.path(), config.lock_wait) as address, connected(config, address) as (client, _):
            yield Native(client)
    else:
        async with connected(config, config.address()) as (client, _):
            yield Native(client)
