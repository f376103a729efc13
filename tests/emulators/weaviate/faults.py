"""What can be made to go wrong, and when."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


class Refusal(Exception):
    """A request that is refused: `status` over REST, code UNKNOWN over gRPC unless `code` says otherwise."""

    def __init__(self, text: str, status: int = 422, *, code: str = "UNKNOWN", inner: str | None = None) -> None:
        super().__init__(text)
        self.text = text
        self.status = status
        self.code = code
        self.inner = inner or text
        """The bare text, as it is reported for one object of a batch."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One misfortune for the next `times` requests of operation `op` (None: of any), after letting `skip` pass.

    Operations are the RPC names (`Search`, `BatchObjects`, …) and `METHOD /path` up to the first name (`GET /schema`,
    `PUT /objects`). `kind`: `refuse` answers `code` (gRPC) or `status` (REST) with `message`, doing nothing; `lose`
    does the work and breaks the connection before the answer; `stall` does the work and never answers; `reset` breaks
    the connection at once.
    """

    op: str | None = None
    kind: Literal["refuse", "lose", "stall", "reset"] = "refuse"
    code: str = "UNAVAILABLE"
    status: int = 503
    message: str = "the server is shutting down"
    retry_after: str | None = None
    times: int = 1
    skip: int = 0


@dataclass(slots=True, kw_only=True)
class Knobs:
    """Settings of a running emulator; may be changed at any time.

    `query_maximum`, `query_default`: QUERY_MAXIMUM_RESULTS and QUERY_DEFAULTS_LIMIT. `hidden`: ids that reads do not
    show, as a replica that lags behind. `cold_after`: (class, tenant) -> searches until the tenant is switched off.
    `read_only`: classes whose shards refuse writes. `busy`: answers of `/shards` that say INDEXING. `offload`: the
    server has a place for offloaded tenants. `batch_errors`: uuid text -> error that writing this object gives.
    """

    query_maximum: int = 10_000
    query_default: int = 10
    hidden: set[str] = field(default_factory=set[str])
    cold_after: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    read_only: set[str] = field(default_factory=set[str])
    busy: int = 0
    offload: bool = True
    batch_errors: dict[str, str] = field(default_factory=dict[str, str])
    faults: list[Fault] = field(default_factory=list[Fault])

    def strike(self, op: str) -> Fault | None:
        """The fault that hits this request, if any; counts it."""
        for fault in self.faults:
            if fault.op not in (None, op) or not fault.times:
                continue
            if fault.skip:
                fault.skip -= 1
                continue
            fault.times -= 1
            return fault
        return None
