"""Decides over a request before it is forwarded: note it, pass it, hold it, refuse it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import anyio

from vectormigrate.adapter.operations import Change, Chosen, CollectionFacts, Effect, Operations
from vectormigrate.capture.classify import Head, Touch, classify, question, touched_by_answer
from vectormigrate.capture.gateway.asking import MOST, Asker
from vectormigrate.capture.gateway.figures import Figures, percentile
from vectormigrate.capture.gateway.messages import Refusal
from vectormigrate.capture.journal.group_commit import GroupCommit
from vectormigrate.capture.journal.records import Admitted, Held, Intent, Outcome, Refused, Scope, Unnoted
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.phases import ENDED, LivePhase, admits, authority
from vectormigrate.errors import JournalError

HOLD_SECONDS = 4.0
"""How long a request is held while no write is admitted. The shortest deadline of the vendors' clients is 5 s."""

EARLY_SECONDS = 2.0
"""How long a request counts as under way after its answer where that only says that it will take effect."""

MARGIN_SECONDS = 0.5
"""A request with a deadline of its own is answered this long before it."""

NOT_HERE = 7
"""PERMISSION_DENIED, for what will never be admitted: pymilvus sends what is refused with FAILED_PRECONDITION again for
minutes."""

LOOK_SECONDS = 0.025
"""Between two looks whether writes are admitted again."""

_TIMEOUT = re.compile(r"(\d{1,8})([HMSmun])")
_UNITS = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


@dataclass(frozen=True, slots=True, kw_only=True)
class Collection:
    """The collection behind a port. `names`: every name that requests may use for it, aliases included; None in them:
    requests to this port name none. `facts` by these names. `asker`: asks the server behind the port what a request
    chooses by a filter; without one, that is found later by comparing both sides."""

    side: Side
    operations: Operations
    names: frozenset[str | None]
    facts: Mapping[str, CollectionFacts] = field(default_factory=dict[str, CollectionFacts])
    asker: Asker | None = None


@dataclass(frozen=True, slots=True)
class Pass:
    """Forward it; nothing has to be noted."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Forward it; `seq` is to be settled with how it ended. `assigned`: the ids are in the answer. `known`: what the
    operation does is; `stepwise`, `early`: as the touch's."""

    seq: int
    assigned: bool
    known: bool = True
    stepwise: bool = False
    early: bool = False


Decision = Pass | Noted | Refusal


class Admissions:
    """What all requests of a gateway share. `fail_open`: forward without the journal when that fails; `tainted` hears
    why then, before anything is forwarded. `phase`: as it was seen last, which counts where the journal fails."""

    def __init__(
        self, journal: GroupCommit, *, fail_open: bool = False, tainted: Callable[[str], None] = lambda reason: None
    ) -> None:
        self.figures = Figures()
        self.phase: LivePhase | None = None
        self._journal = journal
        self._fail_open = fail_open
        self._tainted = tainted

    def journal_ms(self, share: float) -> float | None:
        """How many milliseconds this share of the journal's latest transactions took at most, its flush included."""
        seconds = percentile(self._journal.took, share)
        return None if seconds is None else seconds * 1e3

    async def decide(self, collection: Collection, head: Head, body: bytes, *, patient: bool = False) -> Decision:
        """Over a whole request. Returns when its intent is on the disk. `patient`: it is never refused because it was
        held for too long."""
        began = anyio.current_time()
        touch = classify(collection.operations, head, body, collection.facts)
        decision = await self.decide_touch(collection, touch, head, patient=patient, began=began)
        if isinstance(decision, Noted) and collection.asker is not None and _chooses(touch):
            try:
                await self._name(collection, collection.asker, head, body, touch, decision)
            except BaseException as error:
                if isinstance(error, JournalError) and self._fail_open:
                    return decision  # its scope is on the disk, and enough
                # Nothing is forwarded, and nobody else knows of the intent.
                self._journal.settle(Outcome(seq=decision.seq, side=collection.side, definite=True, no_effect=True))
                raise
        return decision

    async def _name(
        self, collection: Collection, asker: Asker, head: Head, body: bytes, touch: Touch, noted: Noted
    ) -> None:
        """Put the keys that the request chooses in the place of its scope, if the server lists all of them."""
        asked = question(collection.operations, head, body, collection.facts, most=MOST)
        listed = None if asked is None else await asker.ask(asked, head.headers)
        if listed is not None and listed.complete:
            (scope,) = touch.scopes
            intent = Intent(
                side=collection.side,
                keys=[Key(scope.namespace, record_id) for record_id in listed.ids],
                deletes=scope.change is Change.DELETE,
                names=noted.seq,
            )
            await self._journal.admit(intent)

    async def decide_touch(
        self, collection: Collection, touch: Touch, head: Head, *, patient: bool = False, began: float | None = None
    ) -> Decision:
        """As `decide`, over what a request or a message of it touches. `began`: when it came, default now."""
        if touch.effect in (Effect.READ, Effect.NONE):
            return Pass()
        intent, assigned = _intent(collection, touch)
        if not intent.keys and not intent.scopes and not assigned:
            return Pass()
        if self.phase is not None and _ended(self.phase, collection.side):
            return Pass()
        if touch.effect in (Effect.SCHEMA, Effect.WHOLE):
            self.figures.refused += 1
            return _blocked(touch)
        patience = float("inf") if patient else _patience(head.headers)
        try:
            decision = await self.admit(intent, patience, assigned=assigned, began=began)
        except JournalError as error:
            if not self._fail_open:
                raise
            if self.phase is not None and admits(self.phase) is not collection.side:
                return _unjournaled(self.phase)
            self._tainted(str(error))
            return Pass()
        if isinstance(decision, Noted):
            return replace(decision, known=bool(touch.operation), stepwise=touch.stepwise, early=touch.early)
        return decision

    async def admit(
        self, intent: Intent, seconds: float, *, assigned: bool = False, began: float | None = None
    ) -> Decision:
        """Note an intent, or refuse it; while no write is admitted it waits for up to so many seconds. Once the
        migration has ended, writes to the side that has the authority pass. Raises JournalError."""
        began = anyio.current_time() if began is None else began
        held_since: float | None = None
        while True:
            admission = await self._journal.admit(intent)
            now = anyio.current_time()
            if isinstance(admission, Held) and now + LOOK_SECONDS < began + seconds:
                held_since = held_since or now
                self.figures.holding += 1
                try:
                    await anyio.sleep(LOOK_SECONDS)
                finally:
                    self.figures.holding -= 1
                continue
            held = 0.0 if held_since is None else now - held_since
            self.figures.write(now - began, admitted=isinstance(admission, Admitted), held=held)
            match admission:
                case Admitted(seq):
                    return Noted(seq, assigned)
                case Refused(phase, epoch):
                    if _ended(phase, intent.side):
                        return Pass()
                    return Refusal(
                        status=409,
                        grpc_status=NOT_HERE,
                        text=f"writes to the {intent.side.value} have ended (epoch {epoch}, {phase.value}); "
                        f"write to the {intent.side.other.value}",
                        epoch=epoch,
                    )
                case Unnoted():
                    return Pass()
                case Held(phase):
                    return Refusal(
                        status=503,
                        grpc_status=14,
                        text=f"writes are held while the migration is {phase.value}; try again",
                        retry_after=1,
                    )

    def ended(
        self,
        collection: Collection,
        noted: Noted,
        *,
        definite: bool,
        refused: bool,
        touch: Touch | None,
        no_effect: bool = False,
    ) -> None:
        """How a noted request ended; `touch`: what its answer named, where ids were assigned and it was not refused.
        `no_effect`: it was refused before any of it was done."""
        keys: tuple[Key, ...] = ()
        scopes: tuple[Scope, ...] = ()
        if noted.assigned and not refused:
            if touch is None:
                reason = "the ids that the server assigned are not known: its answer was lost"
                scopes = (Scope(None, reason, ids_only=True),)
            else:
                intent, _ = _intent(collection, touch)
                keys, scopes = tuple(intent.keys), tuple(intent.scopes)
        outcome = Outcome(
            seq=noted.seq, side=collection.side, definite=definite, keys=keys, scopes=scopes, no_effect=no_effect
        )
        if noted.early and definite and not refused:
            # Its keys must not be settled by what is read now. If this process ends before that, it is in doubt.
            asyncio.get_running_loop().call_later(EARLY_SECONDS, self._journal.settle, outcome)
        else:
            self._journal.settle(outcome)


