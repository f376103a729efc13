"""Where a Pinecone index is."""

from __future__ import annotations

import os
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator

from vectormigrate.adapter.server_access import ServerConfig

DEFAULT_URL = "https://api.pinecone.io"
KEY_VARIABLE = "PINECONE_API_KEY"
CLOUD, REGION = "aws", "us-east-1"
"""Where an index is made for which nobody chose a place."""

NO_KEY = "none"
"""`cmek_id` of an index that is not to be encrypted with a customer's key."""


class PineconeConfig(ServerConfig):
    """`url` is the control plane; the data plane's host is asked for there. `collection` is the index name.

    `api_key` is taken from PINECONE_API_KEY when it is missing.
    `project`: any name for the project, to distinguish equal index names of two projects.
    `index_kind`, `cloud`, `region`, `environment`, `cmek_id`, `deletion_protection`, `dedicated_reads`: of an index
    that is created. A vector index is for the vectors API (at most one dense and one sparse field, whose names are
    fixed), a document index for the documents API. Without them the index is where, and as, the Pinecone index was
    from which its records come (also by way of another database), else in aws us-east-1. `environment`: one of your
    own (BYOC). `cmek_id`: the customer's key, `none` for no such encryption. `dedicated_reads`: whether read nodes of
    the index's own are made again.
    `pool_size`: most connections. `timeout`: seconds for one call, `connect_timeout`: for reaching the server.
    `ready_timeout`: seconds for an index to be created or deleted; `fresh_timeout`: for writes to show up in reads.
    `count_by_stats`: take counts from the index statistics instead of listing all ids: fast, but they lag.
    """

    url: str = DEFAULT_URL
    project: str = ""
    index_kind: Literal["vector", "document"] = "vector"
    cloud: str = ""
    region: str = ""
    environment: str = ""
    cmek_id: str = ""
    deletion_protection: bool | None = None
    dedicated_reads: bool = True
    pool_size: int = Field(default=64, ge=2, le=1000)
    timeout: float = Field(default=60.0, gt=0)
    connect_timeout: float = Field(default=10.0, gt=0)
    ready_timeout: float = Field(default=900.0, gt=0)
    fresh_timeout: float = Field(default=300.0, gt=0)
    count_by_stats: bool = False

    @field_validator("url")
    @classmethod
    def _known_url(cls, url: str) -> str:
        url = url.rstrip("/") or DEFAULT_URL
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("the url must be http(s)://host, or be left out for Pinecone's own service")
        if parts.username is not None or parts.query or parts.fragment:
            raise ValueError("the url may hold no user, query or fragment; the key goes into api_key")
        _ = parts.port
        return url

    @model_validator(mode="after")
    def _one_place(self) -> PineconeConfig:
        if self.environment and (self.cloud or self.region):
            raise ValueError("an index is in an environment of your own, or in a cloud and region, not in both")
        if bool(self.cloud) != bool(self.region):
            raise ValueError(
                "a place is a cloud and a region of it: give both, such as cloud=gcp and region=us-central1"
            )
        return self

    @field_validator("collection")
    @classmethod
    def _named(cls, collection: str) -> str:
        if not collection:
            raise ValueError("the index needs a name")
        return collection

    def key(self) -> str:
        """The API key, empty when there is none."""
        given = self.api_key.get_secret_value() if self.api_key is not None else ""
        return given or os.environ.get(KEY_VARIABLE, "")

    def location(self) -> str:
        """`pinecone:<url>[/<project>]#<index>`."""
        return f"pinecone:{self.url}{'/' if self.project else ''}{self.project}#{self.collection}"
