"""The protocol holds in every order of events, and not without any one of its rules."""

from __future__ import annotations

import os

import pytest

from tests.live.model import Model, Rules, search

ALL = Rules()
STALE = Rules(fresh_reads=False, witnessed_reads=True)
"""Reads may be old, as on a source that becomes consistent in the end; then they need a witness."""

BROKEN = {
    "noted after it was forwarded": ALL.without("noted_before_forwarded"),
    "cleared although touched since": ALL.without("cleared_only_if_untouched", "not_cleared_while_under_way"),
    "cleared while a request is under way": ALL.without("not_cleared_while_under_way"),
    "old reads without a witness": STALE.without("witnessed_reads"),
    "backfill of touched keys": ALL.without("backfill_leaves_touched_keys"),
    "touched during the page only, with old reads": STALE.without("touched_once_is_touched_for_ever"),
    "two writers of the target": ALL.without("one_writer_of_the_target"),
    "no quarantine of the target": ALL.without("target_quarantine"),
    "no quarantine of the target after a restart": ALL.without("target_quarantine", "target_quarantine_after_restart"),
    "no quarantine of the source": ALL.without("source_quarantine"),
    "cleared before the acknowledgement": ALL.without("cleared_after_acknowledgement"),
    "cursor before the acknowledgement": ALL.without("cursor_after_acknowledgement"),
    "keys before the backfill are left to it": ALL.without("every_key_is_applied"),
}


@pytest.mark.parametrize("deletes", [(False,), (True,)])
@pytest.mark.parametrize("rules", [ALL, STALE], ids=["fresh", "stale"])
def test_with_all_rules_the_target_ends_as_the_source(rules: Rules, deletes: tuple[bool, ...]) -> None:
    found = search(Model(rules, deletes, crashes=2))
    assert found.trace is None
    assert found.rests > 3


@pytest.mark.slow
@pytest.mark.skipif("VECTORMIGRATE_TEST_LONG" not in os.environ, reason="takes minutes: set VECTORMIGRATE_TEST_LONG")
@pytest.mark.parametrize("rules", [ALL, STALE], ids=["fresh", "stale"])
def test_with_all_rules_two_requests_that_meet_end_well(rules: Rules) -> None:
    assert search(Model(rules, (False, True))).trace is None


@pytest.mark.parametrize("name", BROKEN)
def test_without_a_rule_there_is_a_way_to_a_wrong_target(name: str) -> None:
    found = [search(Model(BROKEN[name], deletes)) for deletes in ((False,), (True,))]
    assert any(each.trace is not None for each in found), [each.states for each in found]
