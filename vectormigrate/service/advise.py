"""Recommending: what a collection becomes on another database."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import anyio
import anyio.to_thread

from vectormigrate import registry
from vectormigrate.advice.fidelity import known, outcome_table
from vectormigrate.advice.offline import recommend_fields
from vectormigrate.advice.recommend import column_rules, decide_for, declared_fields, recommendation, sample_source
from vectormigrate.config.settings import (
    Endpoint,
    complete_endpoint,
)
from vectormigrate.engine.connect import open_endpoint
from vectormigrate.engine.retry import RetryPolicy
from vectormigrate.model.answers import (
    OutcomeTable,
    Recommendation,
)
from vectormigrate.service.base import Base


class AdviseVerbs(Base):
    """The verbs that recommend a schema."""

    async def recommend(self, source: Endpoint, target_type: str, sample: int = 10_000) -> Recommendation:
        """The target schema for a real collection, from `sample` records, with every loss. Reads only. Confidence: see
        advice/recommend.py. Raises UnknownAdapter, CollectionNotFound and other errors of the database::

            advice = await service.recommend(request.source, "milvus", sample=100)
            print(advice.overall_confidence, advice.warnings)
        """
        source = complete_endpoint(self.settings, source, "source")
        registry.load(target_type)
        async with open_endpoint(source, RetryPolicy()) as reading:
            schema = await reading.describe()
            namespaces = await reading.counts(await reading.namespaces())
            rules = decide_for(source.type, target_type, schema, namespaces, None).rules
            found = await sample_source(reading, sample, rules)
            columns = await anyio.to_thread.run_sync(column_rules, source.type, target_type, schema, namespaces, found)
            if columns is not None:
                found.losses = (await sample_source(reading, sample, columns)).losses
        return await anyio.to_thread.run_sync(
            recommendation, source.type, target_type, schema, namespaces, found, declared_fields(schema)
        )

    def recommend_offline(
        self, source_type: str, target_type: str, fields: Mapping[str, str] | None = None
    ) -> Recommendation:
        """A recommendation from field names and types alone (`source_schema` of the original tool). Raises
        UnknownAdapter, and ConfigError for a type that is not known, with the known ones::

            advice = service.recommend_offline("qdrant", "milvus", {"year": "integer", "title": "keyword"})
        """
        return recommend_fields(source_type, target_type, fields or {})

    def outcomes(self, types: Sequence[str] = (), also: Sequence[str] = ()) -> OutcomeTable:
        """What becomes of each kind of thing between each pair of these databases (none: all that need a package).
        Raises UnknownAdapter."""
        return outcome_table(tuple(types) or tuple(known()), tuple(also))
