"""The gateway's part of the journal: intents before requests are forwarded, outcomes after they were answered."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import orjson

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.packing import pack_id
from vectormigrate.capture.journal.phase import position
from vectormigrate.capture.journal.records import (
    Admission,
    Admitted,
    Held,
    Intent,
    Outcome,
    Position,
    Refused,
    Scope,
    Unnoted,
)
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.phases import ENDED, admits, authority
from vectormigrate.model.clock import utc_text
from vectormigrate.model.ids import id_key

Clock = Callable[[], int]
"""Milliseconds of a clock that is never set: it may only start again with the machine."""

BEAT_SECONDS = 1.0
"""Between two signs of life of the gateway."""

LOST_BEATS = 5
"""So many missing in a row mean that it does not run any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A gateway process as the journal knows it. `nonce` differs from that of every other one."""

    number: int
    nonce: str
    found_unclean: bool
    """The process before this one did not end in order."""


class Intents:
    """Admits requests and settles them. Every call is a transaction of its own, on the disk when it returns when the
    connection is durable. Raises JournalError: then nothing of the call happened, and nothing may be forwarded."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock

    def begin_session(self, *, fail_open: bool, nonce: str | None = None) -> Session:
        """Enter this process, under a nonce of its own (default: a new one). Whatever an earlier one had under way is
        in doubt from now, in full. One that forwarded without a journal when that failed (`fail_open`), and did not
        end in order, may have lost the note of it: a taint."""
        connection, now = self._connection, self._clock()
        nonce = nonce or secrets.token_hex(16)
        with connection.transaction():
            last = connection.rows("last_session")
            unclean = bool(last) and not last[0][3]
            if unclean and last[0][2]:
                reason = "a gateway that forwards without its journal ended without saying what it forwarded"
                connection.run("insert_taint", utc_text(), reason)
            # What the server has made for them was in answers that nobody kept.
            connection.run("scope_lost_answers", "the ids that the server assigned are not known: the gateway ended")
            connection.run("forget_lost_answers")
            connection.run("doubt_all", now)
            connection.run("rebase_dirty", now)
            connection.run("insert_session", nonce, utc_text(), int(fail_open), now)
            (number, *_), *_ = connection.rows("last_session")
        return Session(number=number, nonce=nonce, found_unclean=unclean)

    def beat(self, session: Session) -> None:
        """This process still runs: what `alive` reads."""
        with self._connection.transaction():
            self._connection.run("beat", self._clock(), session.number)

    def end_session(self, session: Session) -> None:
        """This process ends in order: it knows nothing that the journal does not."""
        with self._connection.transaction():
            self._connection.run("end_session", session.number)

    def admit(self, intents: Sequence[Intent], outcomes: Sequence[Outcome] = ()) -> list[Admission]:
        """One answer per intent, in order; the outcomes are settled in the same transaction. What is not admitted is
        not noted. A phase that was entered before is seen here, by whichever process: that is the fence."""
        with self._connection.transaction():
            self._settle(outcomes)
            now = position(self._connection)
            admissions: list[Admission] = [_admission(now, intent) for intent in intents]
            admitted = [row for row, admission in enumerate(admissions) if admission == Admitted(0)]
            first = self._numbers(len(admitted))
            for seq, row in enumerate(admitted, first):
                admissions[row] = Admitted(seq)
            self._note([(seq, intents[row]) for seq, row in enumerate(admitted, first)])
            for intent in intents:
                if intent.names is not None:
                    self._name(intent.names, intent)
        return admissions

    def end_doubts(self, quarantine: int, side: Side | None = None) -> int:
        """Close the requests (to this side; None: to either) that have been in doubt for this many milliseconds: they
        took effect, or never will. Their keys stay dirty. Returns how many."""
        with self._connection.transaction():
            since = self._clock() - quarantine
            return self._connection.run("end_doubt", since, None if side is None else side.value)

    def taint(self, reason: str) -> None:
        """Note why a write may have been missed."""
        with self._connection.transaction():
            self._connection.run("insert_taint", utc_text(), reason)

    def position(self) -> Position:
        """Phase and epoch now."""
        with self._connection.snapshot():
            return position(self._connection)

    def _numbers(self, many: int) -> int:
        """The first of so many new numbers."""
        (last,) = self._connection.row("take_numbers", many)
        return last - many + 1

    def _note(self, numbered: list[tuple[int, Intent]]) -> None:
        connection, now = self._connection, self._clock()
        rows: list[tuple[object, ...]] = []
        touched: list[tuple[object, ...]] = []
        for seq, intent in numbered:
            places = {key.namespace: connection.place(intent.side, key.namespace) for key in intent.keys}
            keys = [(places[key.namespace], id_key(key.id)) for key in intent.keys]
            scoped = [self._scope_place(intent.side, scope) for scope in intent.scopes]
            rows.append(
                (seq, intent.side.value, orjson.dumps(keys).decode(), orjson.dumps(scoped).decode(), intent.assigns)
            )
            touched += [(places[key.namespace], pack_id(key.id), seq, now, intent.deletes) for key in intent.keys]
            self._note_scopes(seq, intent.side, intent.scopes)
        connection.run_many("insert_intent", rows)
        connection.run_many("touch", touched)

    def _name(self, request: int, intent: Intent) -> None:
        """Keys in the place of a request's scopes. Until it ends it covers all that its scopes do: what comes to the
        keys behind them meanwhile has an intent of its own, or was seen when they were asked for."""
        connection, now = self._connection, self._clock()
        if connection.rows("is_open", request):
            seq = self._numbers(1)
            touched = self._touched(intent.side, intent.keys, seq, now, deleted=intent.deletes)
            connection.run_many("touch", touched)
            connection.run("end_scope", request)

    def _settle(self, outcomes: Iterable[Outcome]) -> None:
        """Close what was answered, doubt what was not. Keys that an answer named get a number of their own: what was
        read before it is of no use for them."""
        connection, now = self._connection, self._clock()
        for outcome in outcomes:
            if outcome.keys:
                seq = self._numbers(1)
                connection.run_many("touch", self._touched(outcome.side, outcome.keys, seq, now))
            if outcome.definite and outcome.no_effect:
                connection.run("end_scope", outcome.seq)
            self._note_scopes(outcome.seq, outcome.side, outcome.scopes)
            if outcome.definite:
                connection.run("close_intent", outcome.seq)
            else:
                connection.run("doubt_intent", now, outcome.seq)

    def _touched(
        self, side: Side, keys: Sequence[Key], seq: int, now: int, *, deleted: bool = False
    ) -> list[tuple[object, ...]]:
        return [(self._connection.place(side, key.namespace), pack_id(key.id), seq, now, deleted) for key in keys]

    def _note_scopes(self, seq: int, side: Side, scopes: Sequence[Scope]) -> None:
        rows: list[tuple[object, ...]] = [
            (seq, side.value, self._scope_place(side, scope), scope.reason, scope.ids_only) for scope in scopes
        ]
        self._connection.run_many("insert_scope", rows)

    def _scope_place(self, side: Side, scope: Scope) -> int | None:
        return None if scope.namespace is None else self._connection.place(side, scope.namespace)


def _admission(now: Position, intent: Intent) -> Admission:
    side = intent.side
    if intent.names is not None:
        return Admitted(intent.names)
    if now.phase in ENDED and authority(now.phase) is side:
        return Unnoted()
    admitted = admits(now.phase)
    if admitted is None:
        return Held(now.phase)
    return Admitted(0) if admitted is side else Refused(now.phase, now.epoch)


def alive(connection: Connection, clock: Clock) -> bool:
    """Whether a gateway runs: the last one did not end in order and gave a sign of life within the last seconds. Of the
    same machine, since the clock is."""
    with connection.snapshot():
        rows = connection.rows("last_beat")
    return bool(rows) and not rows[0][1] and 0 <= clock() - rows[0][0] <= BEAT_SECONDS * LOST_BEATS * 1000
