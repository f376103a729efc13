"""What the conformance suite must know about one database: how to run it, how to open a collection, its deviations.

A module `tests/harness/<name>.py` offers `HARNESSES`, a tuple of `Harness` objects (one per way of running that
database). The suite runs over all of them and names none.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Generator, Sequence
from contextlib import asynccontextmanager, contextmanager
from copy import copy
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

import tests.harness
from tests.support.connected import connected
from vectormigrate import registry
from vectormigrate.adapter import AnySpec, Capabilities, ConnectionConfig, Target
from vectormigrate.model.batch import Metadata, Value
from vectormigrate.model.ids import IdKind
from vectormigrate.model.schema import (
    CollectionSchema,
    DType,
    FieldType,
    MetadataField,
    Metric,
    VectorField,
    VectorKind,
)


class DeviationKind(StrEnum):
    """Why a database does not do what a requirement asks.

    `NOT_IMPLEMENTED` (we have not yet) and `VENDOR_GAP` (the vendor has not yet) run as strict xfail, so that progress
    is noticed. `NEVER` (has no meaning for this database) does not run.
    """

    NOT_IMPLEMENTED = "not_implemented"
    VENDOR_GAP = "vendor_gap"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deviation:
    """`requirement` is an id of tests/conformance/requirements.py. `case`: only for test ids that contain this text."""

    requirement: str
    kind: DeviationKind
    reason: str
    case: str | None = None


_TYPES: dict[type, FieldType] = {
    bool: FieldType.BOOL,
    int: FieldType.INT64,
    float: FieldType.FLOAT64,
    str: FieldType.STRING,
    bytes: FieldType.BYTES,
    datetime: FieldType.DATETIME,
}


def column_type(value: Value) -> tuple[FieldType, FieldType | None] | None:
    """The type of a column that holds this value (and its element's), None when no typed column does."""
    if isinstance(value, list):
        elements = {_TYPES.get(type(item)) for item in value} or {FieldType.STRING}
        element = elements.pop()
        return (FieldType.LIST, element) if element is not None and not elements else None
    found = _TYPES.get(type(value))
    return None if found is None else (found, None)


class Harness(ABC):
    """One way of running one database. Subclasses set the attributes and override `running` and `config`."""

    name: str
    """Shown in the test id; `-k name` narrows the run."""
    adapter: str
    """Name of the adapter under test."""
    deviations: Sequence[Deviation] = ()
    marks: Sequence[pytest.MarkDecorator] = ()
    exclusive = False
    """Only one process at a time can open a collection."""
    in_matrix = True
    """Whether it stands for its database in the matrix of pairs, where one way of running is enough; others join when
    VECTORMIGRATE_TEST_ONLY names them."""
    empty_sparse = True
    """A sparse vector may be there without a component."""
    scale = 1.0
    """Factor on the record counts of the larger tests, for slow databases."""

    @property
    def spec(self) -> AnySpec:
        return registry.load(self.adapter)

    @property
    def capabilities(self) -> Capabilities:
        """What the running instance can do; narrower than the spec's where a server was asked."""
        return self.spec.capabilities

    def unavailable(self) -> str | None:
        """Why the tests cannot run here (package missing, no server named), None when they can."""
        return None

    @contextmanager
    def running(self, folder: Path) -> Generator[None, None, None]:
        """Start what is needed, once per test session; `folder` is empty and stays until the end."""
        del folder
        yield

    @contextmanager
    def released(self) -> Generator[None, None, None]:
        """Nothing of the running instance stays open between two opens of a collection: for tests of what closing
        does and of what other processes see. Otherwise an embedded engine is kept open: its start costs a second."""
        yield

    @abstractmethod
    def config(self, collection: str) -> ConnectionConfig:
        """How to reach this collection of the running instance."""

    def unreachable(self) -> ConnectionConfig | None:
        """A config that leads to no running server; opening or using it must raise Unavailable. None: no such thing."""
        return None

    def metrics(self, kind: VectorKind, dtype: DType = DType.FLOAT32) -> list[Metric]:
        """Metrics that go with this kind of vector, the preferred one first."""
        if kind is VectorKind.SPARSE:
            wanted = [Metric.DOT]
        elif dtype is DType.BITS:
            wanted = [Metric.HAMMING, Metric.JACCARD]
        elif kind is VectorKind.MULTI:
            wanted = [Metric.DOT, Metric.COSINE]
        else:
            wanted = [Metric.DOT, Metric.L2, Metric.COSINE, Metric.L1]
        return [metric for metric in wanted if metric in self.capabilities.vectors.metrics]

    def supports(self, kind: VectorKind, dtype: DType = DType.FLOAT32) -> bool:
        """Whether a vector field of this kind and storage type can exist (beyond what Capabilities say)."""
        caps = self.capabilities
        return kind in caps.vectors.kinds and dtype in caps.vectors.dtypes

    def id_kind(self) -> IdKind:
        """The kind of id for tests in which it does not matter."""
        order = (IdKind.INT64, IdKind.UINT64, IdKind.STRING, IdKind.UUID)
        return next(kind for kind in order if kind in self.capabilities.ids.kinds)

    def vector(
        self,
        name: str = "embedding",
        kind: VectorKind = VectorKind.DENSE,
        dim: int = 8,
        metric: Metric | None = None,
        dtype: DType = DType.FLOAT32,
    ) -> VectorField:
        """A vector field with a metric that suits it; `dim` is ignored for sparse."""
        chosen = metric or self.metrics(kind, dtype)[0]
        name = self.capabilities.vectors.fixed_names.get(kind, name)
        return VectorField(
            name=name, kind=kind, dim=None if kind is VectorKind.SPARSE else dim, metric=chosen, dtype=dtype
        )

    def together(self, *vectors: VectorField) -> list[VectorField]:
        """As many of these vector fields as one collection can hold, the first ones first."""
        caps = self.capabilities
        kept: list[VectorField] = []
        for item in vectors:
            full = caps.vectors.max_fields is not None and len(kept) >= caps.vectors.max_fields
            same_kind = [other for other in kept if other.kind is item.kind]
            taken = item.name in [other.name for other in kept]
            alone = caps.vectors.unnamed_alone and kept and "" in (item.name, kept[0].name)
            most = caps.vectors.max_of_kind.get(item.kind)
            if full or taken or alone or (most is not None and len(same_kind) >= most):
                continue
            kept.append(item)
        if caps.vectors.metrics_with_sparse is not None and any(item.kind is VectorKind.SPARSE for item in kept):
            metric = min(caps.vectors.metrics_with_sparse)
            kept = [item if item.kind is VectorKind.SPARSE else replace(item, metric=metric) for item in kept]
        return kept

    def schema(
        self,
        *vectors: VectorField,
        id_kind: IdKind | None = None,
        fields: Sequence[MetadataField] = (),
        samples: Sequence[Metadata] = ({"n": 0},),
        **changes: Any,
    ) -> CollectionSchema:
        """A schema this database can create: these vector fields, or one small dense field. Where every metadata field
        must be declared, `fields` are, and columns for what the records of `samples` hold."""
        caps = self.capabilities
        columns = tuple(fields)
        if not caps.metadata.dynamic:
            known = {item.name: replace(item, declared=True) for item in fields}
            columns = tuple((self._columns(samples) | known).values())
        return replace(
            CollectionSchema(
                name="",
                id_kinds=frozenset({id_kind or self.id_kind()}),
                vectors=vectors or (self.vector(),),
                fields=columns,
                dynamic=caps.metadata.dynamic,
            ),
            **changes,
        )

    def _columns(self, samples: Sequence[Metadata]) -> dict[str, MetadataField]:
        """A column per legal key, of the type that the first value under it has."""
        caps = self.capabilities
        found: dict[str, MetadataField] = {}
        folded: set[str] = set()
        for key, value in (item for metadata in samples for item in metadata.items()):
            name = key.casefold() if caps.metadata.fold_case else key
            column = column_type(value)
            if name in folded or column is None or not re.fullmatch(caps.metadata.names, key):
                continue
            if key in caps.metadata.reserved or column[0] not in caps.metadata.column_types:
                continue
            folded.add(name)
            found[key] = MetadataField(name=key, type=column[0], element=column[1], declared=True)
        return found

    def new_name(self) -> str:
        """A collection name that is not in use."""
        legal = self.capabilities.collection.names
        return next(name for start in ("c_", "c-", "C") if re.fullmatch(legal, name := f"{start}{uuid4().hex[:12]}"))

    @asynccontextmanager
    async def open(self, collection: str) -> AsyncGenerator[Target, None]:
        """The collection of this name, opened once more."""
        async with connected(self.spec, self.config(collection)) as target:
            yield target

    @asynccontextmanager
    async def fresh(self, schema: CollectionSchema | None = None) -> AsyncGenerator[Target, None]:
        """A new empty collection of this shape, dropped afterwards. `describe` tells its name."""
        wanted = schema or self.schema()
        name = wanted.name or self.new_name()
        async with self.open(name) as target:
            await target.create(replace(wanted, name=name))
            try:
                yield target
            finally:
                await target.drop()

    def config_json(self, collection: str) -> str:
        """The config for another process; secrets must come from the environment there."""
        return json.dumps(self.config(collection).model_dump(mode="json"))


def all_harnesses() -> list[Harness]:
    """Every harness of the modules in this folder; a module without HARNESSES only helps. Each call gives objects of
    its own: one that runs holds the address of its engine, and suites of one process may run the same engine at once.

    An adapter of another package takes part where it is installed. VECTORMIGRATE_TEST_ONLY=name,name keeps only these.
    """
    modules = sorted(module.name for module in pkgutil.iter_modules(tests.harness.__path__) if module.name != "base")
    found: list[Harness] = []
    for module in modules:
        found.extend(getattr(importlib.import_module(f"tests.harness.{module}"), "HARNESSES", ()))
    only = os.environ.get("VECTORMIGRATE_TEST_ONLY")
    found = [harness for harness in found if harness.adapter in registry.names()]
    return [copy(harness) for harness in found if only is None or harness.name in only.split(",")]
