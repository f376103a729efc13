"""What was asked for (spec) and what was decided (plan). Both are JSON in the state file and never hold a secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, TypeVar

from vectormigrate.figures import plural
from vectormigrate.model.position import Partition
from vectormigrate.model.schema import CollectionSchema, Json

T = TypeVar("T")


def _retyped(cls: type[T], data: Mapping[str, Any], **enums: type[StrEnum]) -> T:
    """`cls` from JSON whose enum members are plain text."""
    members: dict[str, Any] = {name: enum(data[name]) for name, enum in enums.items()}
    return cls(**{**data, **members})


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointRef:
    """A collection by reference: enough to connect again, without a credential.

    `connection` names an entry of the connections file; otherwise `type` and `url` are enough. `api_key_ref` is
    `env:NAME`, `given` (a key was typed and must be typed again) or None. `options` are further non-secret settings.
    """

    type: str
    collection: str
    url: str = ""
    connection: str | None = None
    api_key_ref: str | None = None
    options: Mapping[str, Json] = field(default_factory=dict[str, Json])
    location: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CopyOptions:
    """What to copy and how it may change: every such option of command line, MCP tools, library and state file."""

    namespaces: tuple[str, ...] | None = None
    """Source namespaces; None = all."""
    partitions: int | None = None
    """How many partitions are read at once; None = as many as pay."""
    plain: bool = False
    """Without origin sidecar: what it would bring back becomes a loss."""
    into_existing: bool = False
    """The target collection may exist, with records of others."""
    overwrite: bool = False
    """Records of the target with the same id are replaced, which no rollback brings back."""
    renames: Mapping[str, str] = field(default_factory=dict[str, str])
    """Metadata field -> its name on the target."""
    excludes: tuple[str, ...] = ()
    """Metadata fields to leave out."""
    vectors: tuple[str, ...] = ()
    """Vector fields to carry; empty = all. Naming some accepts the loss of the others."""
    accepted_losses: tuple[str, ...] = ()
    min_similarity: float = 0.98
    """Floor of the cosine between the vectors of a record and its copy, in 0…1."""

    def copy_options(self) -> dict[str, Any]:
        """These options alone, by name, as arguments of another class that has them."""
        # Pairs of names were the form of `renames` before; programs may still pass them.
        return {item.name: getattr(self, item.name) for item in fields(CopyOptions)} | {"renames": dict(self.renames)}


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationSpec(CopyOptions):
    """What the operator asked for. Changing any of it makes it another migration."""

    id: str
    source: EndpointRef
    target: EndpointRef

    def to_json(self) -> dict[str, Json]:
        """JSON without loss; tuples become lists."""
        return json.loads(json.dumps(asdict(self)))

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> MigrationSpec:
        """The spec that `to_json` wrote."""
        fixed: dict[str, Any] = dict(data)
        fixed["source"] = EndpointRef(**data["source"])
        fixed["target"] = EndpointRef(**data["target"])
        for name in ("namespaces", "excludes", "vectors", "accepted_losses"):
            fixed[name] = None if data.get(name, ()) is None else tuple(data.get(name, ()))
        return MigrationSpec(**fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How fast and how patiently to run; may change on resume."""

    batch_size: int = 100
    max_retries: int = 3
    validate_every: int = 10
    concurrency: int | None = None
    rate_limit: float | None = None
    """Records per second, over all partitions."""
    max_rejects: int = 0
    """How many rejected records the run may hold before it fails."""
    retry_rejects: bool = False
    wait_for_index: bool = True
    """Whether a run ends only when the target has built its indexes, not already when all records can be read."""


