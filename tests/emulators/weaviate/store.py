"""The state of an emulated server: classes, tenants, objects."""

from __future__ import annotations

import bisect
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import numpy as np

from tests.emulators.weaviate import rules
from tests.emulators.weaviate.faults import Knobs, Refusal
from tests.emulators.weaviate.values import BadValue, beacon_of, parse_uuid, stored

HOT = "HOT"


@dataclass(slots=True, kw_only=True)
class Object:
    """`text` is the id as it was first given, which the id's index keeps. `vectors[""]` is the legacy vector; a value
    is (bytes on the wire, whether it is a multi-vector)."""

    id: UUID
    text: str
    properties: dict[str, Any]
    vectors: dict[str, tuple[bytes, bool]]
    created: int
    updated: int


@dataclass(slots=True)
class Space:
    """The objects of one tenant, or of a class without tenants."""

    objects: dict[int, Object] = field(default_factory=dict[int, Object])
    dims: dict[str, int] = field(default_factory=dict[str, int])
    _order: list[int] | None = None

    def ordered(self) -> list[int]:
        """Ids in the order of their bytes."""
        if self._order is None:
            self._order = sorted(self.objects)
        return self._order

    def after(self, last: UUID | None) -> Iterable[Object]:
        """Objects after this id, which need not exist."""
        order = self.ordered()
        start = 0 if last is None else bisect.bisect_right(order, last.int)
        return (self.objects[key] for key in order[start:])

    def put(self, item: Object) -> None:
        if item.id.int not in self.objects:
            self._order = None
        self.objects[item.id.int] = item

    def pop(self, key: UUID) -> Object | None:
        self._order = None
        return self.objects.pop(key.int, None)


@dataclass(slots=True, kw_only=True)
class Class:
    """A class: `raw` is its JSON; `states` are the tenants' and `spaces` their objects ("" without tenants)."""

    raw: dict[str, Any]
    states: dict[str, str] = field(default_factory=dict[str, str])
    spaces: dict[str, Space] = field(default_factory=dict[str, Space])

    @property
    def name(self) -> str:
        return self.raw["class"]

    @property
    def divided(self) -> bool:
        return self.raw["multiTenancyConfig"]["enabled"]

    @property
    def properties(self) -> dict[str, dict[str, Any]]:
        return {item["name"]: item for item in self.raw.get("properties") or []}

    def vector_index(self, name: str) -> Mapping[str, Any] | None:
        """The configuration of a vector, "" being the legacy one."""
        if name:
            return (self.raw.get("vectorConfig") or {}).get(name)
        return self.raw if self.raw.get("vectorIndexType") else None

    @property
    def vector_names(self) -> list[str]:
        legacy = [""] if self.raw.get("vectorIndexType") else []
        return [*legacy, *(self.raw.get("vectorConfig") or {})]

    def space(self, tenant: str, where: str = "") -> Space:
        """The objects of a tenant. Raises Refusal with the server's texts, behind `where`."""
        text = self._problem(tenant)
        if text is not None:
            raise Refusal(where + text, inner=text)
        return self.spaces.setdefault(tenant, Space())

    def _problem(self, tenant: str) -> str | None:
        if not self.divided:
            if tenant:
                return f"class {self.name} has multi-tenancy disabled, but request was with tenant"
            return None
        if not tenant:
            return f"class {self.name} has multi-tenancy enabled, but request was without tenant"
        state = self.states.get(tenant)
        tenancy = self.raw["multiTenancyConfig"]
        if state is None:
            if not tenancy["autoTenantCreation"]:
                return f'tenant not found: "{tenant}"'
            self.states[tenant] = HOT
        elif state != HOT:
            if not tenancy["autoTenantActivation"]:
                return f"tenant not active: '{tenant}'"
            self.states[tenant] = HOT
        return None


def is_reference(item: Mapping[str, Any]) -> bool:
    return item["dataType"][0][:1].isupper()


