"""The memory adapter: nothing to start, nothing survives the process."""

from __future__ import annotations

from tests.harness.base import Deviation, DeviationKind, Harness
from vectormigrate.adapters.memory import MemoryConfig


class MemoryHarness(Harness):
    name = "memory"
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

    def config(self, collection: str) -> MemoryConfig:
        return MemoryConfig(url="memory://conformance", collection=collection)


HARNESSES = (MemoryHarness(),)
