"""The table of outcomes follows the capabilities, through the planner."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from vectormigrate import registry
from vectormigrate.adapter import Capabilities, ValueKind, editions
from vectormigrate.advice.fidelity import known, markdown, outcomes, rows
from vectormigrate.advice.fidelity_case import Case
from vectormigrate.advice.fidelity_cases import CASES
from vectormigrate.errors import UnknownAdapter
from vectormigrate.model.ids import IdKind
from vectormigrate.model.plan import Outcome
from vectormigrate.model.schema import DType, FieldType, Metric, VectorKind, Weight

WIDE = registry.load("memory").capabilities.changed(namespaces={"empty": True})
KINDS = WIDE.metadata.value_kinds
INDEXES = [case.name for case in CASES if case.group == "vector indexes"]


def of(**narrow: Any) -> dict[tuple[str, str], Outcome | None]:
    """Outcomes from the widest database into one that is narrower in this way."""
    return dict(outcomes(("wide", WIDE), ("narrow", WIDE.changed(**narrow))))


def changed(**narrow: Any) -> dict[str, Outcome | None]:
    """What is not exact then, as `group: name`; settings are each database's own."""
    cells = {key: found for key, found in of(**narrow).items() if key[0] != "settings"}
    return {f"{group}: {name}": found for (group, name), found in cells.items() if found is not Outcome.EXACT}


def test_the_widest_database_holds_every_case_and_all_is_exact_there() -> None:
    assert changed() == {}
    assert len(of()) == len(CASES)


@pytest.mark.parametrize(
    ("narrow", "expected"),
    [
        ({"metadata": {"value_kinds": KINDS - {ValueKind.NULL}}}, {"metadata: null": Outcome.REVERSIBLE}),
        (
            {"metadata": {"value_kinds": KINDS - {ValueKind.BYTES, ValueKind.DATETIME}}},
            {"metadata: bytes": Outcome.REVERSIBLE, "metadata: dates": Outcome.REVERSIBLE},
        ),
        (
            {"metadata": {"int_range": (-(2**53), 2**53)}},
            {"metadata: integers beyond 2^53": Outcome.REVERSIBLE, "filters on: integers beyond 2^53": Outcome.LOSSY},
        ),
        ({"vectors": {"metrics": WIDE.vectors.metrics - {Metric.L1}}}, {"metrics: l1": Outcome.LOSSY}),
        ({"vectors": {"kinds": WIDE.vectors.kinds - {VectorKind.MULTI}}}, {"multi-vectors: float32": Outcome.LOSSY}),
        (
            {"vectors": {"dtypes": WIDE.vectors.dtypes - {DType.BFLOAT16}}},
            {
                "dense vectors: bfloat16": Outcome.REVERSIBLE,
                "dense vectors: bfloat16 under cosine": Outcome.REVERSIBLE,
            },
        ),
        (
            {"vectors": {"normalises_cosine": True}},
            {
                "dense vectors: length under cosine": Outcome.REVERSIBLE,
                "dense vectors: float16 under cosine": Outcome.REVERSIBLE,
                "dense vectors: bfloat16 under cosine": Outcome.REVERSIBLE,
            },
        ),
        ({"vectors": {"zeros": False}}, {"dense vectors: all zeros": Outcome.REVERSIBLE}),
        (
            {"vectors": {"indexes": {}, "index_params": frozenset[str]()}},
            {f"vector indexes: {name}": Outcome.REVERSIBLE for name in INDEXES},
        ),
        (
            {"vectors": {"indexes": {"hnsw": {"scalar": (8.0,), "product": ()}}}},
            {
                f"vector indexes: {name}": Outcome.REVERSIBLE
                for name in ("none (flat)", "rotated quantization", "binary quantization")
            },
        ),
        ({"vectors": {"index_ranges": {"m": (4, 64)}}}, {"vector indexes: large HNSW parameters": Outcome.REVERSIBLE}),
        (
            {"metadata": {"index_types": WIDE.metadata.index_types - {FieldType.GEO}}},
            {"filters on: coordinates": Outcome.LOSSY},
        ),
        (
            {"ids": {"kinds": WIDE.ids.kinds - {IdKind.STRING}}},
            {"ids: text": Outcome.REVERSIBLE, "namespaces: one id in two": Outcome.REVERSIBLE},
        ),
        ({"ids": {"per_namespace": False}}, {"namespaces: one id in two": Outcome.REVERSIBLE}),
        (
            {"vectors": {"max_fields": 1}},
            {"dense vectors: several fields": Outcome.LOSSY, "sparse vectors: next to dense": Outcome.LOSSY},
        ),
    ],
)
def test_what_a_target_lacks_changes_just_what_needs_it(narrow: dict[str, Any], expected: dict[str, Outcome]) -> None:
    assert changed(**narrow) == expected


