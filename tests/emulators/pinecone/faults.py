"""What can be made to go wrong, and when."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import dataclass, field
from typing import Literal

from tests.emulators.pinecone.errors import Refusal


@dataclass(slots=True, kw_only=True)
class Fault:
    """One misfortune for the next `times` requests of operation `op` (None: of any), after letting `skip` pass.

    `kind`: `refuse` answers `status` with `message` (and Retry-After) without doing anything; `lose` does the work and
    then drops the connection before the answer; `reset` drops it without doing anything; `stall` does the work and
    never answers, until the client gives up.
    """

    op: str | None = None
    kind: Literal["refuse", "reset", "lose", "stall"] = "refuse"
    status: int = 503
    message: str = "the service is unavailable"
    retry_after: str | None = None
    times: int = 1
    skip: int = 0

    def refusal(self) -> Refusal:
        headers = {} if self.retry_after is None else {"retry-after": self.retry_after}
        return Refusal(self.status, self.message, headers=headers)


@dataclass(slots=True)
class Knobs:
    """Settings of a running emulator; may be changed at any time.

    `lag`: a write is indexed (so that query, fetch, list and stats see it) once its namespace was queried that often
    since; None: not before `release`. `stale_reads` False: only query is behind, as with a service that fetches
    strongly. `no_lsn`: no LSN headers, as on pod indexes. `rates`: operation -> requests per second, beyond which 429.
    `token_epoch`: a change of it ends the life of all pagination tokens. `pages_back`: every page of ids is the first
    one. `ready_after`, `gone_after`: describes until an index is so. `max_indexes`: quota of the project. `cmek_ids`:
    its customer-managed keys. `environments`: those of its organization's own (BYOC).
    """

    lag: int | None = 0
    stale_reads: bool = True
    no_lsn: bool = False
    token_epoch: int = 0
    pages_back: bool = False
    rates: dict[str, int] = field(default_factory=dict[str, int])
    retry_after: bool = True
    ready_after: int = 0
    gone_after: int = 0
    max_indexes: int | None = None
    cmek_ids: frozenset[str] = frozenset({"key-1"})
    environments: frozenset[str] = frozenset({"aws-eu-central-1-b921"})
    faults: list[Fault] = field(default_factory=list[Fault])
    _spent: dict[str, deque[float]] = field(default_factory=dict[str, deque[float]])

    def strike(self, op: str) -> Fault | None:
        """The fault that hits this request, if any; counts it."""
        for fault in self.faults:
            if fault.op in (None, op):
                if fault.skip:
                    fault.skip -= 1
                    continue
                fault.times -= 1
                if fault.times <= 0:
                    self.faults.remove(fault)
                return fault
        return None

    def throttle(self, op: str) -> None:
        """Raises Refusal (429) above the rate of the operation."""
        allowed = self.rates.get(op)
        if allowed is None:
            return
        now = time.monotonic()
        spent = self._spent.setdefault(op, deque())
        while spent and spent[0] <= now - 1:
            spent.popleft()
        if len(spent) >= allowed:
            message = f"You've reached the max {op} requests per second: {allowed}"
            raise Refusal(429, message, headers={"retry-after": "1"} if self.retry_after else {})
        spent.append(now)
