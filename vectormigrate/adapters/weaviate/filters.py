"""Filters. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from vectormigrate.adapters.weaviate.proto import base


def ids_filter(texts: Sequence[str]) -> base.Filters:
    """Objects whose id is stored as one of these texts."""
    return base.Filters(
        operator=base.Filters.Operator.OPERATOR_CONTAINS_ANY,
        target=base.FilterTarget(property="_id"),
        value_text_array=base.TextArray(values=texts),
    )
