"""Settings and named connections."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import SecretStr
from pydantic_settings import BaseSettings

from vectormigrate.model.schema import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """A collection as the operator named it. Either `connection` (a name in the connections file) or `type` + `url`.

    `api_key` is the resolved secret; `api_key_ref` is what may be stored: `env:NAME`, `given` or None.
    """

    collection: str
    type: str = ""
    url: str = ""
    connection: str | None = None
    api_key: SecretStr | None = None
    api_key_ref: str | None = None
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])


class Settings(BaseSettings):
    """flag > environment VECTORMIGRATE_* > file > default."""

    state: Path = Path("state.db")
    config: Path | None = None