def test_a_setting_is_exact_where_its_own_kind_makes_it_again() -> None:
    known = {"ttl": Weight.BEHAVIOUR, "shards": Weight.SETTING, "cmek": Weight.SAFETY}
    caps = WIDE.changed(collection={"known_settings": known, "settings": frozenset({"shards", "cmek"})})
    words = [("settings", name) for name in ("expiry of records", "number of shards", "customer's encryption key")]
    home, away = outcomes(("one", caps), ("one", caps)), outcomes(("one", caps), ("two", caps))
    assert [home[key] for key in words] == [Outcome.LOSSY, Outcome.EXACT, Outcome.EXACT]
    assert [away[key] for key in words] == [Outcome.LOSSY, Outcome.REVERSIBLE, Outcome.LOSSY]
    assert away["settings", "tenant field"] is None


def test_a_namespace_without_records_is_told_where_there_are_none_such() -> None:
    assert changed(namespaces={"empty": False}) == {"namespaces: without records": Outcome.REVERSIBLE}


def _never_carried(case: Case, caps: Capabilities) -> bool:
    made = case.make(caps)
    return made is not None and made.schema.settings[0].name not in caps.collection.settings


@pytest.mark.parametrize("name", registry.names())
def test_a_database_into_itself_changes_nothing(name: str) -> None:
    for caps in (registry.load(name).capabilities, *editions(registry.load(name)).values()):
        found = outcomes((name, caps), (name, caps))
        # What no new collection of its own kind can have is told all the same.
        others = {key for key, item in found.items() if item not in (None, Outcome.EXACT)}
        assert {group for group, _ in others} <= {"settings"}
        assert len(others) == len([case for case in CASES if case.group == "settings" and _never_carried(case, caps)])
        assert list(found.values()).count(Outcome.EXACT) >= 15


@pytest.mark.parametrize(("source", "target"), list(product(known(), repeat=2)), ids=str)
def test_every_pair_has_an_outcome_for_what_the_source_holds(source: str, target: str) -> None:
    caps: Capabilities = registry.load(source).capabilities
    pair = [row for row in rows([source, target]) if (row["source"], row["target"]) == (source, target)]
    found = {(row["group"], row["name"]): row["outcome"] for row in pair}
    for dtype in DType:
        assert (found["dense vectors", str(dtype)] is not None) == (dtype in caps.vectors.dtypes)
    assert found["metadata", "text"] in ("exact", "restored")
    assert found["dense vectors", "float32"] == "exact"


def test_the_markdown_says_what_the_rows_say_and_how_others_differ() -> None:
    text = markdown(["milvus", "qdrant_edge"], ["memory"])
    lost = [row for row in rows(["milvus", "qdrant_edge"]) if row["outcome"] == "loss"]
    assert len(lost) == text.count("**lossy**") > 0
    assert "| metrics: jaccard | exact | **lossy** |" in text
    assert "\n- memory: as " in text
    assert "\n- Milvus Lite: as milvus; without " in text


def test_an_unknown_database_is_refused() -> None:
    with pytest.raises(UnknownAdapter, match="'nosuch'"):
        markdown(["nosuch"])


def test_people_read_words_and_programs_the_values_that_they_know() -> None:
    assert [(item.word, item.value) for item in Outcome] == [
        ("exact", "exact"),
        ("reversible", "restored"),
        ("lossy", "loss"),
    ]
