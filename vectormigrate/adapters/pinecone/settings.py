"""What an index has beyond vectors and records, by name, for plans. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from vectormigrate.adapters.pinecone.layout import Layout
from vectormigrate.figures import counted
from vectormigrate.model.schema import (
    Json,
    Setting,
    Weight,
)


def settings_of(layout: Layout) -> tuple[Setting, ...]:
    """What must be named where a copy does not get it."""
    found: list[Setting] = []

    def add(name: str, weight: Weight, detail: str) -> None:
        found.append(Setting(name=name, weight=weight, detail=detail))

    given = layout.settings
    deployment: Mapping[str, Json] = given["deployment"]
    if deployment.get("deployment_type") == "byoc":
        place = deployment["environment"]
        add("byoc", Weight.SAFETY, f"the index runs in an environment of its owner's ({place}), the copy does not")
    if given.get("cmek_id"):
        add("cmek", Weight.SAFETY, "the index is encrypted with a key of its owner's, the copy is not")
    if given["deletion_protection"] == "enabled":
        add("deletion-protection", Weight.SAFETY, "the index is protected from deletion, the copy is not")
    if given["read_capacity"].get("mode") == "Dedicated":
        nodes = given["read_capacity"].get("dedicated") or {}
        kind, manual = nodes.get("node_type", "?"), nodes.get("manual") or {}
        size = f", {counted(manual['shards'])} shards with {manual['replicas']} replicas" if manual else ""
        add("read-capacity", Weight.SETTING, f"reads are served by nodes of the index's own ({kind}{size})")
    if given["tags"]:
        add("tags", Weight.SETTING, f"the index has tags: {', '.join(sorted(given['tags']))}")
    listed = sorted(name for name, config in layout.fields.items() if config.get("filterable"))
    if listed and layout.kind == "vector":
        detail = (
            f"only these metadata fields are indexed: {', '.join(listed)}; the copy indexes all (Pinecone makes no "
            "index with such a list any more) or none"
        )
        add("filterable", Weight.BEHAVIOUR, detail)
    if layout.embedded:
        fields = ", ".join(sorted(layout.embedded))
        add("embedding", Weight.BEHAVIOUR, f"Pinecone makes vectors from text ({fields}) itself; the copy does not")
    for field, config in sorted(layout.fields.items()):
        if config.get("store_text") is False:
            detail = f"the text of the field {field!r} is not stored in Pinecone (store_text: false): it cannot be read"
            add(f"text:{field}", Weight.RECORDS, detail)
    return tuple(found)