class Store:
    """Everything that the server keeps."""

    def __init__(self, knobs: Knobs) -> None:
        self.knobs = knobs
        self.classes: dict[str, Class] = {}
        self.aliases: dict[str, str] = {}
        self.lock = threading.RLock()

    def find(self, name: str) -> Class | None:
        """A class by name or alias; the first letter may be small."""
        wanted = rules.upper(name)
        return self.classes.get(self.aliases.get(wanted, wanted))

    def create(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        body = rules.new_class(raw, self.classes)
        name = body["class"]
        if name in self.classes:
            raise Refusal(f"class name {name} already exists")
        similar = next((other for other in self.classes if other.lower() == name.lower()), None)
        if similar is not None:
            raise Refusal(f'class already exists: found similar class "{similar}"')
        if name in self.aliases:
            raise Refusal(f"alias name {name} already exists")
        self.classes[name] = Class(raw=body)
        return body

    # Objects

    def prepare(
        self, owner: Class, tenant: str, raw: Mapping[str, Any], *, check: Callable[[str, str, str], None]
    ) -> Object:
        """A new object from class-independent JSON (`id`, `properties`, `vectors`), checked. `check(class, uuid,
        tenant)` refuses references to objects that are not there."""
        try:
            key = parse_uuid(raw["id"])
        except BadValue as error:
            raise Refusal(str(error)) from None
        if owner.name in self.knobs.read_only:
            raise Refusal("store is read-only due to: manually set by user")
        space = owner.space(tenant)
        properties = self.checked(owner, tenant, raw.get("properties") or {}, check)
        vectors: dict[str, tuple[bytes, bool]] = {}
        for name, (data, multi) in raw.get("vectors", {}).items():
            vectors[name] = self._vector(owner, space, key, name, data, multi)
        now = int(time.time() * 1000)
        before = space.objects.get(key.int)
        text = before.text if before is not None else str(raw["id"])
        return Object(id=key, text=text, properties=properties, vectors=vectors, created=now, updated=now)

    def checked(
        self, owner: Class, tenant: str, raw: Mapping[str, Any], check: Callable[[str, str, str], None]
    ) -> dict[str, Any]:
        """Properties as they are kept."""
        found: dict[str, Any] = {}
        known = owner.properties
        for given, value in raw.items():
            name = rules.lower(given)
            if value is None:
                continue
            item = known.get(name)
            if item is None:
                raise Refusal(
                    f"no such prop with name '{name}' found in class '{owner.name}' in the schema (the emulator has no "
                    "auto schema). Check your schema files for which properties in this class are available"
                )
            if is_reference(item):
                found[name] = [self._reference(item, entry, tenant, check) for entry in value]
                continue
            try:
                found[name] = stored(item, value, owner.name)
            except BadValue as error:
                raise Refusal(str(error)) from None
        return found

    def _reference(
        self, item: Mapping[str, Any], entry: Any, tenant: str, check: Callable[[str, str, str], None]
    ) -> str:
        targets = item["dataType"]
        owner, key = beacon_of(entry["beacon"], targets[0] if len(targets) == 1 else None)
        check(owner, key, tenant)
        return f"weaviate://localhost/{owner}/{key}" if owner else f"weaviate://localhost/{key}"

    def _vector(self, owner: Class, space: Space, key: UUID, name: str, data: bytes, multi: bool) -> tuple[bytes, bool]:
        index = owner.vector_index(name)
        if index is None:
            label = f"vector {name}" if name else "single vector"
            raise Refusal(f"collection {owner.name} does not have configuration for {label}")
        wants_multi = bool((index["vectorIndexConfig"].get("multivector") or {}).get("enabled"))
        if wants_multi != multi:
            raise Refusal(f"vector {name}: a {'multi' if wants_multi else 'regular'} vector is wanted")
        width = int.from_bytes(data[:2], "little") if multi else len(data) // 4
        if not width:
            raise Refusal("dimension cannot be 0")
        known = space.dims.setdefault(name, width)
        if known != width:
            raise Refusal(
                f"Validate vector index for {key}: new node has a vector with length {width}. Existing nodes have "
                f"vectors with length {known}: vector dimensions do not match the index dimensions"
            )
        return data, multi

    def must_exist(self, owner: str, key: str, tenant: str) -> None:
        """The check for references inside an object."""
        target = self.find(owner) if owner else None
        candidates = [target] if owner else list(self.classes.values())
        for candidate in candidates:
            if candidate is None:
                break
            space = candidate.spaces.get(tenant if candidate.divided else "")
            if space is not None and UUID(key).int in space.objects:
                return
        raise Refusal(f"validate reference: no object with id {key} found")

    def visible(self, items: Iterable[Object]) -> Iterable[Object]:
        """Without those that a lagging replica does not show."""
        return (item for item in items if str(item.id) not in self.knobs.hidden) if self.knobs.hidden else items


def distance(metric: str, stored_vector: Any, query: Any) -> float:
    """A distance of the server's: smaller is nearer."""
    a, b = np.asarray(stored_vector, np.float64), np.asarray(query, np.float64)
    match metric:
        case "dot":
            return -float(a @ b)
        case "l2-squared":
            return float(((a - b) ** 2).sum())
        case "manhattan":
            return float(np.abs(a - b).sum())
        case "hamming":
            return float((a != b).sum())
        case _:
            length = float(np.linalg.norm(a) * np.linalg.norm(b))
            return 1 - float(a @ b) / length if length else 1.0
