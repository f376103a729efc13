"""The protocol for one key as a state machine, and a search through everything that can happen.

One key is enough: every rule is about a single key. A step is anything that may happen next: the gateway, the source,
the applier, the backfill or a crash takes one action. `search` visits every state that any order of steps leads to, and
returns the shortest way to one in which all has come to rest and the target is not what the source is.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import NamedTuple

Value = int | None
"""What a key holds: 0 at first, then the number of the request that wrote it (from 1); None: no record."""

# What became of a request.
NEW, NOTED, SENT, APPLIED, ANSWERED, CLOSED, DOUBTED, DOUBTED_APPLIED, DROPPED, NEVER_SENT = range(10)
IN_FLIGHT = {SENT: DOUBTED, APPLIED: DOUBTED_APPLIED, ANSWERED: DOUBTED_APPLIED, NOTED: NEVER_SENT}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Each rule of the protocol; a test takes one away."""

    noted_before_forwarded: bool = True
    cleared_only_if_untouched: bool = True
    not_cleared_while_under_way: bool = True
    fresh_reads: bool = True
    witnessed_reads: bool = False
    backfill_leaves_touched_keys: bool = True
    touched_once_is_touched_for_ever: bool = True
    one_writer_of_the_target: bool = True
    target_quarantine: bool = True
    target_quarantine_after_restart: bool = True
    source_quarantine: bool = True
    cleared_after_acknowledgement: bool = True
    cursor_after_acknowledgement: bool = True
    every_key_is_applied: bool = True

    def without(self, *names: str) -> Rules:
        """All but these."""
        kept = {each.name: getattr(self, each.name) for each in fields(self)}
        return Rules(**{**kept, **dict.fromkeys(names, False)})


class Applying(NamedTuple):
    """The applier: `step` is read, sent or acknowledged."""

    step: str
    value: Value
    seq: int
    covered: bool


class Filling(NamedTuple):
    """The backfill of this key's page: asked, read or sent; `seq` and `covered` are of the moment it was asked for."""

    step: str
    value: Value = None
    seq: int = 0
    covered: bool = False


class State(NamedTuple):
    """Everything that matters. `stale`: what a read may still see; `open`: requests that are noted and not closed;
    `zombies`: writes to the target that were given up and may still land."""

    source: Value
    stale: Value
    target: Value
    requests: tuple[int, ...]
    before: tuple[frozenset[int], ...]
    open: frozenset[int]
    seq: int
    dirty: bool
    applying: Applying | None
    filling: Filling | None
    filled: bool
    zombies: tuple[Value, ...]
    crashes: int
    restarted: bool


Step = tuple[str, State]


