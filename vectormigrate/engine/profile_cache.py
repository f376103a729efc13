"""What one plan learned from its source, for the next plan over the same source.

A profile is evidence, not a promise: records that came since and need what it does not show become rejects. It is used
again only while everything that can be seen without reading the records is as it was.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from vectormigrate.engine.planning_progress import OpenStore
from vectormigrate.errors import StateError, option
from vectormigrate.figures import plural
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.plan import MappingRules, MigrationSpec
from vectormigrate.model.position import Partition
from vectormigrate.model.schema import CollectionSchema
from vectormigrate.state.profiles import KeptProfile
from vectormigrate.state.records import json_text, utc_text

FORMAT = 1
"""Changes when what is counted, or how, changes."""


def source_key(
    spec: MigrationSpec,
    schema: CollectionSchema,
    namespaces: Mapping[str, int],
    partitions: Sequence[Partition],
    limit: int | None,
) -> str:
    """A digest of the source as it looks from outside (place, schema, counts, bounds) and of how much is read."""
    shown = [asdict(item) for item in partitions]
    return _digest([FORMAT, spec.source.location, schema.to_json(), dict(namespaces), shown, limit])


def _digest(data: Any) -> str:
    return hashlib.blake2b(json_text(data).encode(), digest_size=16).hexdigest()


@dataclass(slots=True, kw_only=True)
class Evidence:
    """`losses`: what was counted with the rules of this digest. `rate`: records per second of a read with vectors."""

    made_at: str = field(default_factory=utc_text)
    profile: Profile = field(default_factory=Profile)
    losses: dict[str, Counter[str]] = field(default_factory=dict[str, Counter[str]])
    rate: float | None = None
    bytes_per_record: int = 0

    def counted(self, rules: MappingRules) -> Counter[str] | None:
        """The losses that were counted with these very rules."""
        return self.losses.get(_digest(asdict(rules)))

    def count(self, rules: MappingRules, losses: Counter[str]) -> None:
        """Remember what was counted with these rules."""
        self.losses[_digest(asdict(rules))] = losses

    def kept(self) -> KeptProfile:
        """For the state file."""
        evidence = {
            "profile": self.profile.to_json(),
            "losses": {key: dict(losses) for key, losses in self.losses.items()},
            "rate": self.rate,
            "bytes_per_record": self.bytes_per_record,
        }
        return KeptProfile(made_at=self.made_at, evidence=evidence)

    @staticmethod
    def of(kept: KeptProfile) -> Evidence:
        """From the state file."""
        data: Any = kept.evidence
        return Evidence(
            made_at=kept.made_at,
            profile=Profile.from_json(data["profile"]),
            losses={key: Counter(losses) for key, losses in data["losses"].items()},
            rate=data["rate"],
            bytes_per_record=data["bytes_per_record"],
        )

    def told(self) -> str:
        """That a plan rests on this, for the operator."""
        read = plural(self.profile.records, "record")
        return (
            f"planned from the profile of {self.made_at[11:16]} UTC ({read}), because the source has the same schema "
            "and counts as then; a record that was changed since and needs a loss that the profile does not show "
            f"becomes a reject; {option('request.fresh', True)} reads the metadata again"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Where evidence is kept. `reader` and `writer` open the state file; without a writer nothing is kept, without a
    reader nothing is used."""

    reader: OpenStore | None = None
    writer: OpenStore | None = None

    async def recall(self, key: str) -> Evidence | None:
        """What an earlier plan learned about this."""
        if self.reader is None:
            return None
        async with self.reader() as store:
            found = await store.profiles.find(key)
        return None if found is None else Evidence.of(found)

    async def keep(self, key: str, evidence: Evidence) -> None:
        """Keep it, if the state file can be written: a plan that is only shown must not fail for that."""
        if self.writer is not None:
            with suppress(StateError):
                async with self.writer() as store:
                    await store.profiles.save(key, evidence.kept())
