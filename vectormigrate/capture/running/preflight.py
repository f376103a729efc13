"""What a live migration needs, checked before anything is written; and what only the operator can see to."""

from __future__ import annotations

from collections.abc import Iterator

from vectormigrate import registry
from vectormigrate.adapter.operations import operations_of
from vectormigrate.capture.running.way_back import plan_back
from vectormigrate.engine.connect import Ends
from vectormigrate.errors import PlanError, option
from vectormigrate.figures import duration
from vectormigrate.model.live import LiveOptions
from vectormigrate.model.plan import MigrationPlan

EXPIRY = "ttl"
"""The setting by which adapters report that the server itself deletes records."""


def preflight(plan: MigrationPlan, ends: Ends, live: LiveOptions) -> MigrationPlan | None:
    """The plan of the way back, None for a migration that goes one way. Raises PlanError with everything that is in the
    way of following the source."""
    problems = list(_problems(plan))
    back = None
    if not live.one_way:
        try:
            back = plan_back(plan, ends, plan.target_schema)
        except PlanError as error:
            problems.append(f"there would be no way back: {error}; accept that with {option('live.one_way', True)}")
    if problems:
        raise PlanError(f"migration {plan.spec.id!r} cannot be live: " + "; ".join(problems))
    return back


def _problems(plan: MigrationPlan) -> Iterator[str]:
    spec = plan.spec
    if plan.target_exists:
        yield "the target collection exists; a live migration makes its own, in which nobody else writes"
    if spec.namespaces is not None:
        yield f"it follows all namespaces, so leave out {option('request.namespaces')}"
    for setting in plan.source_schema.settings:
        if setting.name.partition(":")[0] == EXPIRY:
            yield f"the source deletes records by itself, which no request shows ({setting.detail})"


def duties(plan: MigrationPlan, live: LiveOptions) -> list[str]:
    """What the operator sees to, in sentences."""
    found = [
        "every writer goes through the gateway (or marks its writes): revoke the direct credential, since a write past "
        "it is seen by nobody",
        f"a request takes effect within {duration(live.source_deadline)} on the source and "
        f"{duration(live.target_deadline)} on the target, or never",
        "no import, restore or alias change meanwhile: the gateway refuses those that go through it",
    ]
    for side, end in (("source", plan.spec.source), ("target", plan.spec.target)):
        if operations_of(registry.load(end.type)) is None:
            found.append(f"the {side} ({end.type}) has no server: writes to it can only be marked")
    return found
