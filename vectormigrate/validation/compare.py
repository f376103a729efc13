"""Record against record: which fields differ, and whether the vectors agree within the bound of their compare class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vectormigrate.model.batch import Metadata, RecordBatch
from vectormigrate.model.plan import MappingRules
from vectormigrate.validation.digest import canonical_metadata, canonical_value
from vectormigrate.validation.tally import leaves
from vectormigrate.validation.vectors import Agreement, VectorRule, agree


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How each target vector field must agree; fields without a rule are EXACT."""

    vectors: Mapping[str, VectorRule]
    default: VectorRule

    @staticmethod
    def of(rules: MappingRules, min_similarity: float) -> Rules:
        """The compare classes of a plan, with the operator's floor."""
        vectors = {
            item.target: VectorRule(compare=item.compare, tolerance=item.tolerance, floor=min_similarity)
            for item in rules.vectors
        }
        return Rules(vectors=vectors, default=VectorRule(floor=min_similarity))

    def vector(self, name: str) -> VectorRule:
        """The rule of this target vector field."""
        return self.vectors.get(name, self.default)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong with one record: nothing (`fields` empty) or the fields that differ. `loose`: nothing is wrong but
    some vector agrees only within its bound. `similarity`: worst cosine, None without vectors."""

    fields: tuple[str, ...]
    loose: bool
    similarity: float | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Verdicts per row, and the agreement of each vector field."""

    verdicts: list[Verdict]
    vectors: Mapping[str, Agreement]


def compare(expected: RecordBatch, actual: RecordBatch, rules: Rules) -> Comparison:
    """Compare row i with row i; both batches have as many rows, of the same target ids."""
    n = len(expected)
    found = {
        name: agree(expected.vectors.get(name), actual.vectors.get(name), n, rules.vector(name))
        for name in sorted({*expected.vectors, *actual.vectors})
    }
    similarity = _worst(found, n)
    bad = {name: agreement.bad for name, agreement in found.items()}
    within = np.zeros(n, np.bool_)
    for agreement in found.values():
        within |= agreement.within
    verdicts: list[Verdict] = []
    pairs = zip(expected.metadata, actual.metadata, strict=True)
    for row, (ours, theirs) in enumerate(pairs):
        fields = [*metadata_differences(ours, theirs), *(f"vector:{name}" for name in found if bad[name][row])]
        value = float(similarity[row])
        verdicts.append(Verdict(tuple(fields), not fields and bool(within[row]), None if np.isnan(value) else value))
    return Comparison(verdicts, found)


def _worst(found: Mapping[str, Agreement], n: int) -> NDArray[np.float64]:
    """Worst cosine per row over the vectors that either side holds; NaN where there is none."""
    worst = np.full(n, np.nan)
    for agreement in found.values():
        worst = np.fmin(worst, np.where(agreement.compared | agreement.surplus, agreement.similarity, np.nan))
    return worst


def metadata_differences(expected: Metadata, actual: Metadata) -> list[str]:
    """Dot paths whose values differ in presence, type or value, sorted; empty for equal metadata."""
    if canonical_metadata(expected) == canonical_metadata(actual):
        return []
    sides = [sorted((path, canonical_value(value)) for path, value in leaves(side)) for side in (expected, actual)]
    return sorted({path for path, _ in set(sides[0]) ^ set(sides[1])}) or ["(metadata)"]
