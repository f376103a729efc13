"""One thread that writes: requests that arrive while a transaction is flushed share the next one.

A flush of the disk costs a millisecond or more however much it holds, so the intents of concurrent requests share it.
No timer: a single request is not kept waiting, many at once form groups by themselves.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from vectormigrate.capture.journal.intents import Intents
from vectormigrate.capture.journal.records import Admission, Admitted, Intent, Outcome
from vectormigrate.errors import JournalError
from vectormigrate.model.clock import steady_seconds

KEPT = 4096
"""Latest transactions whose times are kept."""

GROUP = 256
"""Most intents of one transaction."""

SETTLE_SECONDS = 0.05
"""Outcomes wait this long for a transaction of intents to go with; then they get their own."""


@dataclass(slots=True)
class _Waiting:
    """A request that waits for its intent to be on the disk."""

    intent: Intent
    done: asyncio.Future[Admission]


@dataclass(slots=True)
class _Inbox:
    """What the loop hands to the thread, under the condition's lock."""

    waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    outcomes: list[Outcome] = field(default_factory=list[Outcome])
    closing: bool = False


class GroupCommit:
    """Intents from an event loop, committed in groups by a thread. The first error is final: whatever waits and
    whatever comes raises it, since nothing can be noted any more. `failed` hears of it once, in the thread."""

    def __init__(self, intents: Intents, failed: Callable[[JournalError], None]) -> None:
        self._intents = intents
        self._failed = failed
        self._inbox = _Inbox()
        self._condition = threading.Condition()
        self._error: JournalError | None = None
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._serve, name="journal", daemon=True)
        self.transactions = 0
        self.took: deque[float] = deque(maxlen=KEPT)
        """Seconds of the latest transactions, each on the disk at its end."""
        self._thread.start()

    async def admit(self, intent: Intent) -> Admission:
        """The journal's answer, once it is on the disk. Raises JournalError. The intent of a caller that is cancelled
        is closed: it forwarded nothing."""
        waiting = _Waiting(intent, self._loop.create_future())
        with self._condition:
            if self._error is not None:
                raise self._error
            if self._inbox.closing:
                raise JournalError("the journal is closed")
            self._inbox.waiting.append(waiting)
            self._condition.notify()
        try:
            return await waiting.done
        except asyncio.CancelledError:
            # It was answered in the same moment: nothing is forwarded all the same.
            if waiting.done.done() and not waiting.done.cancelled() and waiting.done.exception() is None:
                self._give_up(waiting, waiting.done.result())
            raise

    def settle(self, outcome: Outcome) -> None:
        """Note how a request ended, soon and without being waited for: if it is lost, the request counts as in doubt
        later, which costs time and loses nothing."""
        with self._condition:
            self._inbox.outcomes.append(outcome)
            self._condition.notify()

    async def close(self) -> None:
        """Write what is left and end the thread."""
        with self._condition:
            self._inbox.closing = True
            self._condition.notify()
        await asyncio.to_thread(self._thread.join)
        await asyncio.sleep(0)  # Answers that the thread handed over last may have something to settle.
        if self._inbox.outcomes and self._error is None:
            await asyncio.to_thread(self._intents.admit, [], self._inbox.outcomes)

    def _serve(self) -> None:
        try:
            while (batch := self._take()) is not None:
                self._commit(*batch)
        except JournalError as error:
            self._fail(error)

    def _take(self) -> tuple[list[_Waiting], list[Outcome]] | None:
        """The next group; None at the end."""
        with self._condition:
            self._condition.wait_for(lambda: self._inbox.waiting or self._inbox.outcomes or self._inbox.closing)
            self._condition.wait_for(lambda: self._inbox.waiting or self._inbox.closing, SETTLE_SECONDS)
            waiting, self._inbox.waiting = self._inbox.waiting[:GROUP], self._inbox.waiting[GROUP:]
            outcomes, self._inbox.outcomes = self._inbox.outcomes, []
            if not waiting and not outcomes:
                return None
        return waiting, outcomes

    def _commit(self, waiting: list[_Waiting], outcomes: list[Outcome]) -> None:
        began = steady_seconds()
        try:
            admissions = self._intents.admit([each.intent for each in waiting], outcomes)
        except JournalError as error:
            self._hand_over(partial(_refuse, waiting, error))
            raise
        self.transactions += 1
        self._hand_over(partial(self._resolve, waiting, admissions, steady_seconds() - began))

    def _resolve(self, waiting: Sequence[_Waiting], admissions: Sequence[Admission], seconds: float) -> None:
        self.took.append(seconds)
        for each, admission in zip(waiting, admissions, strict=True):
            if not each.done.done():
                each.done.set_result(admission)
            else:
                self._give_up(each, admission)

    def _give_up(self, waiting: _Waiting, admission: Admission) -> None:
        if isinstance(admission, Admitted):
            self.settle(Outcome(seq=admission.seq, side=waiting.intent.side, definite=True))

    def _fail(self, error: JournalError) -> None:
        with self._condition:
            self._error = error
            waiting, self._inbox.waiting = self._inbox.waiting, []
        self._hand_over(partial(_refuse, waiting, error))
        self._failed(error)

    def _hand_over(self, call: Callable[[], None]) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(call)


def _refuse(waiting: Sequence[_Waiting], error: JournalError) -> None:
    for each in waiting:
        if not each.done.done():
            each.done.set_exception(error)
