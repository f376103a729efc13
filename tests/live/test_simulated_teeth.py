"""Each rule of the protocol, taken out of the product: the simulation then finds what the rule is for.

A simulation that finds nothing proves nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.live.simulated.database import Faults
from tests.live.simulated.template import Template
from tests.live.simulated.world import Script, World, simulate
from vectormigrate.capture import reconcile
from vectormigrate.capture.gateway.keeping import Keeper
from vectormigrate.capture.journal import connection, intents, touched
from vectormigrate.capture.journal.records import Admitted
from vectormigrate.capture.phases import authority
from vectormigrate.capture.running import live_run, orders, switch
from vectormigrate.engine.retry import RetryingTarget
from vectormigrate.errors import TransientError
from vectormigrate.model.ids import RecordId

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("simulated")]

Change = Callable[[World], object]
Patch = pytest.MonkeyPatch


def nothing(world: World) -> None:
    """No rule is broken outside the product."""


def query(patch: Patch, name: str, old: str, new: str) -> Change:
    sql = connection.QUERIES[name].replace(old, new)
    assert sql != connection.QUERIES[name]
    patch.setattr(connection, "QUERIES", {**connection.QUERIES, name: sql})
    return nothing


async def do_nothing(*arguments: Any, **options: Any) -> None:
    """Instead of something."""


def answers(value: Any) -> Callable[..., Any]:
    """What always answers the same."""

    def answer(*arguments: Any, **options: Any) -> Any:
        return value

    return answer


def a_request_is_forwarded_before_it_is_noted(patch: Patch) -> Change:
    return lambda world: setattr(world, "forward_first", True)


def a_request_of_unknown_outcome_counts_as_ended(patch: Patch) -> Change:
    return lambda world: setattr(world, "forgets_doubts", True)


def a_doubt_ends_at_once(patch: Patch) -> Change:
    return query(patch, "end_doubt", "doubt_since <= ?1", "coalesce(?1, 1)")


def a_key_is_cleared_although_it_was_touched_since(patch: Patch) -> Change:
    return query(patch, "clear", "AND last_seq = ?3", "AND ?3 IS NOT NULL")


def a_key_is_cleared_while_a_request_is_under_way(patch: Patch) -> Change:
    patch.setattr(touched.Covered, "has", answers(False))
    return nothing


def a_filter_under_way_keeps_no_key_dirty(patch: Patch) -> Change:
    def has(self: touched.Covered, place: int, record_id: RecordId) -> bool:
        return (place, touched.id_key(record_id)) in self.keys

    patch.setattr(touched.Covered, "has", has)
    return nothing


def the_copy_writes_what_was_touched(patch: Patch) -> Change:
    patch.setattr(touched.TouchedKeys, "ever_touched", answers(set[RecordId]()))
    return nothing


def a_write_of_unknown_outcome_counts_as_made(patch: Patch) -> Change:
    upsert = RetryingTarget.upsert

    async def swallow(self: RetryingTarget, batch: Any) -> Any:
        try:
            return await upsert(self, batch)
        except TransientError:
            return []

    patch.setattr(RetryingTarget, "upsert", swallow)
    return nothing


def what_a_filter_changed_is_not_looked_for(patch: Patch) -> Change:
    patch.setattr(reconcile.Reconciler, "_find", do_nothing)
    return nothing


def writes_are_admitted_while_they_are_held(patch: Patch) -> Change:
    patch.setattr(intents, "admits", authority)
    return nothing


def both_sides_admit_writes(patch: Patch) -> Change:
    patch.setattr(intents, "_admission", answers(Admitted(0)))
    return nothing


def the_switch_applies_nothing_and_compares_nothing(patch: Patch) -> Change:
    async def drained(self: switch.Switch) -> bool:
        return True

    patch.setattr(switch.Switch, "_drained", drained)
    patch.setattr(switch.Switch, "_verify", do_nothing)
    return nothing


def nobody_ends_a_hold(patch: Patch) -> Change:
    patch.setattr(Keeper, "_thaw", answers(None))
    for module in (switch, live_run, orders):
        patch.setattr(module, "thaw", do_nothing)
    return nothing


def stormy(seed: int) -> Script:
    """Much of everything."""
    faults = Faults(lost=0.12, late=0.12, slow=0.25, stale=0.3 if seed % 4 == 3 else 0)
    kills = (0, 4, 0, 4)[seed % 4], (0, 0, 4, 4)[seed % 4]
    return Script(
        faults=faults,
        kills_runner=kills[0],
        kills_gateway=kills[1],
        busy=3,
        filters=0.15 if seed % 2 else 0,
        slows=seed % 2 == 0,
        reverses=seed % 3 == 0,
    )


BUDGET = 40
"""Seeds within which a missing rule must show."""

RULES: tuple[Callable[[Patch], Change], ...] = (
    a_request_is_forwarded_before_it_is_noted,
    a_request_of_unknown_outcome_counts_as_ended,
    a_doubt_ends_at_once,
    a_key_is_cleared_although_it_was_touched_since,
    a_key_is_cleared_while_a_request_is_under_way,
    a_filter_under_way_keeps_no_key_dirty,
    the_copy_writes_what_was_touched,
    a_write_of_unknown_outcome_counts_as_made,
    what_a_filter_changed_is_not_looked_for,
    writes_are_admitted_while_they_are_held,
    both_sides_admit_writes,
    the_switch_applies_nothing_and_compares_nothing,
    nobody_ends_a_hold,
)


@pytest.mark.parametrize("break_rule", RULES)
def test_a_whole_run_without_a_rule_is_found_out(
    template: Template, monkeypatch: pytest.MonkeyPatch, break_rule: Callable[[Patch], Change]
) -> None:
    change = break_rule(monkeypatch)
    assert any(simulate(template, seed, stormy(seed), change).wrong for seed in range(BUDGET))


def test_with_all_rules_the_same_seeds_find_nothing(template: Template) -> None:
    worlds = [simulate(template, seed, stormy(seed)) for seed in range(8)]
    assert [wrong for world in worlds for wrong in world.wrong] == []
