"""A live migration as plain data: how it is to run, who has the authority, how far it is, and what is in its way."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any

from vectormigrate.model.schema import Json


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveOptions:
    """How a live migration is to run. Times in seconds."""

    fenced: bool = False
    """The operator has made sure that every writer goes through the gateway, or marks its writes."""
    source_deadline: float = 60.0
    """A request that was sent to the source takes effect within this time, or never: longer than the timeouts of
    client, gateway and server together."""
    target_deadline: float = 60.0
    """The same of the target."""
    one_way: bool = False
    """Accept that there is no way back after the cut-over."""
    lag_limit: float = 5.0
    """Ready only while the oldest change that is not applied yet is younger than this."""
    hook: str = ""
    """A command that is run at every transition, and may refuse it."""


class Pace(StrEnum):
    """What the operator allows the runner to do; capturing never stops."""

    FULL = "full"
    SLOW = "slow"
    """Changes are applied; copying and comparing wait."""
    PAUSED = "paused"
    """Nothing is read or written; the changes are only noted."""


class OrderVerb(StrEnum):
    """What another process may ask the runner for."""

    CUT_OVER = "cut_over"
    REVERSE = "reverse"
    COMPLETE = "complete"
    ABORT = "abort"
    THAW = "thaw"
    ACKNOWLEDGE = "acknowledge"
    FENCED = "fenced"


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchOptions:
    """How to cut over, or to reverse. Times in seconds. `strict`: compare every record while writes are held, else only
    those that were not compared since they were last written, with counts and a random sample. `pause`: give an
    attempt up when writes are held for longer. `budget`: try for as long as this. `rehearse`: everything but the
    switch. `postpone`: do all that can be done without holding writes, and wait for another order."""

    strict: bool = False
    pause: float = 4.0
    budget: float = 30.0
    rehearse: bool = False
    postpone: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchResult:
    """How a switch went. `held_ms`: how long writes were held; `statement`: what the last comparison proves."""

    migration_id: str
    switched: bool
    rehearsed: bool
    postponed: bool
    held_ms: float
    attempts: int
    text: str
    statement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order in the state file. `answer` is None until the runner has carried it out or refused it."""

    number: int
    migration_id: str
    verb: OrderVerb
    options: Mapping[str, Any]
    asked_at: str
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateCondition:
    """One of the conditions under which a switch is allowed. `reason`: what is in the way, empty when it is met."""

    name: str
    met: bool
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayPort:
    """A port for the application. `interface`: rest, grpc, or http for both on one. `repoint`: how the vendor's clients
    are pointed here, in lines for people."""

    name: str
    side: str
    interface: str
    address: str
    tls: bool = False
    repoint: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayInfo:
    """The gateway process, as it writes it to its file each second. Times in milliseconds but `at` and `started`, which
    are UTC texts; `added_…`: what our process adds to a write, `journal_…`: how long a transaction of the journal
    takes. `unserved`: sides whose server has no port here yet."""

    pid: int
    started: str
    at: str
    fail_open: bool = False
    http: str = ""
    ports: tuple[GatewayPort, ...] = ()
    unserved: tuple[str, ...] = ()
    admitted: int = 0
    refused: int = 0
    writes_per_second: float = 0.0
    added_ms_p50: float | None = None
    added_ms_p99: float | None = None
    journal_ms_p99: float | None = None
    held_longest_ms: float = 0.0

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> GatewayInfo:
        """What `to_json` made."""
        values: dict[str, Any] = dict(data)
        values["ports"] = tuple(_port(port) for port in data["ports"])
        values["unserved"] = tuple(data.get("unserved", ()))
        return GatewayInfo(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """Which side an application is to read and write. `epoch` grows with every switch. `writes`: open, or held while a
    switch is under way. `source`, `target`: locations without credentials."""

    migration_id: str
    side: str
    epoch: int
    phase: str
    writes: str
    source: str
    target: str

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Authority:
        """What `to_json` made."""
        return Authority(**data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What the comparisons of a live migration found so far, in records. `pass_done`: a whole pass over both sides has
    ended. `hot`: changed again and again while they were looked at. Errors and what is pending are not verified."""

    pass_done: bool = False
    verified: int = 0
    pending: int = 0
    hot: int = 0
    diverged: int = 0
    """That nobody has acknowledged yet."""
    errors: int = 0
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """What the runner measures, per second where it is a rate. `applied` and `reread` are rates of the last seconds."""

    applied: float = 0.0
    reread: float = 0.0
    fuse_blown: bool = False
    quarantined: int = 0
    longest_pause_ms: float = 0.0
    proof: Proof = field(default_factory=Proof)
    notices: tuple[str, ...] = ()
    at: str = ""

    def to_json(self) -> dict[str, Json]:
        """As JSON."""
        return asdict(self)

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> LiveFigures:
        """What `to_json` made."""
        values: dict[str, Any] = dict(data)
        proof: dict[str, Any] = dict(data["proof"])
        proof["examples"] = tuple(proof["examples"])
        values["proof"] = Proof(**proof)
        values["notices"] = tuple(data["notices"])
        return LiveFigures(**values)


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveStatus:
    """A live migration at one moment. `lag`: age of the oldest change that is not applied, in seconds; `drain_eta`:
    seconds until all are applied, None when their number grows. `dirty`, `in_doubt`, `under_way`, `parked`, `scopes`
    count keys, requests and parts of the side that has the authority. `tainted`: why a write may have been missed;
    `unnoted`: the same, where no journal has it yet. `gate`: what a switch needs."""

    phase: str
    epoch: int
    authority: str
    gateway: GatewayInfo | None = None
    gateway_alive: bool = False
    runner_alive: bool = False
    pace: Pace = Pace.FULL
    touched: int = 0
    dirty: int = 0
    lag: float = 0.0
    under_way: int = 0
    in_doubt: int = 0
    scopes: tuple[str, ...] = ()
    parked: int = 0
    parked_examples: tuple[str, ...] = ()
    rejected: int = 0
    """Records that the target refused while they were copied, and that nobody has touched since."""
    unverified: int = 0
    longest_mismatch: float = 0.0
    """Age of the oldest difference without a reason that nobody has acknowledged, in seconds."""
    tainted: tuple[str, ...] = ()
    unnoted: tuple[str, ...] = ()
    drain_eta: float | None = None
    rollback_blocked: str = ""
    figures: LiveFigures = field(default_factory=LiveFigures)
    gate: tuple[GateCondition, ...] = ()

    @property
    def ready(self) -> bool:
        """Whether a switch is allowed now."""
        return all(condition.met for condition in self.gate)

    def to_json(self) -> dict[str, Json]:
        """Every field."""
        return {**asdict(self), "ready": self.ready}


def with_changes(options: LiveOptions, changes: Mapping[str, Any]) -> LiveOptions:
    """The options with those changes that are not None."""
    return replace(options, **{name: value for name, value in changes.items() if value is not None})


def _port(data: Mapping[str, Any]) -> GatewayPort:
    values: dict[str, Any] = dict(data)
    values["repoint"] = tuple(data["repoint"])
    return GatewayPort(**values)
