"""Intents of writers that do not come through Envoy: they mark a write here before they make it, and close the mark.

Nothing is written by it. A mark that is never closed is in doubt after its life, as a request without an answer is.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from uuid import UUID

from vectormigrate.adapter.operations import Operations
from vectormigrate.adapter.wire_walker import Unreadable
from vectormigrate.capture.gateway.admission import HOLD_SECONDS, Admissions, Noted, Pass
from vectormigrate.capture.gateway.messages import Refusal
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.records import Intent, Outcome, Scope
from vectormigrate.capture.keys import Key, Side
from vectormigrate.errors import ConfigError
from vectormigrate.figures import counted
from vectormigrate.model.clock import steady_seconds
from vectormigrate.model.ids import IdKind, RecordId
from vectormigrate.model.schema import Json

MOST_KEYS = 10_000
LIFE_SECONDS = 300.0
LONGEST_LIFE = 3600.0

IdReader = Callable[[Json], RecordId]
"""An id as JSON has it; raises Unreadable."""


class Marks:
    """`readers`: of each side's ids. `secret`: tokens are signed with it, so that they survive this process."""

    def __init__(
        self, admissions: Admissions, journal: GroupCommit, readers: Mapping[Side, IdReader], secret: str
    ) -> None:
        self._admissions = admissions
        self._journal = journal
        self._readers = readers
        self._secret = secret.encode()
        self._ends: dict[int, tuple[float, Side]] = {}

    async def open(self, body: Json) -> str | Refusal | None:
        """The token of a mark, on the disk; None when nothing has to be marked any more; a refusal. Raises ConfigError
        for a body that is none, JournalError."""
        intent, life, wait = self._intent(body)
        decision = await self._admissions.admit(intent, wait)
        match decision:
            case Noted(seq):
                self._ends[seq] = (steady_seconds() + life, intent.side)
                return f"{intent.side.value}-{seq}-{self._signature(intent.side, seq)}"
            case Pass():
                return None
            case _:
                return decision

    def close(self, token: str, *, definite: bool) -> bool:
        """How the marked write ended; returns whether there can be such a mark. Repeatable."""
        name, _, rest = token.partition("-")
        number, _, signature = rest.partition("-")
        if name not in (Side.SOURCE, Side.TARGET) or not number.isdecimal() or len(number) > 18:
            return False
        side, seq = Side(name), int(number)
        if not hmac.compare_digest(signature, self._signature(side, seq)):
            return False
        self._ends.pop(seq, None)
        self._journal.settle(Outcome(seq=seq, side=side, definite=definite))
        return True

    def sweep(self) -> None:
        """Those whose life is over are in doubt."""
        now = steady_seconds()
        for seq in [seq for seq, (until, _) in self._ends.items() if until < now]:
            _, side = self._ends.pop(seq)
            self._journal.settle(Outcome(seq=seq, side=side, definite=False))

    def _signature(self, side: Side, seq: int) -> str:
        return hmac.new(self._secret, f"{side.value}-{seq}".encode(), hashlib.sha256).hexdigest()[:24]

    def _intent(self, body: Json) -> tuple[Intent, float, float]:
        if not isinstance(body, dict):
            raise ConfigError('a mark is an object such as {"keys": [{"id": 1}]}')
        unknown = sorted(set(body) - {"side", "keys", "scope", "deletes", "life", "wait"})
        if unknown:
            raise ConfigError(f"a mark has no member {unknown[0]!r}")
        side = body.get("side", "source")
        if side not in ("source", "target"):
            raise ConfigError("side is source or target")
        side = Side(str(side))
        keys, scopes = self._keys(side, body.get("keys")), _scopes(body.get("scope"))
        if not keys and not scopes:
            raise ConfigError("a mark names keys or a scope")
        life = _seconds(body.get("life", LIFE_SECONDS), LONGEST_LIFE)
        wait = _seconds(body.get("wait", HOLD_SECONDS), 60.0)
        deletes = body.get("deletes", False) is True and not scopes
        return Intent(side=side, keys=keys, scopes=scopes, deletes=deletes), life, wait

    def _keys(self, side: Side, value: Json) -> list[Key]:
        if value is None:
            return []
        if not isinstance(value, list) or len(value) > MOST_KEYS:
            raise ConfigError(f"keys is a list of at most {counted(MOST_KEYS)} objects")
        found: list[Key] = []
        for item in value:
            if not isinstance(item, dict) or set(item) - {"namespace", "id"} or item.get("id") is None:
                raise ConfigError('a key is an object such as {"namespace": "", "id": 1}; without namespace, in any')
            try:
                found.append(Key(_namespace(item.get("namespace")), self._readers[side](item["id"])))
            except Unreadable as error:
                raise ConfigError(f"an id that the {side.value} cannot hold: {error}") from error
        return found


def _namespace(value: Json) -> str | None:
    if value is None or isinstance(value, str):
        return value
    raise ConfigError("a namespace is text")


def _scopes(value: Json) -> list[Scope]:
    if value is None:
        return []
    if not isinstance(value, dict) or set(value) - {"namespace", "reason"}:
        raise ConfigError('a scope is an object such as {"namespace": "a"}; without namespace, everything')
    return [Scope(_namespace(value.get("namespace")), str(value.get("reason") or "a write was marked without keys"))]


def _seconds(value: Json, most: float) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= most:
        return float(value)
    raise ConfigError(f"life and wait are seconds, at most {counted(int(most))}")


def id_reader(operations: Operations | None, kinds: frozenset[IdKind]) -> IdReader:
    """By the database's own rules, else by the kinds of ids that it can hold."""
    if operations is not None:
        return operations.forms.json_id

    def read(value: Json) -> RecordId:
        if isinstance(value, bool) or not isinstance(value, int | str):
            raise Unreadable("an id is a number or text")
        if isinstance(value, str) and IdKind.UUID in kinds and IdKind.STRING not in kinds:
            try:
                return UUID(value)
            except ValueError:
                raise Unreadable("no UUID") from None
        return value

    return read
