"""Plans, schemas and recommendations as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from vectormigrate.cli.render.console import clean, pairs, show, table, worded
from vectormigrate.cli.render.words import bytes_in_all, namespace, place
from vectormigrate.figures import counted, duration, percent, plural, size, small
from vectormigrate.model.answers import CollectionReport, Holdings, OptionLine, Recommendation
from vectormigrate.model.plan import CompareClass, FieldMapping, Loss, MigrationPlan, Outcome, VectorMapping
from vectormigrate.model.schema import CollectionSchema

STYLE = {Outcome.EXACT: "green", Outcome.REVERSIBLE: "yellow", Outcome.LOSSY: "red"}
COMPARE = {CompareClass.EXACT: "bit for bit", CompareClass.UNIT: "direction", CompareClass.TOL: "within"}
IDS = {
    "native": "unchanged",
    "uuid5": "UUIDv5 of (collection, namespace, id); the original is kept with the record",
}


def heading(text: str) -> Text:
    """The first line of a view."""
    return Text(clean(text), style="bold")


def outcome_text(outcome: Outcome) -> Text:
    """The outcome in its colour."""
    return Text(outcome.word, style=STYLE[outcome])


def accept_flags(names: Iterable[str]) -> str:
    """The flags that accept these losses."""
    return " ".join(f"--accept-loss {name}" for name in names)


def _summary(plan: MigrationPlan, more: Sequence[tuple[str, str]] = ()) -> RenderableType:
    target = "exists" if plan.target_exists else "will be created"
    records = f"{plural(plan.total_records, 'record')} in {plural(len(plan.namespaces), 'namespace')}"
    if plan.profiled_records < plan.total_records:
        records += f"; the plan rests on the first {counted(plan.profiled_records)}"
    amount = f"about {size(bytes_in_all(plan))}"
    if plan.seconds_estimate is not None:
        amount += f", {duration(plan.seconds_estimate)}"
    rows = [
        ("source", clean(place(plan.spec.source))),
        ("target", f"{clean(place(plan.spec.target))}  ({target})"),
        ("records", records),
        ("amount", f"{amount}, in {plural(len(plan.partitions), 'partition')}"),
        ("ids", IDS.get(plan.rules.id_strategy, plan.rules.id_strategy)),
    ]
    if plan.spec.plain:
        rows.append(("sidecar", "none (--no-sidecar)"))
    return pairs([*rows, *more])


def _namespaces(plan: MigrationPlan) -> Table:
    made = table("Namespaces", "source", "target", "records", "partitions", right=("records", "partitions"))
    for name, records in plan.namespaces.items():
        parts = sum(1 for part in plan.partitions if part.namespace == name)
        new = plan.rules.namespaces.get(name, name)
        made.add_row(clean(namespace(name)), clean(namespace(new)), counted(records), counted(parts))
    return made


def _compare(mapping: VectorMapping) -> str:
    words = COMPARE[mapping.compare]
    if mapping.compare is CompareClass.TOL:
        words += f" {small(mapping.tolerance)}"
    notes = [words]
    if mapping.normalise:
        notes.append("unit length, original length kept")
    if mapping.fill:
        notes.append("zeros where a record has none")
    return "; ".join(notes)


def _vectors(plan: MigrationPlan) -> Table:
    made = table("Vectors", "source", "target", "kind", "dim", "metric", "stored as", "compared", right=("dim",))
    for mapping in plan.rules.vectors:
        field = plan.source_schema.vector(mapping.source)
        stored = f"{field.dtype} → {mapping.dtype}" if field and str(field.dtype) != mapping.dtype else mapping.dtype
        after = plan.target_schema.vector(mapping.target)
        metric = str(field.metric) if field else ""
        if field and after and after.metric is not field.metric:
            metric += f" → {after.metric}"
        made.add_row(
            clean(mapping.source or "(unnamed)"),
            clean(mapping.target or "(unnamed)"),
            str(field.kind) if field else "",
            counted(field.dim) if field else "",
            metric,
            stored,
            _compare(mapping),
        )
    return made


def fields_table(fields: Sequence[FieldMapping], figure: str = "unconverted") -> Table:
    """Field mappings. In a plan the `figure` is the share of values that stay as they are, in a recommendation its
    confidence."""
    made = table("Metadata", "field", "becomes", "type", figure, "outcome", "notes", right=(figure,))
    for item in fields:
        types = item.source_type
        if item.target_type != item.source_type:
            types += f" → {item.target_type}"
        made.add_row(
            clean(item.source_field),
            "same" if item.target_field == item.source_field else clean(item.target_field),
            clean(types),
            percent(item.confidence),
            outcome_text(item.outcome),
            clean(item.notes),
        )
    return made


def losses_table(losses: Sequence[Loss], accepted: Iterable[str] = ()) -> Table:
    """What the target cannot hold natively."""
    accepted = set(accepted)
    made = table("What the target cannot hold as it is", "name", "outcome", "records", "detail", right=("records",))
    for loss in losses:
        outcome = outcome_text(loss.outcome)
        if loss.outcome is Outcome.LOSSY and loss.name in accepted:
            outcome.append(" (accepted)")
        made.add_row(clean(loss.name), outcome, counted(loss.count), clean(loss.detail))
    return made


def _warnings(warnings: Sequence[str]) -> None:
    for text in warnings:
        show(Text(f"warning: {worded(text)}", style="yellow"))


def _verdict(plan: MigrationPlan) -> Text:
    if plan.unaccepted:
        return Text(f"To start, accept the losses: {accept_flags(plan.unaccepted)}", style="red")
    if any(loss.outcome is Outcome.LOSSY for loss in plan.losses):
        return Text("All losses are accepted.", style="yellow")
    return Text("Nothing is lost.", style="green")


def show_plan(plan: MigrationPlan) -> None:
    """The whole plan, for `--dry-run`."""
    show(heading(f"Plan of {plan.spec.id}"), _summary(plan), "", _namespaces(plan), "", _vectors(plan))
    if plan.field_mappings:
        show("", fields_table(plan.field_mappings))
    if plan.losses:
        show("", losses_table(plan.losses, plan.spec.accepted_losses))
    show("")
    _warnings(plan.warnings)
    show(_verdict(plan), "Nothing was written to either database.")


def show_short_plan(plan: MigrationPlan) -> None:
    """The plan in a few lines, before a copy."""
    lost = {loss.name: loss.count for loss in plan.losses if loss.outcome is Outcome.LOSSY}
    kept = {loss.name: loss.count for loss in plan.losses if loss.outcome is Outcome.REVERSIBLE}
    rows = [
        (title, ", ".join(name if number is None else f"{name} ({counted(number)})" for name, number in group.items()))
        for title, group in (("lossy", lost), ("reversible", kept))
        if group
    ]
    show(heading(f"Migration {plan.spec.id}"), _summary(plan, rows))
    _warnings(plan.warnings)
    show("")


def show_collection(report: CollectionReport) -> None:
    """`schema describe`."""
    schema = report.collection
    total = sum(report.namespaces.values())
    show(
        heading(schema.name),
        pairs(
            [
                ("location", clean(report.location)),
                ("server", clean(report.server)),
                ("ids", ", ".join(sorted(schema.id_kinds))),
                ("records", f"{plural(total, 'record')} in {plural(len(report.namespaces), 'namespace')}"),
                ("undeclared fields", "allowed" if schema.dynamic else "not allowed"),
            ]
        ),
        "",
        _schema_vectors(schema),
    )
    if schema.fields:
        show("", _schema_fields(schema))
    if len(report.namespaces) > 1:
        made = table("Namespaces", "name", "records", right=("records",))
        for name, records in report.namespaces.items():
            made.add_row(clean(namespace(name)), counted(records))
        show("", made)
    if report.fields:
        made = table(f"Metadata in {plural(report.sampled, 'record')}", "field", "type", "notes")
        for item in report.fields:
            made.add_row(clean(item.source_field), clean(item.source_type), clean(item.notes))
        show("", made)


def show_holdings(found: Holdings) -> None:
    """`collections`."""
    made = table(f"{clean(found.server)}: {plural(len(found.collections), 'collection')}", *_HELD, right=("records",))
    for item in found.collections:
        vectors = ", ".join(f"{v.name or '(unnamed)'} {v.kind} {v.dim or ''}".strip() for v in item.vectors)
        made.add_row(clean(item.name), counted(item.records), clean(vectors), worded(item.problem or ""))
    show(made)


def show_options(lines: Sequence[OptionLine]) -> None:
    """`options`: a table per type."""
    for kind in dict.fromkeys(line.type for line in lines):
        made = table(kind, "option", "value", "default", "meaning")
        for line in lines:
            if line.type == kind:
                made.add_row(line.name, line.value, line.default, line.meaning)
        show(made, "")


_HELD = ("name", "records", "vectors", "problem")


def _schema_vectors(schema: CollectionSchema) -> Table:
    made = table("Vectors", "name", "kind", "dim", "metric", "stored as", "index", right=("dim",))
    for field in schema.vectors:
        index = ", ".join(f"{key} {value}" for key, value in field.index.items())
        name = clean(field.name or "(unnamed)")
        made.add_row(name, str(field.kind), counted(field.dim), str(field.metric), str(field.dtype), clean(index))
    return made


def _schema_fields(schema: CollectionSchema) -> Table:
    made = table("Fields", "name", "type", "properties")
    for field in schema.fields:
        kind = f"{field.type} of {field.element}" if field.element else str(field.type)
        words = [word for word, true in (("declared", field.declared), ("indexed", field.indexed)) if true]
        words += ["nullable"] if field.nullable else []
        words += [f"{key} {value}" for key, value in field.params.items()]
        made.add_row(clean(field.name), kind, clean(", ".join(words)))
    return made


def _evidence(answer: Recommendation) -> Table:
    made = table(
        "Evidence", "field", "type", "share", "records", "null", "different", "bytes", "elements", "index", "because",
        right=("share", "records", "null", "different", "bytes", "elements"),
    )  # fmt: skip
    for item in answer.evidence:
        kind = f"{item.type} of {item.element}" if item.element else item.type or ""
        figures = (item.records, item.nulls, item.distinct, item.max_bytes, item.longest_list)
        made.add_row(
            clean(item.field), kind, percent(item.share), *map(counted, figures), item.index or "", item.index_reason
        )
    return made


def show_recommendation(answer: Recommendation, *, details: bool = False) -> None:
    """`schema recommend`."""
    show(
        heading(f"From {answer.source_type} to {answer.target_type}"),
        pairs([("confidence", percent(answer.overall_confidence))]),
    )
    if answer.target_schema:
        show("", _schema_vectors(answer.target_schema))
        if answer.target_schema.fields:
            show("", _schema_fields(answer.target_schema))
    if answer.field_mappings:
        show("", fields_table(answer.field_mappings, "confidence"))
    if details and answer.evidence:
        show("", _evidence(answer))
    if answer.losses:
        show("", losses_table(answer.losses))
    if answer.notices:
        show("")
        _warnings(answer.notices)
