"""The memory adapter: as it is, and with the limits of every other adapter. Nothing survives the process."""

from __future__ import annotations

from tests.harness.base import Deviation, DeviationKind, Harness
from vectormigrate import registry
from vectormigrate.adapter import Capabilities
from vectormigrate.adapters.memory import CAPABILITIES, MemoryConfig


class MemoryHarness(Harness):
    adapter = "memory"
    deviations = (
        Deviation(
            requirement="durability:survives-a-killed-writer",
            kind=DeviationKind.NEVER,
            reason="the data lives in the process that wrote it",
        ),
        Deviation(
            requirement="durability:close-releases",
            kind=DeviationKind.NEVER,
            reason="no other process can see the data",
        ),
    )

    def __init__(self, name: str, profile: Capabilities | None = None) -> None:
        self.name = name
        self._profile = profile
        self.in_matrix = profile is None

    @property
    def capabilities(self) -> Capabilities:
        return self._profile or CAPABILITIES

    def config(self, collection: str) -> MemoryConfig:
        return MemoryConfig(url=f"memory://{self.name}", collection=collection, profile=self._profile)


HARNESSES = (
    MemoryHarness("memory"),
    *(
        MemoryHarness(f"memory-as-{name}", registry.load(name).capabilities)
        for name in registry.names()
        if name != "memory"
    ),
)
