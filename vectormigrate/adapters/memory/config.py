"""Where a memory collection is and which limits it keeps."""

from __future__ import annotations

import re

from pydantic import field_validator

from vectormigrate.adapter import (
    Capabilities,
    ConnectionConfig,
)
from vectormigrate.adapters.memory.capabilities import CAPABILITIES
from vectormigrate.errors import ConfigError

_PROFILES: dict[str, Capabilities] = {}


def register_profile(name: str, capabilities: Capabilities) -> None:
    """Make `profile=name` open collections with these limits, from now on and in this process."""
    _PROFILES[name] = capabilities


class MemoryConfig(ConnectionConfig):
    """`url` is `memory://NAME`: stores of one name are the same store, as long as the process lives.

    `profile` is the Capabilities of another database, or the name under which `register_profile` knows them.
    """

    url: str = "memory://default"
    profile: Capabilities | str | None = None

    @field_validator("url")
    @classmethod
    def _memory_url(cls, url: str) -> str:
        if not re.fullmatch(r"memory://[^/?#]+", url):
            raise ValueError(f"{url!r} is not of the form memory://NAME")
        return url

    @property
    def store(self) -> str:
        """Name of the store."""
        return self.url.removeprefix("memory://")

    def location(self) -> str:
        return f"{self.url}/{self.collection}"

    def limits(self) -> Capabilities:
        """The limits to keep. Raises ConfigError for an unknown profile."""
        if self.profile is None:
            return CAPABILITIES
        if isinstance(self.profile, Capabilities):
            return self.profile
        if self.profile not in _PROFILES:
            raise ConfigError(f"unknown memory profile {self.profile!r}; registered: {', '.join(sorted(_PROFILES))}")
        return _PROFILES[self.profile]