class Outcome(StrEnum):
    """What becomes of a part of the data."""

    EXACT = "exact"
    REVERSIBLE = "restored"
    LOSSY = "loss"

    @property
    def word(self) -> str:
        """The outcome for people: exact, reversible or lossy. Stored plans, `--json` and the tools have the values,
        which are older and which programs read."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldMapping:
    """One metadata field: `confidence` in 0…1 is the share of its sampled values that go over unconverted."""

    source_field: str
    target_field: str
    source_type: str
    target_type: str
    confidence: float
    conversion_needed: bool
    outcome: Outcome = Outcome.EXACT
    notes: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """Something the target cannot hold. `outcome` REVERSIBLE: kept in the sidecar or note, and restored on the round
    trip; LOSSY: gone, so it must be accepted by `name`. `count` is counted on the real data (None: it concerns the
    schema)."""

    name: str
    outcome: Outcome
    count: int | None
    detail: str

    def told(self) -> str:
        """The detail, and in how many records, for people."""
        if self.count is None:
            return self.detail
        return f"{self.detail}: {plural(self.count, 'record')}"


class CompareClass(StrEnum):
    """How exactly a vector field must agree: bit for bit, up to length, or within the storage type's bound."""

    EXACT = "exact"
    UNIT = "unit"
    TOL = "tol"


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorMapping:
    """One vector field and what happens to it: `dtype` is the target's storage type; `normalise` writes unit vectors
    and keeps length and rounding in the sidecar; `fill` writes zeros where a record has none and marks them."""

    source: str
    target: str
    dtype: str
    normalise: bool = False
    fill: bool = False
    compare: CompareClass = CompareClass.EXACT
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class MappingRules:
    """Everything `mapping.apply` needs, as JSON-able data.

    `id_strategy`: `native` (unchanged), `uuid5`, or `restore` is not needed: restoring a sidecar always comes first.
    `id_salt` goes into every derived id. `namespaces` maps source to target names, only those that differ.
    `target_limits` is the part of the target's Capabilities that encoding depends on (mapping/limits.py).
    """

    id_strategy: str
    id_salt: str
    vectors: tuple[VectorMapping, ...]
    namespaces: Mapping[str, str]
    renames: Mapping[str, str]
    excludes: tuple[str, ...]
    sidecar: bool
    accepted_losses: tuple[str, ...]
    target_limits: Mapping[str, Json]
    reserved_fields: tuple[str, ...] = ()
    restore_vectors: Mapping[str, str] = field(default_factory=dict[str, str])
    original_namespaces: Mapping[str, str] = field(default_factory=dict[str, str])
    """Source namespace -> what it was called at the origin, where an earlier migration had to rename it."""
    id_checks: bool = False
    """Sidecars know the record that they are written for (`at` in mapping/convert/origin.py). A plan of an older
    version resumes without: else what it wrote before would differ from what is expected now."""

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> MappingRules:
        """The rules that `asdict` + JSON wrote."""
        fixed: dict[str, Any] = dict(data)
        fixed["vectors"] = tuple(_retyped(VectorMapping, v, compare=CompareClass) for v in data["vectors"])
        for name in ("excludes", "accepted_losses", "reserved_fields"):
            fixed[name] = tuple(data[name])
        return MappingRules(**fixed)


@dataclass(frozen=True, slots=True, kw_only=True)
class MigrationPlan:
    """The decision, fixed at start and used unchanged by every resume.

    A plan with `unaccepted` losses cannot be started: `service.migrate` raises LossNotAccepted for it::

        plan = await service.plan(request)
        for loss in plan.losses:
            print(loss.name, loss.outcome.word, loss.count)  # datetime-type reversible 2000
        if plan.unaccepted:
            request = replace(request, accepted_losses=tuple(plan.unaccepted))
        status = await service.migrate(request)
    """

    spec: MigrationSpec
    source_schema: CollectionSchema
    target_schema: CollectionSchema
    target_exists: bool
    rules: MappingRules
    field_mappings: tuple[FieldMapping, ...]
    losses: tuple[Loss, ...]
    namespaces: Mapping[str, int]
    """Records per source namespace."""
    partitions: tuple[Partition, ...]
    total_records: int
    bytes_per_record: int
    profiled_records: int
    seconds_estimate: float | None = None
    warnings: tuple[str, ...] = ()
    collisions: int = 0
    """Records whose id the existing target holds already."""

    @property
    def unaccepted(self) -> list[str]:
        """Names of the losses that nobody accepted, sorted."""
        accepted = {*self.spec.accepted_losses, *self.rules.accepted_losses}
        return sorted({loss.name for loss in self.losses if loss.outcome is Outcome.LOSSY} - accepted)

    @property
    def refused(self) -> dict[str, str]:
        """What the losses that nobody accepted mean, by name: the detail, and in how many records."""
        told = {loss.name: loss for loss in self.losses if loss.outcome is Outcome.LOSSY}
        return {name: told[name].told() for name in self.unaccepted}

    def to_json(self) -> dict[str, Json]:
        """A JSON object that `from_json` reads back."""
        data = asdict(self)
        data["spec"] = self.spec.to_json()
        data["source_schema"] = self.source_schema.to_json()
        data["target_schema"] = self.target_schema.to_json()
        for name in ("original_namespaces", "id_checks"):
            if not data["rules"][name]:  # plans of older versions have none, and their fingerprints must hold
                del data["rules"][name]
        return json.loads(json.dumps(data))

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> MigrationPlan:
        """The plan that `to_json` wrote."""
        fixed: dict[str, Any] = dict(data)
        fixed["spec"] = MigrationSpec.from_json(data["spec"])
        fixed["source_schema"] = CollectionSchema.from_json(data["source_schema"])
        fixed["target_schema"] = CollectionSchema.from_json(data["target_schema"])
        fixed["rules"] = MappingRules.from_json(data["rules"])
        fixed["field_mappings"] = tuple(_retyped(FieldMapping, f, outcome=Outcome) for f in data["field_mappings"])
        fixed["losses"] = tuple(_retyped(Loss, loss, outcome=Outcome) for loss in data["losses"])
        fixed["partitions"] = tuple(Partition(**p) for p in data["partitions"])
        fixed["warnings"] = tuple(data["warnings"])
        return MigrationPlan(**fixed)

    def fingerprint(self) -> str:
        """BLAKE2b-128 of the decision: source, target, namespaces, schema, rules and partition bounds."""
        data = self.to_json()
        spec = data["spec"]
        content = {
            "source": spec["source"]["location"],
            "target": spec["target"]["location"],
            **{key: data[key] for key in ("source_schema", "target_schema", "rules", "namespaces", "partitions")},
        }
        text = json.dumps(content, sort_keys=True, separators=(",", ":"))
        return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
