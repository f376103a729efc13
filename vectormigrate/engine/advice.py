"""`schema describe` and `schema recommend`: what a collection holds and what it would be elsewhere. Reads only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from datetime import UTC, datetime
from uuid import UUID

from vectormigrate import registry
from vectormigrate.engine.retry import RetryingSource
from vectormigrate.errors import ConfigError
from vectormigrate.mapping.planner import Decision, decide
from vectormigrate.mapping.profile import Profile
from vectormigrate.model.batch import Metadata, RecordBatch, Value
from vectormigrate.model.plan import EndpointRef, MigrationSpec
from vectormigrate.model.schema import CollectionSchema, FieldType, MetadataField
from vectormigrate.requests import Recommendation

SAMPLE_PAGE_ROWS = 2000

EXAMPLES: Mapping[FieldType, tuple[Value, ...]] = {
    FieldType.BOOL: (True, False),
    FieldType.INT8: (0, 127, -128),
    FieldType.INT16: (0, 32_767, -32_768),
    FieldType.INT32: (0, 2**31 - 1, -(2**31)),
    FieldType.INT64: (0, 2**53 + 1, -(2**63)),
    FieldType.FLOAT32: (0.5, 1.0, -2.25),
    FieldType.FLOAT64: (0.1, 1.0, -1e300),
    FieldType.STRING: ("text", ""),
    FieldType.TEXT: ("a longer text", ""),
    FieldType.DATETIME: (datetime(2026, 1, 1, tzinfo=UTC),),
    FieldType.UUID: (str(UUID(int=1)),),
    FieldType.GEO: ({"lat": 52.5, "lon": 13.4},),
    FieldType.BYTES: (b"\x00\xff",),
    FieldType.JSON: ({"a": {"b": 1}},),
    FieldType.LIST: (["a", "b"], [1, 2]),
}
"""Typical and extreme values of each type: the evidence for a field of which only the type is known."""

ALIASES: Mapping[str, FieldType] = {
    "boolean": FieldType.BOOL,
    "int": FieldType.INT64,
    "integer": FieldType.INT64,
    "long": FieldType.INT64,
    "float": FieldType.FLOAT64,
    "double": FieldType.FLOAT64,
    "number": FieldType.FLOAT64,
    "str": FieldType.STRING,
    "varchar": FieldType.STRING,
    "keyword": FieldType.STRING,
    "date": FieldType.DATETIME,
    "timestamp": FieldType.DATETIME,
    "blob": FieldType.BYTES,
    "object": FieldType.JSON,
    "dict": FieldType.JSON,
    "array": FieldType.LIST,
    "string[]": FieldType.LIST,
    "text[]": FieldType.LIST,
    "int[]": FieldType.LIST,
    "number[]": FieldType.LIST,
}


def field_type(name: str) -> FieldType:
    """The type of that name, in any case. Raises ConfigError listing the known ones."""
    lowered = name.lower()
    if lowered in ALIASES:
        return ALIASES[lowered]
    try:
        return FieldType(lowered)
    except ValueError:
        known = ", ".join(sorted({*ALIASES, *FieldType}))
        raise ConfigError(f"unknown field type {name!r}; known types: {known}") from None


async def sample_source(source: RetryingSource, size: int) -> Profile:
    """A profile of about `size` records, the same share from each namespace."""
    profile = Profile()
    partitions = await source.partitions(1)
    share = -(-size // len(partitions))
    for partition in partitions:
        read = 0
        pages = source.scan(partition, vectors=False, page_rows=min(share, SAMPLE_PAGE_ROWS))
        async with aclosing(pages):
            async for page in pages:
                profile.add(page.batch)
                read += len(page.batch)
                if read >= share:
                    break
    return profile


def decide_for(
    source_type: str, target_type: str, schema: CollectionSchema, namespaces: Mapping[str, int], profile: Profile
) -> Decision:
    """What a migration of such a collection would be, by what the target database can do at best."""
    source, target = registry.load(source_type), registry.load(target_type)
    spec = MigrationSpec(
        id="recommendation",
        source=EndpointRef(type=source.name, collection=schema.name, location=f"{source.name}:{schema.name}"),
        target=EndpointRef(type=target.name, collection=schema.name, location=f"{target.name}:{schema.name}"),
    )

    return decide(
        spec=spec,
        source_schema=schema,
        source_adapter=source.name,
        source_caps=source.capabilities,
        target_adapter=target.name,
        target_caps=target.capabilities,
        namespaces=namespaces,
        profile=profile,
        loss_counts=Counter[str](),
    )


def recommendation(source_type: str, target_type: str, decision: Decision) -> Recommendation:
    """The answer. The overall confidence is the mean over the fields that hold values; 1 when there are none."""
    judged = [item.confidence for item in decision.field_mappings]
    return Recommendation(
        source_type=source_type,
        target_type=target_type,
        field_mappings=decision.field_mappings,
        overall_confidence=round(sum(judged) / len(judged), 4) if judged else 1.0,
        warnings=decision.warnings,
        losses=decision.losses,
        target_schema=decision.target_schema,
    )


def recommend_fields(source_type: str, target_type: str, fields: Mapping[str, str]) -> Recommendation:
    """A recommendation from names and types alone; the evidence are typical and extreme values of each type.

    Raises UnknownAdapter, and ConfigError for an unknown field type.
    """
    types = {name: field_type(kind) for name, kind in fields.items()}
    profile = Profile()
    most = max((len(EXAMPLES[kind]) for kind in types.values()), default=0)
    rows: list[Metadata] = [
        {name: EXAMPLES[kind][n] for name, kind in types.items() if n < len(EXAMPLES[kind])} for n in range(most)
    ]
    capabilities = registry.load(source_type).capabilities
    profile.add(RecordBatch("", list(range(most)), {}, rows))
    schema = CollectionSchema(
        name="collection",
        id_kinds=capabilities.id_kinds,
        vectors=(),
        fields=tuple(MetadataField(name=name, type=kind, declared=True) for name, kind in types.items()),
    )
    decision = decide_for(source_type, target_type, schema, {"": most}, profile)
    return recommendation(source_type, target_type, decision)
