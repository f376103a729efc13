"""What becomes of each kind of thing between each pair of databases, found by asking the planner and the mapping.

For every case (fidelity_cases) that the source can hold, a plan is made and its records are mapped, as a migration
would. The losses that concern the case are the answer: none is exact; all undone by the sidecar or the origin note is
reversible; any other, a record that is refused, or a collection that cannot be is lossy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vectormigrate import registry
from vectormigrate.adapter import AnySpec, Capabilities, editions
from vectormigrate.advice.evidence import Inferred
from vectormigrate.advice.fidelity_case import Case, Collection
from vectormigrate.advice.fidelity_cases import CASES
from vectormigrate.advice.indexes import index_type
from vectormigrate.errors import IncompatibleSchema
from vectormigrate.mapping.convert.mapper import Mapper
from vectormigrate.mapping.losses import ALL
from vectormigrate.mapping.plan.planner import Decision, decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.answers import OutcomeTable
from vectormigrate.model.plan import EndpointRef, Loss, MigrationSpec, Outcome
from vectormigrate.model.schema import CollectionSchema

Side = tuple[str, Capabilities]
"""An adapter's name and what the database (or an edition of it) can hold."""

Cells = Mapping[tuple[str, str], Outcome | None]
"""(group, name) of every case -> outcome; None where the source has no such thing."""

WORDS = {Outcome.EXACT: "exact", Outcome.REVERSIBLE: "reversible", Outcome.LOSSY: "**lossy**", None: "–"}


def outcomes(source: Side, target: Side) -> Cells:
    """The outcome of every case between these two."""
    return {(case.group, case.name): outcome(source, target, case) for case in CASES}


def outcome(source: Side, target: Side, case: Case) -> Outcome | None:
    """What becomes of one thing; None where the source has no such thing."""
    made = case.make(source[1])
    if made is None:
        return None
    try:
        losses, rejected = _losses(source, target, made)
    except IncompatibleSchema:
        return Outcome.LOSSY
    found = {loss.outcome for loss in losses if case.concerned(loss.name)}
    if rejected or Outcome.LOSSY in found or _unindexed(made.schema, target[1]):
        return Outcome.LOSSY
    return Outcome.REVERSIBLE if found else Outcome.EXACT


def _unindexed(schema: CollectionSchema, target: Capabilities) -> bool:
    """Whether the target lacks an index for a field that the source filters on."""
    kinds = [Inferred(type=item.type, element=item.element) for item in schema.fields if item.indexed]
    return any(index_type(target, kind) is None for kind in kinds)


def _losses(source: Side, target: Side, made: Collection) -> tuple[Sequence[Loss], int]:
    """The losses of a plan for this collection, and how many of its records would be refused."""
    profile = Profile()
    for batch in made.batches:
        profile.add(batch)
    known = None if target[1].metadata.dynamic else profile
    rules = replace(_decide(source, target, made, known, None).rules, accepted_losses=(ALL,))
    mapped = [part for batch in made.batches for part in Mapper(rules).convert(batch)]
    counts = sum((part.losses for part in mapped), Counter[str]())
    rejected = sum(len(part.rejects) for part in mapped)
    return _decide(source, target, made, profile, counts).losses, rejected


def _decide(
    source: Side, target: Side, made: Collection, profile: Profile | None, counts: Mapping[str, int] | None
) -> Decision:
    (source_name, source_caps), (target_name, target_caps) = source, target
    spec = MigrationSpec(
        id="probe",
        source=EndpointRef(type=source_name, collection="c", location="source"),
        target=EndpointRef(type=target_name, collection="c", location="target"),
    )
    return decide(
        spec=spec,
        source_schema=made.schema,
        source_adapter=source_name,
        source_caps=source_caps,
        target_adapter=target_name,
        target_caps=target_caps,
        namespaces={batch.namespace: len(batch) for batch in made.batches},
        profile=profile,
        loss_counts=counts,
    )


def general_notices(source: Side, target: Side) -> list[str]:
    """Sentences about the kinds of things that do not go over as they are."""
    cells = outcomes(source, target)
    lost = [key for key, found in cells.items() if found is Outcome.LOSSY]
    kept = [key for key, found in cells.items() if found is Outcome.REVERSIBLE]
    told = [f"lossy on this way: {_listed(lost)}"] if lost else []
    return [*told, f"reversible, converted and restored on the round trip: {_listed(kept)}"] if kept else told


