"""The journal's rules, on its real file: intents before effects, conditional clearing, the fence, sessions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.live.faults import fault
from vectormigrate.capture.journal import compared as compared_module
from vectormigrate.capture.journal.compared import ComparedKeys
from vectormigrate.capture.journal.connection import Connection, connect, make
from vectormigrate.capture.journal.intents import Intents, alive
from vectormigrate.capture.journal.phase import history, move, position
from vectormigrate.capture.journal.records import Admitted, Held, Intent, Outcome, Refused, Scope, Unnoted
from vectormigrate.capture.journal.touched import TouchedKeys
from vectormigrate.capture.keys import Key, Side
from vectormigrate.capture.phases import ENDED, FLIPS, FROZEN, NEXT, LivePhase, admits, authority, thawed
from vectormigrate.errors import InvalidTransition, JournalError

KEY = Key("tenant", "a")
OTHER = Key("tenant", "b")
UUID_ID = UUID("7f0c9f0e-1b2c-4d3e-8f40-516273849506")


@dataclass(slots=True)
class Journal:
    """A journal as two processes have it open: the gateway's part and the runner's."""

    path: Path
    gateway: Connection
    runner: Connection
    now: int = 1_000

    @property
    def intents(self) -> Intents:
        return Intents(self.gateway, lambda: self.now)

    def keys(self, side: Side = Side.SOURCE) -> TouchedKeys:
        return TouchedKeys(self.runner, side, lambda: self.now)

    def compared(self) -> ComparedKeys:
        return ComparedKeys(self.runner, Side.SOURCE, lambda: self.now)

    def admit(self, *keys: Key, side: Side = Side.SOURCE, scopes: tuple[Scope, ...] = ()) -> int:
        """The number of a request that is admitted."""
        (admission,) = self.intents.admit([Intent(side=side, keys=keys, scopes=scopes)])
        assert isinstance(admission, Admitted), admission
        return admission.seq

    def end(self, seq: int, *, definite: bool = True, side: Side = Side.SOURCE, keys: tuple[Key, ...] = ()) -> None:
        """The request ended."""
        self.intents.admit([], [Outcome(seq=seq, side=side, definite=definite, keys=keys)])

    def go(self, *phases: LivePhase) -> None:
        """Enter these phases one after another."""
        for phase in phases:
            with self.runner.transaction():
                move(self.runner, position(self.runner).phase, phase, {})


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    path = tmp_path / "folder" / "journal.db"
    make(path, "m")
    gateway, runner = connect(path, "m", durable=True), connect(path, "m", durable=False)
    opened = Journal(path, gateway, runner)
    opened.intents.begin_session(fail_open=False)
    yield opened
    opened.gateway.close()
    opened.runner.close()


def settle(journal: Journal, *keys: Key) -> None:
    """A request on these keys, and the applier after it."""
    if keys:
        journal.end(journal.admit(*keys))
    journal.keys().clear(journal.keys().dirty(1000))


def unverified(compared: ComparedKeys) -> list[Key]:
    """All of them."""
    return [each.key for each in compared.unverified(1000)[0]]


FREEZE = (LivePhase.CAPTURING, LivePhase.BACKFILL, LivePhase.CATCH_UP, LivePhase.READY, LivePhase.FREEZING)
FLIP = (*FREEZE, LivePhase.DRAINING, LivePhase.VERIFYING, LivePhase.FLIPPED)


def test_a_key_is_dirty_from_before_its_request_is_forwarded(journal: Journal) -> None:
    journal.admit(KEY)
    (dirty,) = journal.keys().dirty(10)
    assert dirty.key == KEY
    assert dirty.covered


def test_a_key_is_cleared_when_it_was_read_after_all_its_requests_had_ended(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    (dirty,) = journal.keys().dirty(10)
    assert not dirty.covered
    assert journal.keys().clear([dirty]) == 1
    assert journal.keys().dirty(10) == []


def test_a_key_that_was_read_while_a_request_was_under_way_stays_dirty(journal: Journal) -> None:
    seq = journal.admit(KEY)
    (early,) = journal.keys().dirty(10)
    journal.end(seq)
    assert journal.keys().clear([early]) == 0
    assert len(journal.keys().dirty(10)) == 1


def test_a_key_that_was_touched_since_it_was_read_stays_dirty(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    (read,) = journal.keys().dirty(10)
    journal.end(journal.admit(KEY))
    assert journal.keys().clear([read]) == 0
    (dirty,) = journal.keys().dirty(10)
    assert dirty.seq > read.seq


def test_an_older_request_that_is_still_under_way_covers_a_key_whose_newest_one_has_ended(journal: Journal) -> None:
    journal.admit(KEY)
    journal.end(journal.admit(KEY))
    (dirty,) = journal.keys().dirty(10)
    assert dirty.covered
    assert journal.keys().clear([dirty]) == 0


def test_requests_on_other_keys_cover_nothing(journal: Journal) -> None:
    journal.admit(OTHER, Key("elsewhere", "a"))
    journal.end(journal.admit(KEY))
    dirty = {each.key: each for each in journal.keys().dirty(10)}
    assert journal.keys().clear([dirty[KEY]]) == 1
    assert {each.key for each in journal.keys().dirty(10)} == {OTHER, Key("elsewhere", "a")}


@pytest.mark.parametrize("namespace", ["tenant", None])
def test_nothing_of_a_namespace_is_cleared_while_a_request_without_keys_is_under_way_in_it(
    journal: Journal, namespace: str | None
) -> None:
    journal.end(journal.admit(KEY))
    (read,) = journal.keys().dirty(10)
    seq = journal.admit(scopes=(Scope(namespace, "delete by filter"),))
    assert journal.keys().clear([read]) == 0
    journal.end(seq)
    (dirty,) = journal.keys().dirty(10)
    assert journal.keys().clear([dirty]) == 1
    assert journal.keys().scopes() == [(seq, Scope(namespace, "delete by filter"))]
    journal.keys().end_scope(seq)
    assert journal.keys().scopes() == []


def test_a_scope_of_another_namespace_keeps_no_key(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    journal.admit(scopes=(Scope("elsewhere", "delete by filter"),))
    assert journal.keys().clear(journal.keys().dirty(10)) == 1


def test_a_request_whose_outcome_is_unknown_covers_its_keys_until_its_quarantine_is_over(journal: Journal) -> None:
    journal.end(journal.admit(KEY), definite=False)
    journal.now += 59_999
    assert journal.intents.end_doubts(60_000) == 0
    assert journal.keys().dirty(10)[0].covered
    journal.now += 1
    assert journal.intents.end_doubts(60_000) == 1
    (dirty,) = journal.keys().dirty(10)
    assert journal.keys().clear([dirty]) == 1


def test_each_side_has_a_quarantine_of_its_own(journal: Journal) -> None:
    journal.end(journal.admit(KEY), definite=False)
    journal.now += 60_000
    assert journal.intents.end_doubts(60_000, Side.TARGET) == 0
    assert journal.intents.end_doubts(60_000, Side.SOURCE) == 1


def test_a_gateway_is_alive_while_it_beats_and_until_it_ends(journal: Journal) -> None:
    session = journal.intents.begin_session(fail_open=False)
    journal.now += 5_000
    assert alive(journal.runner, lambda: journal.now)
    journal.now += 1
    assert not alive(journal.runner, lambda: journal.now)
    journal.intents.beat(session)
    assert alive(journal.runner, lambda: journal.now)
    assert not alive(journal.runner, lambda: journal.now - 1), "the machine has started again since"
    journal.intents.end_session(session)
    assert not alive(journal.runner, lambda: journal.now)


def test_what_a_process_left_under_way_is_in_doubt_for_a_whole_quarantine_from_the_next_start(journal: Journal) -> None:
    journal.end(journal.admit(OTHER), definite=False)
    journal.admit(KEY)
    journal.now += 50_000
    session = journal.intents.begin_session(fail_open=False)
    assert session.found_unclean
    assert journal.keys().figures().in_doubt == 2
    journal.now += 59_999
    assert journal.intents.end_doubts(60_000) == 0
    journal.now += 1
    assert journal.intents.end_doubts(60_000) == 2


@fault(40)
def test_a_clock_that_started_again_with_the_machine_ends_no_quarantine_early(journal: Journal) -> None:
    journal.now = 1_000_000
    journal.admit(KEY)
    journal.now = 5
    journal.intents.begin_session(fail_open=False)
    assert journal.intents.end_doubts(60_000) == 0
    assert journal.keys().figures().oldest == 5
    journal.now += 60_000
    assert journal.intents.end_doubts(60_000) == 1


def test_ids_of_an_answer_are_dirty_from_then_on(journal: Journal) -> None:
    seq = journal.admit()
    journal.end(seq, keys=(KEY,))
    (dirty,) = journal.keys().dirty(10)
    assert (dirty.key, dirty.covered) == (KEY, False)
    assert dirty.seq > seq


def test_a_read_before_an_answer_named_the_key_does_not_clear_it(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    (read,) = journal.keys().dirty(10)
    journal.end(journal.admit(), keys=(KEY,))
    assert journal.keys().clear([read]) == 0


def test_keys_differ_by_the_type_of_their_id_and_their_namespace(journal: Journal) -> None:
    keys = {
        Key("tenant", value) for value in (7, "7", -1, 2**63 - 1, 2**63, 2**64 - 1, UUID_ID, str(UUID_ID), "", "\0")
    }
    keys |= {Key("", "7"), Key("Tenant", "7"), Key(None, "7"), Key("=", "7")}
    journal.end(journal.admit(*keys))
    dirty = journal.keys().dirty(100)
    assert {each.key for each in dirty} == keys
    assert all(type(each.key.id) in {int, str, UUID} for each in dirty)
    assert journal.keys().ever_touched("tenant", [7, "7", 8, UUID_ID]) == {7, "7", UUID_ID}
    assert journal.keys().ever_touched("nowhere", [7]) == set()
    assert journal.keys().clear(dirty) == len(keys)


def test_a_key_of_whichever_namespace_is_the_appliers_in_every_one(journal: Journal) -> None:
    journal.end(journal.admit(Key(None, "a")))
    assert journal.keys().ever_touched("tenant", ["a", "b"]) == {"a"}
    assert journal.keys().ever_touched("elsewhere", ["a", "b"]) == {"a"}
    journal.end(journal.admit(Key("tenant", "b")))
    assert journal.keys().ever_touched("tenant", ["a", "b"]) == {"a", "b"}
    assert journal.keys().ever_touched("elsewhere", ["a", "b"]) == {"a"}


def test_a_settled_key_stays_the_appliers(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    journal.keys().clear(journal.keys().dirty(10))
    assert journal.keys().ever_touched("tenant", ["a", "b"]) == {"a"}


def test_a_marked_key_is_dirty_again_and_an_earlier_read_does_not_clear_it(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    (read,) = journal.keys().dirty(10)
    journal.keys().mark([KEY, OTHER])
    assert journal.keys().clear([read]) == 0
    assert {each.key for each in journal.keys().dirty(10)} == {KEY, OTHER}


def test_a_parked_key_stays_dirty_and_a_new_write_takes_it_up_again(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    journal.keys().park([(journal.keys().dirty(10)[0], "too large")])
    assert journal.keys().dirty(10) == []
    assert journal.keys().parked(10) == [(KEY, "too large")]
    assert journal.keys().figures().dirty == 1
    journal.end(journal.admit(KEY))
    assert len(journal.keys().dirty(10)) == 1
    journal.keys().park([(journal.keys().dirty(10)[0], "too large")])
    assert journal.keys().unpark() == 1
    assert len(journal.keys().dirty(10)) == 1


def test_a_key_is_unverified_until_it_was_compared_after_its_last_write(journal: Journal) -> None:
    journal.end(journal.admit(KEY, OTHER))
    keys = journal.keys()
    dirty = {each.key: each for each in keys.dirty(10)}
    keys.clear([dirty[KEY]])
    keys.clear([dirty[OTHER]], verified=True)
    compared = journal.compared()
    assert unverified(compared) == [KEY]
    journal.end(journal.admit(OTHER))
    assert unverified(compared) == [KEY], "one that is dirty has nothing to be compared yet"
    keys.clear(keys.dirty(10))
    assert unverified(compared) == [KEY, OTHER]
    assert compared.verify(compared.unverified(10)[0]) == 2
    assert unverified(compared) == []


def test_a_key_that_was_touched_while_it_was_compared_stays_unverified(journal: Journal) -> None:
    settle(journal, KEY, OTHER)
    compared = journal.compared()
    read, _ = compared.unverified(10)
    journal.end(journal.admit(KEY))
    journal.admit(OTHER)
    assert compared.verify(read) == 0
    settle(journal)
    assert unverified(compared) == [KEY], "a request on the other is under way, so it is dirty"


def test_a_key_that_a_filter_may_just_change_stays_unverified(journal: Journal) -> None:
    settle(journal, KEY)
    compared = journal.compared()
    read, _ = compared.unverified(10)
    seq = journal.admit(scopes=(Scope("tenant", "filter"),))
    during, _ = compared.unverified(10)
    assert compared.verify(read) == 0
    journal.end(seq)
    assert compared.verify(during) == 0, "it was under way when they were read"
    assert compared.verify(compared.unverified(10)[0]) == 1


def test_unverified_keys_are_walked_through_to_the_end_whatever_their_ids(journal: Journal) -> None:
    keys = [Key(name, value) for name in ("tenant", "", None) for value in (7, "7", UUID_ID, 2**63, "x")]
    settle(journal, *keys[:9])
    settle(journal, *keys[9:])
    compared, found, after = journal.compared(), list[Key](), None
    while True:
        some, after = compared.unverified(2, after)
        found += [each.key for each in some]
        if after is None:
            break
    assert len(found) == len(keys)
    assert set(found) == set(keys)


def test_a_difference_of_a_settled_key_is_noted_and_makes_it_dirty(journal: Journal) -> None:
    settle(journal, KEY)
    compared = journal.compared()
    untouched = Key("tenant", "never")
    assert compared.diverged([(each, "missing") for each in compared.standing([KEY, untouched])]) == [KEY, untouched]
    assert {each.key for each in journal.keys().dirty(10)} == {KEY, untouched}
    assert [(each.key, each.what, each.times) for each in compared.divergences(10)] == [
        (KEY, "missing", 1),
        (untouched, "missing", 1),
    ]
    settle(journal)
    assert compared.unacknowledged() == 2, "repaired is not forgotten"
    assert (compared.acknowledge(), compared.unacknowledged()) == (2, 0)
    compared.diverged([(each, "differs") for each in compared.standing([KEY])])
    assert [(each.what, each.times) for each in compared.divergences(10)] == [("differs", 2)]


def test_a_difference_is_as_old_as_its_first_sight_since_somebody_acknowledged_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared = journal.compared()

    def seen(at: str) -> list[str]:
        monkeypatch.setattr(compared_module, "utc_text", lambda: at)
        settle(journal, KEY)
        compared.diverged([(each, "differs") for each in compared.standing([KEY])])
        return [each.at for each in compared.divergences(10)]

    assert (seen("1"), seen("2")) == (["1"], ["1"])
    compared.acknowledge()
    assert seen("3") == ["3"]


@pytest.mark.parametrize("namespace", ["tenant", None])
def test_a_difference_of_a_key_that_moves_is_none(journal: Journal, namespace: str | None) -> None:
    settle(journal, KEY)
    compared = journal.compared()
    before = compared.standing([KEY])
    journal.end(journal.admit(Key(namespace, "a")))
    settle(journal)
    assert compared.diverged([(before[0], "differs")]) == [], "touched since"
    journal.admit(Key(namespace, "a"))
    assert compared.diverged([(compared.standing([KEY])[0], "differs")]) == [], "dirty"
    assert compared.unacknowledged() == 0


@pytest.mark.parametrize("namespace", ["tenant", None])
def test_a_difference_is_none_until_a_request_of_unknown_scope_is_reconciled(
    journal: Journal, namespace: str | None
) -> None:
    seq = journal.admit(scopes=(Scope(namespace, "filter"),))
    compared = journal.compared()
    assert compared.diverged([(compared.standing([KEY])[0], "differs")]) == []
    journal.end(seq)
    assert compared.diverged([(compared.standing([KEY])[0], "differs")]) == [], "a filter may have deleted it"
    journal.keys().end_scope(seq)
    assert compared.diverged([(compared.standing([KEY])[0], "differs")]) == [KEY]


def test_a_scope_can_be_reconciled_when_its_request_has_ended(journal: Journal) -> None:
    seq, doubted = (journal.admit(scopes=(Scope("tenant", "filter", ids_only=True),)) for _ in range(2))
    assert journal.keys().ended_scopes() == []
    journal.end(seq)
    journal.end(doubted, definite=False)
    assert journal.keys().ended_scopes() == [(seq, Scope("tenant", "filter", ids_only=True))]
    journal.now += 60_000
    journal.intents.end_doubts(60_000)
    assert [number for number, _ in journal.keys().ended_scopes()] == [seq, doubted]


def named(journal: Journal, seq: int, *keys: Key) -> None:
    """The keys behind the scopes of a request, before it is forwarded."""
    intent = Intent(side=Side.SOURCE, keys=keys, deletes=True, names=seq)
    assert journal.intents.admit([intent]) == [Admitted(seq)]


def test_keys_that_are_known_before_a_request_is_forwarded_take_the_place_of_its_scope(journal: Journal) -> None:
    settle(journal, KEY, OTHER)
    seq = journal.admit(scopes=(Scope("tenant", "filter"),))
    named(journal, seq, KEY)
    assert journal.keys().scopes() == []
    (dirty,) = journal.keys().dirty(10)
    assert (dirty.key, dirty.deleted, dirty.covered) == (KEY, True, True)
    journal.end(seq)
    assert journal.keys().clear([dirty]) == 0, "it was read while the request was under way"
    assert journal.keys().clear(journal.keys().dirty(10)) == 1


def test_a_request_with_named_keys_covers_its_namespace_until_its_doubt_ends(journal: Journal) -> None:
    seq = journal.admit(scopes=(Scope("tenant", "filter"),))
    named(journal, seq, KEY)
    journal.end(journal.admit(OTHER))
    journal.intents.begin_session(fail_open=False)  # the gateway was killed after it was forwarded
    assert [each.covered for each in journal.keys().dirty(10)] == [True, True]
    journal.now += 5_000
    journal.intents.end_doubts(5_000)
    assert journal.keys().clear(journal.keys().dirty(10)) == 2


def test_keys_are_named_while_writes_are_held_and_not_after_the_request_is_in_doubt(journal: Journal) -> None:
    seq, lost = (journal.admit(scopes=(Scope("tenant", "filter"),)) for _ in range(2))
    journal.end(lost, definite=False)
    journal.go(*FREEZE)
    named(journal, seq, KEY)
    named(journal, lost, OTHER)
    assert [number for number, _ in journal.keys().scopes()] == [lost]
    assert [each.key for each in journal.keys().dirty(10)] == [KEY]


def test_a_request_that_was_refused_leaves_no_scope(journal: Journal) -> None:
    refused, done = (journal.admit(scopes=(Scope("tenant", "filter"),)) for _ in range(2))
    journal.intents.admit([], [Outcome(seq=refused, side=Side.SOURCE, definite=True, no_effect=True)])
    journal.end(done)
    assert [number for number, _ in journal.keys().scopes()] == [done]


def test_the_oldest_dirty_key_and_what_is_under_way_are_counted(journal: Journal) -> None:
    journal.end(journal.admit(KEY))
    journal.now += 5
    journal.end(journal.admit(KEY))
    journal.admit(OTHER)
    figures = journal.keys().figures()
    assert (figures.touched, figures.dirty, figures.oldest, figures.under_way) == (2, 2, 1_000, 1)
    assert journal.keys(Side.TARGET).figures().touched == 0


def test_no_write_is_admitted_while_frozen_and_only_on_the_target_after_the_flip(journal: Journal) -> None:
    journal.go(*FREEZE)
    for side in Side:
        assert journal.intents.admit([Intent(side=side, keys=[KEY])]) == [Held(LivePhase.FREEZING)]
    journal.go(*FLIP[len(FREEZE) :])
    assert journal.intents.admit([Intent(side=Side.SOURCE, keys=[KEY])]) == [Refused(LivePhase.FLIPPED, 1)]
    journal.admit(KEY, side=Side.TARGET)
    assert journal.keys().dirty(10) == []
    assert journal.keys(Side.TARGET).figures().dirty == 1


def test_a_write_that_was_not_admitted_leaves_nothing_in_the_journal(journal: Journal) -> None:
    journal.go(*FREEZE)
    journal.intents.admit([Intent(side=Side.SOURCE, keys=[KEY], scopes=[Scope(None, "x")])])
    assert journal.keys().figures().touched == 0
    assert journal.keys().scopes() == []
    assert journal.keys().figures().under_way == 0


def test_nothing_is_admitted_after_the_end(journal: Journal) -> None:
    journal.go(LivePhase.CAPTURING, LivePhase.ABORTED)
    there, here = journal.intents.admit([Intent(side=Side.TARGET), Intent(side=Side.SOURCE)])
    assert isinstance(there, Refused)
    assert isinstance(here, Unnoted)


def test_a_phase_is_entered_only_from_where_the_migration_is_and_only_if_it_may_follow(journal: Journal) -> None:
    journal.go(*FLIP)
    for start, to in ((LivePhase.READY, LivePhase.FREEZING), (LivePhase.FLIPPED, LivePhase.CATCH_UP)):
        with pytest.raises(InvalidTransition), journal.runner.transaction():
            move(journal.runner, start, to, {})
    assert [each.phase for each in history(journal.runner)] == list(FLIP)
    assert position(journal.gateway).epoch == 1


def test_every_phase_is_reached_and_authority_changes_only_with_a_flip() -> None:
    assert set(NEXT) == set(LivePhase)
    assert {LivePhase.PREFLIGHT, *(phase for following in NEXT.values() for phase in following)} == set(LivePhase)
    for phase, following in NEXT.items():
        for after in following:
            assert (authority(phase) is authority(after)) == (after not in FLIPS), (phase, after)
    for phase in FROZEN:
        assert admits(phase) is None
        assert thawed(phase) in NEXT[phase]
        assert authority(thawed(phase)) is authority(phase)
    assert all(not NEXT[phase] for phase in ENDED)


def test_a_gateway_that_forwards_without_its_journal_and_ends_without_a_word_is_a_taint(journal: Journal) -> None:
    assert journal.runner.rows("taints") == []
    journal.intents.begin_session(fail_open=True)
    journal.intents.begin_session(fail_open=False)
    assert len(journal.runner.rows("taints")) == 1
    session = journal.intents.begin_session(fail_open=True)
    journal.intents.end_session(session)
    assert not journal.intents.begin_session(fail_open=True).found_unclean
    assert len(journal.runner.rows("taints")) == 1


def test_the_gateways_connection_flushes_every_commit(journal: Journal) -> None:
    assert journal.gateway.pragma("synchronous") == 2
    assert journal.gateway.pragma("journal_mode") == "wal"
    assert journal.gateway.pragma("wal_autocheckpoint") == 0


def test_a_journal_of_another_migration_and_another_file_are_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "j.db"
    with pytest.raises(JournalError, match="there is no journal"):
        connect(path, "m", durable=True)
    make(path, "m")
    with pytest.raises(JournalError, match="exists already"):
        make(path, "m")
    with pytest.raises(JournalError, match="belongs to migration 'm', not to 'n'"):
        connect(path, "n", durable=True)
    foreign = tmp_path / "foreign.db"
    foreign.write_bytes(b"")
    with pytest.raises(JournalError, match="is not a journal"):
        connect(foreign, "m", durable=True)
    assert [entry.name for entry in tmp_path.iterdir() if entry.name.startswith("j.db.")] == []
    assert path.stat().st_mode & 0o777 == 0o600


def test_the_file_grows_with_distinct_keys_and_not_with_writes(journal: Journal) -> None:
    keys = [Key("tenant", UUID(int=number)) for number in range(2_000)]

    def write_all() -> int:
        for start in range(0, len(keys), 100):
            journal.end(journal.admit(*keys[start : start + 100]))
        journal.gateway.checkpoint()
        return journal.path.stat().st_size

    once = write_all()
    again = [write_all() for _ in range(3)][-1]
    assert again <= once * 1.1
    assert again <= 200 * len(keys)


def test_ids_whose_answer_died_with_the_gateway_are_looked_for(journal: Journal) -> None:
    journal.intents.admit([Intent(side=Side.SOURCE, assigns=True)])
    journal.admit(KEY)
    journal.intents.begin_session(fail_open=False)
    journal.intents.begin_session(fail_open=False)
    journal.now += 60_000
    journal.intents.end_doubts(60_000)
    assert [scope.namespace for _, scope in journal.keys().scopes()] == [None]
