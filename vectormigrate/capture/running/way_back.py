"""The plan of the way back: from the target as it is made to the source as it is, decided beforehand."""

from __future__ import annotations

from dataclasses import replace

from vectormigrate.engine.connect import Ends
from vectormigrate.errors import PlanError, listed
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.plan.planner import decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.note import OriginNote
from vectormigrate.model.plan import MigrationPlan, Outcome
from vectormigrate.model.schema import CollectionSchema


def plan_back(plan: MigrationPlan, ends: Ends, target_schema: CollectionSchema) -> MigrationPlan:
    """Every record that the target can hold goes to the source by these rules; one that the source cannot hold is
    refused, never changed. Raises PlanError for what would be lost on the way back as a whole."""
    lost = [f"{loss.name} ({loss.told()})" for loss in plan.losses if loss.outcome is Outcome.LOSSY]
    if lost:
        # Accepted for the target; on the way back the source's own records would get what is left of them.
        raise PlanError(f"what the target cannot hold would be lost on the source, too: {listed(lost, 5)}")
    mapper = Mapper(plan.rules)
    namespaces: dict[str, int] = {}
    for name, records in plan.namespaces.items():
        there = mapper.target_namespace(name)
        namespaces[there] = namespaces.get(there, 0) + records
    spec = replace(
        plan.spec,
        source=plan.spec.target,
        target=plan.spec.source,
        namespaces=None,
        into_existing=True,
        overwrite=True,
        renames={},
        vectors=(),
        accepted_losses=(),
    )
    # Ids return as what they were; one of another kind that the application makes on the target is refused then.
    target_schema = replace(target_schema, id_kinds=plan.source_schema.id_kinds, note=plan.target_schema.note)
    note = OriginNote.from_json(target_schema.note) if target_schema.note else None
    # To where the records were made everything returns as it was, by what the note and the sidecars keep.
    home = note is not None and note.adapter == ends.source_adapter and plan.source_schema.note is None
    decision = decide(
        spec=spec,
        source_schema=target_schema,
        source_adapter=ends.target_adapter,
        source_caps=ends.target.capabilities,
        target_adapter=ends.source_adapter,
        target_caps=ends.source.capabilities,
        namespaces=namespaces,
        existing=None if home else plan.source_schema,
        profile=Profile(),
        loss_counts={},
        ids_meet=False,
    )
    found = MigrationPlan(
        spec=spec,
        source_schema=target_schema,
        target_schema=plan.source_schema,
        target_exists=True,
        rules=decision.rules,
        field_mappings=decision.field_mappings,
        losses=decision.losses,
        namespaces=namespaces,
        partitions=(),
        total_records=plan.total_records,
        bytes_per_record=plan.bytes_per_record,
        profiled_records=0,
        seconds_estimate=plan.seconds_estimate,
        warnings=decision.warnings,
        collisions=0,
    )
    if found.unaccepted:
        told = [f"{name} ({detail})" for name, detail in found.refused.items()]
        raise PlanError(f"the way back would lose: {listed(told, 5)}")
    return found
