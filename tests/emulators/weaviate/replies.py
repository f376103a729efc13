"""Search replies as the server builds them (`adapters/handlers/grpc/v1/prepare_reply.go`)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tests.emulators.weaviate.faults import Refusal
from tests.emulators.weaviate.rules import lower
from tests.emulators.weaviate.store import Class, Object, is_reference
from vectormigrate.adapters.weaviate.proto import base, properties, search

SINGLE = base.Vectors.VectorType.VECTOR_TYPE_SINGLE_FP32
MULTI = base.Vectors.VectorType.VECTOR_TYPE_MULTI_FP32


def add_result(
    reply: Any, owner: Class, item: Object, wanted: Any, metadata: Any, near: float | None
) -> search.SearchResult:
    """Append one object. `wanted` None: every property that is no reference and no blob."""
    result = reply.results.add()
    result.properties.target_collection = owner.name
    if metadata is not None:
        _metadata(result.metadata, owner, item, metadata, near)
    names, objects = _requested(owner, wanted)
    for name in names:
        value = result.properties.non_ref_props.fields[name]
        _value(value, owner.properties[name]["dataType"][0], item.properties.get(name))
    for request in objects:
        declared = owner.properties[request.prop_name]
        value = result.properties.non_ref_props.fields[request.prop_name]
        held = item.properties.get(request.prop_name)
        if held is None:
            value.null_value = 0
        elif isinstance(held, list):
            value.list_value.object_values.SetInParent()
            for part in held:
                _object(value.list_value.object_values.values.add(), declared, part, request)
        else:
            value.object_value.SetInParent()
            _object(value.object_value, declared, held, request)
    return result


def _requested(owner: Class, wanted: Any) -> tuple[list[str], list[Any]]:
    known = owner.properties
    if wanted is None or wanted.return_all_nonref_properties:
        plain = {name: item for name, item in known.items() if not is_reference(item)}
        names = [
            name
            for name, item in plain.items()
            if item["dataType"][0] not in ("blob", "blobHash", "object", "object[]")
        ]
        return names, [_whole(item) for item in plain.values() if item["dataType"][0] in ("object", "object[]")]
    for name in [*wanted.non_ref_properties, *(item.prop_name for item in wanted.object_properties)]:
        if name not in known:
            raise Refusal(
                f"extract properties request: get property by name {name} for class {owner.name}: no such prop with "
                f"name '{name}' found in class '{owner.name}' in the schema. Check your schema files for which "
                "properties in this class are available"
            )
    return list(wanted.non_ref_properties), list(wanted.object_properties)


def _whole(item: Mapping[str, Any]) -> Any:
    """A request for everything inside an object."""
    request = search.ObjectPropertiesRequest(prop_name=item["name"])
    for inner in item["nestedProperties"]:
        if inner["dataType"][0] in ("object", "object[]"):
            request.object_properties.append(_whole(inner))
        else:
            request.primitive_properties.append(inner["name"])
    return request


def _metadata(into: Any, owner: Class, item: Object, wanted: Any, near: float | None) -> None:
    if wanted.uuid:
        into.id = str(item.id)
        into.id_as_bytes = item.id.bytes
    if wanted.creation_time_unix:
        into.creation_time_unix, into.creation_time_unix_present = item.created, True
    if wanted.last_update_time_unix:
        into.last_update_time_unix, into.last_update_time_unix_present = item.updated, True
    if wanted.distance and near is not None:
        into.distance, into.distance_present = near, True
    if wanted.vector and "" in item.vectors:
        data = item.vectors[""][0]
        into.vector.extend(np.frombuffer(data, "<f4").tolist())
        into.vector_bytes = data
    names = list(wanted.vectors)
    if wanted.vector and not names:
        names = [name for name in owner.vector_names if name]
    for name in names:
        if name and name in item.vectors:
            data, multi = item.vectors[name]
            into.vectors.add(name=name, vector_bytes=data, type=MULTI if multi else SINGLE)


def _object(into: properties.Properties, declared: Mapping[str, Any], held: Mapping[str, Any], request: Any) -> None:
    """Members that are asked for and there; an absent one is left out, unlike at the top. The server lowers the first
    letter of what is asked for, so that it misses members whose name begins with a capital."""
    nested = {inner["name"]: inner for inner in declared["nestedProperties"]}
    for name in map(lower, request.primitive_properties):
        if name in held:
            _value(into.fields[name], nested[name]["dataType"][0], held[name])
    for inner in request.object_properties:
        name = lower(inner.prop_name)
        if name not in held:
            continue
        value = into.fields[name]
        if held[name] is None:
            value.null_value = 0  # pyright: ignore[reportAttributeAccessIssue]
        elif isinstance(held[name], list):
            value.list_value.object_values.SetInParent()
            for part in held[name]:
                _object(value.list_value.object_values.values.add(), nested[name], part, inner)
        else:
            value.object_value.SetInParent()
            _object(value.object_value, nested[name], held[name], inner)


_LISTS = {"text": "text_values", "string": "text_values", "date": "date_values", "uuid": "uuid_values"}


def _value(into: Any, kind: str, value: Any) -> None:
    if value is None:
        into.null_value = 0  # pyright: ignore[reportAttributeAccessIssue]
        return
    match kind:
        case "int[]":
            into.list_value.int_values.values = np.array(value, "<f8").astype("<i8").tobytes()
        case "number[]":
            into.list_value.number_values.values = np.array(value, "<f8").tobytes()
        case "boolean[]":
            into.list_value.bool_values.SetInParent()
            into.list_value.bool_values.values.extend(value)
        case "int":
            into.int_value = int(value)
        case "number":
            into.number_value = value
        case "boolean":
            into.bool_value = value
        case "date":
            into.date_value = value
        case "uuid":
            into.uuid_value = value
        case "geoCoordinates":
            into.geo_value.latitude, into.geo_value.longitude = value
        case "phoneNumber":
            _phone(into.phone_value, value)
        case "blob" | "blobHash":
            into.blob_value = value
        case "text" | "string":
            into.text_value = value
        case _:
            part = getattr(into.list_value, _LISTS[kind.removesuffix("[]")])
            part.SetInParent()
            part.values.extend(value)


def _phone(into: Any, value: Mapping[str, Any]) -> None:
    into.country_code = value["countryCode"]
    into.default_country = value.get("defaultCountry", "")
    into.input = value["input"]
    into.international_formatted = value["internationalFormatted"]
    into.national = value["national"]
    into.national_formatted = value["nationalFormatted"]
    into.valid = value["valid"]


def rest_object(owner: Class, item: Object, tenant: str, *, vectors: bool) -> dict[str, Any]:
    """An object as REST shows it."""
    shown: dict[str, Any] = {
        "class": owner.name,
        "creationTimeUnix": item.created,
        "id": str(item.id),
        "lastUpdateTimeUnix": item.updated,
        "properties": {name: _rest(owner.properties[name], value) for name, value in sorted(item.properties.items())},
        "vectorWeights": None,
    }
    if tenant:
        shown["tenant"] = tenant
    if vectors and "" in item.vectors:
        shown["vector"] = _floats(item.vectors[""][0])
    named = {name: entry for name, entry in item.vectors.items() if name}
    if vectors and named:
        shown["vectors"] = {name: _many(data) if multi else _floats(data) for name, (data, multi) in named.items()}
    return shown


def _rest(declared: Mapping[str, Any], value: Any) -> Any:
    kind = declared["dataType"][0]
    if is_reference(declared):
        return [{"beacon": text, "href": text.replace("weaviate://localhost", "/v1/objects")} for text in value]
    if kind == "geoCoordinates":
        return {"latitude": value[0], "longitude": value[1]}
    if kind.startswith("int"):
        return [int(item) for item in value] if isinstance(value, list) else int(value)
    return value


def _floats(data: bytes) -> list[float]:
    return np.frombuffer(data, "<f4").tolist()


def _many(data: bytes) -> list[list[float]]:
    return np.frombuffer(data[2:], "<f4").reshape(-1, int.from_bytes(data[:2], "little")).tolist()
