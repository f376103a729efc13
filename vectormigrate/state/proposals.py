"""What a server keeps of plans: those that wait for a yes, and the requests that started one."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from vectormigrate.errors import InvalidTransition
from vectormigrate.model.plan import MigrationPlan, MigrationSpec, RunOptions
from vectormigrate.state import live as lives
from vectormigrate.state import migrations
from vectormigrate.state.connection import Session
from vectormigrate.state.faults import corrupt
from vectormigrate.state.file import StateFile
from vectormigrate.state.records import json_text, utc_text

KEEP = timedelta(days=1)
"""How long a plan may wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A plan that somebody was shown. Only `owner` may start it."""

    id: str
    owner: str
    plan: MigrationPlan
    options: RunOptions
    made_at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """Who starts a plan, and how the start may be repeated. `owner`: name of the key, empty for nobody. `request_id`:
    the caller's own; `plan_id`: the plan that was shown. `apart`: what another owner began is none of theirs."""

    owner: str = ""
    request_id: str | None = None
    plan_id: str | None = None
    apart: bool = False


class Proposals:
    """Plans that were shown, and the starts that were asked for."""

    def __init__(self, file: StateFile) -> None:
        self._file = file

    async def save(self, proposal: Proposal) -> None:
        """Keep a plan that was shown, for a day, and forget those that waited too long."""
        await self._file.write(lambda session: _save(session, proposal))

    async def find(self, proposal_id: str) -> Proposal | None:
        """The plan, or None when there is none or it waited too long. Raises StateCorrupt."""
        return await _find(self._file.reader, proposal_id)

    async def begin(
        self, plan: MigrationPlan, options: RunOptions, by: Starter, live: lives.LivePlace | None = None
    ) -> tuple[str, bool]:
        """Store the migration of a plan, once: the id, and whether this call made it. With `live`, it is a live one.

        It did not when the migration exists with this very plan. Raises InvalidTransition when the id belongs to
        another plan, or this owner's request to another migration, or only one of both is live.
        """
        return await self._file.write(lambda session: _begin(session, plan, options, by, live))

    async def requested(self, owner: str, request_id: str) -> tuple[str, str | None] | None:
        """What this owner's request started: the migration, and the id of its plan, None where that was not written
        down."""
        return await _requested(self._file.reader, owner, request_id)


async def _save(session: Session, proposal: Proposal) -> None:
    await session.execute("trim_proposals", before=utc_text(datetime.now(UTC) - KEEP))
    await session.execute(
        "save_proposal",
        id=proposal.id,
        owner=proposal.owner,
        plan=json_text(proposal.plan.to_json()),
        options=json_text(asdict(proposal.options)),
        now=proposal.made_at,
    )


async def _find(session: Session, proposal_id: str) -> Proposal | None:
    row = await session.fetch_one("proposal", id=proposal_id)
    if row is None or row["made_at"] < utc_text(datetime.now(UTC) - KEEP):
        return None
    try:
        plan = MigrationPlan.from_json(json.loads(row["plan"]))
        options = RunOptions(**json.loads(row["options"]))
    except (ValueError, TypeError, KeyError) as error:
        raise corrupt(session.path, f"plan {proposal_id!r} cannot be read: {error}") from error
    return Proposal(id=row["id"], owner=row["owner"], plan=plan, options=options, made_at=row["made_at"])


async def _requested(session: Session, owner: str, request_id: str) -> tuple[str, str | None] | None:
    row = await session.fetch_one("find_request", owner=owner, request_id=request_id)
    return None if row is None else (row["migration_id"], row["plan_id"])


async def _begin(
    session: Session, plan: MigrationPlan, options: RunOptions, by: Starter, live: lives.LivePlace | None
) -> tuple[str, bool]:
    migration_id = plan.spec.id
    answered = None if by.request_id is None else await _requested(session, by.owner, by.request_id)
    if answered is not None and answered[0] != migration_id:
        raise InvalidTransition(
            f"the request {by.request_id!r} started the migration {answered[0]!r} before, not {migration_id!r}; "
            "choose another request_id"
        )
    existing = await session.fetch_one("load_migration", id=migration_id)
    made = existing is None
    if existing is None:
        await migrations.create(session, plan, options, by.owner or None)
        if live is not None:
            await lives.insert(session, migration_id, live)
        await session.execute("add_served", id=migration_id, owner=by.owner, now=utc_text())
    elif by.apart and existing["owner"] != by.owner:
        raise InvalidTransition(f"the id {migration_id!r} is taken; plan again with another migration_id")
    elif existing["fingerprint"] != plan.fingerprint() or _spec_of(existing["plan"]) != plan.spec:
        raise InvalidTransition(
            f"migration {migration_id!r} exists already ({existing['status']}) with another plan; choose another id"
        )
    elif (await session.fetch_one("live", id=migration_id) is None) is not (live is None):
        kind = "is live" if live is None else "is not live"
        raise InvalidTransition(f"migration {migration_id!r} exists already and {kind}; choose another id")
    if by.request_id is not None and answered is None:
        await session.execute(
            "save_request",
            owner=by.owner,
            request_id=by.request_id,
            migration_id=migration_id,
            plan_id=by.plan_id,
            now=utc_text(),
        )
    return migration_id, made


def _spec_of(plan: str) -> MigrationSpec:
    """What was asked for; the fingerprint is of what will be copied, and not of what may be replaced."""
    return MigrationPlan.from_json(json.loads(plan)).spec