@dataclass(frozen=True)
class Model:
    """`deletes[i]`: whether request i deletes the record."""

    rules: Rules
    deletes: tuple[bool, ...]
    crashes: int = 1

    def start(self) -> State:
        count = len(self.deletes)
        nobody: frozenset[int] = frozenset()
        return State(0, 0, None, (NEW,) * count, (nobody,) * count, nobody, 0, False, None, None, False, (), 0, False)

    def steps(self, state: State) -> Iterator[Step]:
        """All that may happen next."""
        for number in range(len(state.requests)):
            yield from self._request(state, number)
        if state.stale != state.source:
            yield "the source shows its newest value", state._replace(stale=state.source)
        yield from self._target(state)
        yield from self._apply(state)
        yield from self._fill(state)
        if state.crashes < self.crashes:
            yield "CRASH", self._crash(state)

    def value(self, number: int) -> Value:
        return None if self.deletes[number] else number + 1

    def _request(self, state: State, number: int) -> Iterator[Step]:
        at, name = state.requests[number], f"request {number}"

        def moved(to: int, **more: object) -> State:
            requests = (*state.requests[:number], to, *state.requests[number + 1 :])
            return state._replace(requests=requests, **more)

        noted: dict[str, object] = {"seq": state.seq + 1, "dirty": True}
        first = self.rules.noted_before_forwarded
        if at == NEW and first:
            ended = frozenset(i for i, each in enumerate(state.requests) if each != NEW and i not in state.open)
            before = (*state.before[:number], ended, *state.before[number + 1 :])
            yield f"{name} noted", moved(NOTED, open=state.open | {number}, before=before, **noted)
        if at == (NOTED if first else NEW):
            yield f"{name} sent", moved(SENT)
        if at == SENT:
            yield f"{name} applied", moved(APPLIED, source=self.value(number))
            yield f"{name} given up", moved(DOUBTED)
        if at == APPLIED:
            yield f"{name} answered", moved(ANSWERED)
            yield f"{name} given up", moved(DOUBTED_APPLIED)
        if at == ANSWERED:
            closing: dict[str, object] = {"open": state.open - {number}} if first else noted
            yield f"{name} closed", moved(CLOSED, **closing)
        if at == DOUBTED:
            yield f"{name} applied late", moved(DOUBTED_APPLIED, source=self.value(number))
            yield f"{name} never applied", moved(DROPPED)
        over = at in (DOUBTED_APPLIED, DROPPED, NEVER_SENT) or (at == DOUBTED and not self.rules.source_quarantine)
        if number in state.open and over:
            yield f"the doubt about {name} ends", state._replace(open=state.open - {number})
        if not first and at in (DOUBTED, DOUBTED_APPLIED, DROPPED) and not state.crashes and not state.dirty:
            yield f"{name} noted late", state._replace(**noted)

    def _target(self, state: State) -> Iterator[Step]:
        for number, value in enumerate(state.zombies):
            rest = (*state.zombies[:number], *state.zombies[number + 1 :])
            yield "a given-up write lands", state._replace(target=value, zombies=rest)
            yield "a given-up write is lost", state._replace(zombies=rest)
        if state.restarted and not state.zombies:
            yield "the quarantine after the restart ends", state._replace(restarted=False)

    def _reads(self, state: State) -> set[Value]:
        return {state.source} if self.rules.fresh_reads else {state.source, state.stale}

    def _believed(self, state: State, value: Value) -> bool:
        """The witness rule: a read must show the one request that came after all others, or wait."""
        if not self.rules.witnessed_reads:
            return True
        begun = [i for i, at in enumerate(state.requests) if at != NEW]
        last = [i for i in begun if not any(i in state.before[other] for other in begun if other != i)]
        if len(last) == 1 and state.requests[last[0]] == CLOSED:
            return value == self.value(last[0])
        return state.stale == state.source

    def _blocked(self, state: State) -> bool:
        return state.restarted or (self.rules.target_quarantine and bool(state.zombies))

    def _apply(self, state: State) -> Iterator[Step]:
        rules, now = self.rules, state.applying
        writing = rules.one_writer_of_the_target and state.filling is not None and state.filling.step == "sent"
        if now is None:
            if not state.dirty:
                return
            if not rules.every_key_is_applied and not state.filled and state.filling is None:
                if not state.open:
                    yield "the applier leaves it to the backfill", state._replace(dirty=False)
            elif not writing and not self._blocked(state):
                for value in self._reads(state):
                    if self._believed(state, value):
                        read = Applying("read", value, state.seq, bool(state.open))
                        yield f"the applier reads {value}", state._replace(applying=read)
        elif now.step == "read" and not writing:
            early = not rules.cleared_after_acknowledgement and now.seq == state.seq and not state.open
            sent = now._replace(step="sent")
            yield "the applier writes", state._replace(applying=sent, dirty=state.dirty and not early)
        elif now.step == "sent":
            yield "acknowledged", state._replace(target=now.value, applying=now._replace(step="acknowledged"))
            if not state.zombies:
                yield "the applier gives up", state._replace(zombies=(now.value,), applying=None)
        elif now.step == "acknowledged":
            same = not rules.cleared_only_if_untouched or now.seq == state.seq
            quiet = not rules.not_cleared_while_under_way or not (now.covered or state.open)
            yield "the applier is done", state._replace(applying=None, dirty=state.dirty and not (same and quiet))

    def _fill(self, state: State) -> Iterator[Step]:
        rules, now = self.rules, state.filling
        if now is None:
            if not state.filled:
                asked = Filling("asked", None, state.seq, bool(state.open))
                yield "the backfill asks for the page", state._replace(filling=asked)
        elif now.step == "asked":
            for value in self._reads(state):
                yield f"the backfill reads {value}", state._replace(filling=now._replace(step="read", value=value))
        elif now.step == "read":
            if (rules.one_writer_of_the_target and state.applying is not None) or self._blocked(state):
                return
            since = now.seq if not rules.touched_once_is_touched_for_ever else 0
            covered = now.covered and not rules.touched_once_is_touched_for_ever
            touched = rules.backfill_leaves_touched_keys and (state.seq > since or covered)
            if touched or now.value is None:
                yield "the backfill passes by", state._replace(filling=None, filled=True)
            else:
                early = state.filled or not rules.cursor_after_acknowledgement
                yield "the backfill writes", state._replace(filling=now._replace(step="sent"), filled=early)
        elif now.step == "sent":
            yield "acknowledged", state._replace(target=now.value, filling=None, filled=True)
            if not state.zombies and rules.cursor_after_acknowledgement:
                yield "the backfill gives up", state._replace(zombies=(now.value,), filling=None)

    def _crash(self, state: State) -> State:
        under_way = [each.value for each in (state.applying, state.filling) if each is not None and each.step == "sent"]
        return state._replace(
            requests=tuple(IN_FLIGHT.get(at, at) for at in state.requests),
            applying=None,
            filling=None,
            zombies=(*state.zombies, *under_way)[:2],
            crashes=state.crashes + 1,
            restarted=self.rules.target_quarantine_after_restart,
        )


def at_rest(state: State) -> bool:
    """Whether nothing more would happen by itself."""
    done = all(at in (NEW, CLOSED, DOUBTED_APPLIED, DROPPED, NEVER_SENT) for at in state.requests)
    busy = state.applying or state.filling or state.dirty or state.open or state.zombies or state.restarted
    return done and state.filled and not busy


@dataclass(frozen=True)
class Found:
    """`trace`: the shortest way to a target that is not the source, None when there is none; `rests`: states in which
    all had come to rest."""

    states: int
    rests: int
    trace: list[str] | None


def search(model: Model) -> Found:
    """Every state, the nearest first."""
    start = model.start()
    came: dict[State, tuple[State, str] | None] = {start: None}
    waiting = deque([start])
    rests = 0
    while waiting:
        state = waiting.popleft()
        if at_rest(state):
            rests += 1
            if state.target != state.source:
                return Found(len(came), rests, _way(came, state))
        for name, following in model.steps(state):
            if following not in came:
                came[following] = (state, name)
                waiting.append(following)
    return Found(len(came), rests, None)


def _way(came: dict[State, tuple[State, str] | None], state: State) -> list[str]:
    steps: list[str] = []
    at = came[state]
    while at is not None:
        before, name = at
        steps.append(name)
        at = came[before]
    return steps[::-1]