def known() -> list[str]:
    """Every database for which a package is needed: those of the table when none are named."""
    return [name for name in registry.names() if registry.load(name).extra is not None]


def outcome_table(main: Sequence[str], also: Sequence[str]) -> OutcomeTable:
    """Both forms of the table. Raises UnknownAdapter."""
    return OutcomeTable(rows=rows(main), markdown=markdown(main, also))


def rows(main: Sequence[str]) -> list[dict[str, str | None]]:
    """The table as data, one line per pair and thing; `outcome` is None where the source has no such thing."""
    sides: dict[str, Side] = {name: (registry.load(name).name, registry.load(name).capabilities) for name in main}
    return [
        {"source": source, "target": target, "group": group, "name": name, "outcome": found and str(found)}
        for source in main
        for target in main
        for (group, name), found in outcomes(sides[source], sides[target]).items()
    ]


def markdown(main: Sequence[str], others: Sequence[str] = ()) -> str:
    """A table per source of `main` with a column per target of `main`, what is exact on all these ways below it, and
    how each of `others` and each edition of a database differs. Raises UnknownAdapter."""
    specs = {name: registry.load(name) for name in (*main, *others)}
    sides: dict[str, Side] = {name: (spec.name, spec.capabilities) for name, spec in specs.items()}
    lines: list[str] = []
    for source in main:
        cells = {target: outcomes(sides[source], sides[target]) for target in main}
        lines += [f"**From {source}**", "", *_table(main, cells), "", f"Exact: {_exact(main, cells)}.", ""]
    notes = list(_notes(main, others, specs, sides))
    return "\n".join([*lines, *notes]).strip() + "\n"


def _table(targets: Sequence[str], cells: Mapping[str, Cells]) -> Iterator[str]:
    yield f"| | {' | '.join(f'to {target}' for target in targets)} |"
    yield f"|---|{'---|' * len(targets)}"
    for case in CASES:
        key = (case.group, case.name)
        row = [cells[target][key] for target in targets]
        if any(row) and set(row) != {Outcome.EXACT}:
            yield f"| {case.group}: {case.name} | {' | '.join(WORDS[item] for item in row)} |"


def _exact(targets: Sequence[str], cells: Mapping[str, Cells]) -> str:
    """The rest: what every one of the targets holds as it is."""
    keys = [(case.group, case.name) for case in CASES]
    return _listed([key for key in keys if {cells[target][key] for target in targets} == {Outcome.EXACT}])


def _notes(
    main: Sequence[str], others: Sequence[str], specs: Mapping[str, AnySpec], sides: Mapping[str, Side]
) -> Iterator[str]:
    """One line per embedded engine and edition: which database it is most like, and where it differs."""
    for name in others:
        yield _likeness(name, sides[name], main, sides)
    for name in main:
        for label, caps in editions(specs[name]).items():
            yield _likeness(label, (specs[name].name, caps), [name], sides)


def _likeness(label: str, side: Side, candidates: Sequence[str], sides: Mapping[str, Side]) -> str:
    """The candidate with the fewest differences, and the differences."""
    found = {name: _differences(side, name, sides) for name in candidates}
    nearest = min(found, key=lambda name: len(found[name]))
    return f"- {label}: as {nearest}{''.join(found[nearest])}."


def _differences(side: Side, other: str, sides: Mapping[str, Side]) -> list[str]:
    """What it does not hold, or holds besides, and what it changes of what the other one holds as it is."""
    as_other: Side = (sides[other][0], side[1])
    held, usual = outcomes(as_other, as_other), outcomes(sides[other], sides[other])
    into = outcomes(sides[other], as_other)
    lists = {
        "without": [key for key in usual if usual[key] and not held[key]],
        "with": [key for key in usual if held[key] and not usual[key]],
        "lossy on the way into it:": [key for key in usual if usual[key] and into[key] is Outcome.LOSSY],
        "reversible on the way into it:": [key for key in usual if usual[key] and into[key] is Outcome.REVERSIBLE],
    }
    return [f"; {words} {_listed(keys)}" for words, keys in lists.items() if keys]


def _listed(keys: Sequence[tuple[str, str]]) -> str:
    """The names, the group before the first of each."""
    groups: dict[str, list[str]] = {}
    for group, name in keys:
        groups.setdefault(group, []).append(name)
    return ", ".join(f"{group} ({', '.join(names)})" for group, names in groups.items())