def answer_touch(
    collection: Collection, head: Head, body: bytes, answer_headers: Mapping[str, str], answer: bytes
) -> Touch:
    """What the answer to a request with assigned ids names."""
    return touched_by_answer(collection.operations, head, body, answer_headers, answer, collection.facts)


def _intent(collection: Collection, touch: Touch) -> tuple[Intent, bool]:
    """What of the touch concerns the collection, and whether the answer names more of it."""
    names = collection.names
    keys = [
        Key(keys.namespace, record_id)
        for keys in touch.keys
        if keys.collection is None or keys.collection in names
        for record_id in keys.ids
    ]
    scopes: list[Scope] = []
    assigned = False
    for scope in touch.scopes:
        if scope.collection is None or scope.collection in names:
            if scope.chosen is Chosen.ASSIGNED:
                assigned = True
            else:
                reason = touch.reason or f"{touch.operation} ({scope.chosen.value})"
                scopes.append(Scope(scope.namespace, reason, ids_only=scope.change is Change.DELETE))
    deletes = not scopes and not assigned and all(each.change is Change.DELETE for each in touch.keys)
    return Intent(side=collection.side, keys=keys, scopes=scopes, deletes=deletes, assigns=assigned), assigned


def _chooses(touch: Touch) -> bool:
    """Whether one filter is all that makes the request unclear. One of several steps may choose what another made."""
    return [scope.chosen for scope in touch.scopes] == [Chosen.FILTER] and not touch.stepwise


def _ended(phase: LivePhase, side: Side) -> bool:
    """Whether nothing is captured any more, and this is the side to write to."""
    return phase in ENDED and authority(phase) is side


def _unjournaled(phase: LivePhase) -> Refusal:
    text = f"the journal cannot be used, and in phase {phase.value} no write goes to this side without it"
    return Refusal(status=503, grpc_status=14, text=text, retry_after=1)


def _blocked(touch: Touch) -> Refusal:
    return Refusal(
        status=409,
        grpc_status=NOT_HERE,
        text=f"{touch.operation or 'this operation'} changes the collection as a whole, which a live migration cannot "
        "follow; wait until it is completed or aborted",
    )


def _patience(headers: Mapping[str, str]) -> float:
    """How long the client waits at least; that of gRPC stands in a header."""
    match = _TIMEOUT.fullmatch(headers.get("grpc-timeout", ""))
    if match is None:
        return HOLD_SECONDS
    return max(0.0, min(HOLD_SECONDS, int(match[1]) * _UNITS[match[2]] - MARGIN_SECONDS))
