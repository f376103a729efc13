"""Property values as the server checks and keeps them (`usecases/objects/validation/properties_validation.go`).

Numbers are float64, places float32, dates RFC 3339 with any precision; a top-level null is dropped, `[]` and "" stay.
Not imitated: the phone number library. Numbers of a few countries are formatted in one simple way.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

import numpy as np

from tests.emulators.weaviate.faults import Refusal

COUNTRIES = {"DE": 49, "FR": 33, "GB": 44, "US": 1}
DATE = re.compile(r"(\d{4})(-\d\d-\d\dT\d\d:\d\d:\d\d)([.,]\d+)?(Z|[+-]\d\d:\d\d)", re.ASCII)
BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})", re.ASCII)
NAMES = {"geoCoordinates": "geoCoordinates", "int": "integer"}


class BadValue(Exception):
    """Why a value is refused."""


def go_type(value: Any) -> str:
    """The name that Go gives a decoded JSON value."""
    if isinstance(value, bool):
        return "bool"
    kinds = {str: "string", float: "float64", dict: "map[string]interface {}", list: "[]interface {}"}
    return kinds.get(type(value), "<nil>")


def parse_uuid(text: Any) -> UUID:
    """`uuid.Parse` of Go: four spellings. Raises BadValue."""
    if not isinstance(text, str) or len(text) not in (32, 36, 38, 45):
        raise BadValue(f"invalid UUID length: {len(text) if isinstance(text, str) else 0}")
    bare = text[9:] if len(text) == 45 and text.lower().startswith("urn:uuid:") else text
    bare = bare[1:-1] if len(bare) == 38 and bare[0] == "{" and bare[-1] == "}" else bare
    try:
        if len(bare) in (32, 36) and re.fullmatch(r"[0-9A-Fa-f-]+", bare):
            return UUID(bare)
    except ValueError:
        pass
    raise BadValue("invalid UUID format")


def stored(item: Mapping[str, Any], value: Any, class_name: str) -> Any:
    """The value of a property that is no reference. Raises BadValue with the server's text."""
    kind: str = item["dataType"][0]
    name: str = item["name"]
    if kind in ("object", "object[]"):
        try:
            nested = {inner["name"]: inner for inner in item["nestedProperties"]}
            return _object(nested, value, name) if kind == "object" else _objects(nested, value, name)
        except BadValue as error:
            raise BadValue(f"invalid {kind} property '{name}' on class '{class_name}': {error}") from None
    try:
        if kind.endswith("[]"):
            return _array(kind[:-2], value)
        return _CHECKS[kind](value)
    except BadValue as error:
        base = NAMES.get(kind.removesuffix("[]"), kind.removesuffix("[]"))
        label = f"{base} array" if kind.endswith("[]") else base
        raise BadValue(f"invalid {label} property '{name}' on class '{class_name}': {error}") from None


def _object(nested: Mapping[str, Any], value: Any, path: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadValue(f"object must be a map, but got: {go_type(value)}")
    found: dict[str, Any] = {}
    for key, member in value.items():
        item = nested.get(key)
        if item is None:
            raise BadValue(f"unknown property '{path}.{key}'")
        try:
            found[key] = None if member is None else stored({**item, "name": f"{path}.{key}"}, member, "")
        except BadValue as error:
            raise BadValue(f"property '{path}.{key}': {error}") from None
    return found


def _objects(nested: Mapping[str, Any], value: Any, path: str) -> list[Any]:
    if not isinstance(value, list):
        raise BadValue(f"not an object array, but {go_type(value)}")
    found: list[Any] = []
    for number, item in enumerate(value):
        try:
            found.append(_object(nested, item, path))
        except BadValue as error:
            raise BadValue(f"invalid object '{number}' in array: {error}") from None
    return found


def _array(kind: str, value: Any) -> list[Any]:
    label = {"int": "integer", "number": "integer"}.get(kind, kind)
    if not isinstance(value, list):
        raise BadValue(f"not a{'n' if label == 'integer' else ''} {label} array, but {go_type(value)}")
    try:
        return [_CHECKS[kind](item) for item in value]
    except BadValue:
        raise BadValue(f"invalid {'integer' if kind == 'int' else kind} array value: {value}") from None


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(f"not a string, but {go_type(value)}")
    return value


def _bool(value: Any) -> bool:
    if not isinstance(value, bool):
        raise BadValue(f"not a bool, but {go_type(value)}")
    return value


def _int(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadValue(f"requires an integer, the given value is '{value}'")
    number = float(value)
    if not number.is_integer() or not -(2.0**63) <= number < 2.0**63:
        raise BadValue(f"requires an integer, the given value is '{value}'")
    return number


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadValue(f"requires a float, the given value is '{value}'")
    return float(value)


def _date(value: Any) -> str:
    found = DATE.fullmatch(value) if isinstance(value, str) else None
    if found is not None:
        year, rest, fraction, zone = found.groups()
        try:
            datetime.fromisoformat(f"{'2000' if year == '0000' else year}{rest}{zone}")
        except ValueError:
            pass
        else:
            digits = (fraction or "")[1:10].rstrip("0")
            return f"{year}{rest}{'.' + digits if digits else ''}{'Z' if zone in ('+00:00', '-00:00') else zone}"
    raise BadValue(f"requires a string with a RFC3339 formatted date, but the given value is '{value}'")


def _uuid(value: Any) -> str:
    try:
        return str(parse_uuid(value))
    except BadValue:
        raise BadValue(f"requires a string of UUID format, but the given value is '{value}'") from None


def _geo(value: Any) -> tuple[float, float]:
    if not isinstance(value, dict):
        raise BadValue(f"geoCoordinates must be a map, but got: {go_type(value)}")
    found: list[float] = []
    for member in ("longitude", "latitude"):
        if member not in value:
            raise BadValue(f"geoCoordinates is missing required field '{member}'")
        if isinstance(value[member], bool) or not isinstance(value[member], int | float):
            raise BadValue(f"invalid {member}: must be json.Number or float, but got {go_type(value[member])}")
        found.append(float(np.float32(value[member])))
    return found[1], found[0]


def _phone(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadValue(f"phoneNumber must be a map, but got: {go_type(value)}")
    if "input" not in value:
        raise BadValue("phoneNumber is missing required field 'input'")
    text, country = value["input"], value.get("defaultCountry", "")
    if not isinstance(text, str):
        raise BadValue("phoneNumber.input must be a string")
    digits = re.sub(r"\D", "", text)
    if not digits:
        raise BadValue("invalid phone number: the phone number supplied is not a number")
    if text.strip().startswith("+"):
        code = next((code for code in COUNTRIES.values() if digits.startswith(str(code))), 0)
        digits = digits.removeprefix(str(code))
    else:
        code = COUNTRIES.get(country, 0)
    if not code:
        raise BadValue("invalid phone number: invalid country code")
    national = digits.lstrip("0")
    found = {
        "countryCode": code,
        "defaultCountry": country,
        "input": text,
        "internationalFormatted": f"+{code} {national}",
        "national": int(national or 0),
        "nationalFormatted": f"0{national}",
        "valid": 4 <= len(national) <= 13,
    }
    return {key: item for key, item in found.items() if item or key == "valid"}


def _blob(value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(f"not a blob base64 string, but {go_type(value)}")
    if BASE64.fullmatch(value) is None:
        raise BadValue("not a valid blob base64 string")
    return value


def _blob_hash(value: Any) -> str:
    return hashlib.sha256(_blob(value).encode()).hexdigest()


_CHECKS: dict[str, Any] = {
    "text": _text,
    "string": _text,
    "int": _int,
    "number": _number,
    "boolean": _bool,
    "date": _date,
    "uuid": _uuid,
    "geoCoordinates": _geo,
    "phoneNumber": _phone,
    "blob": _blob,
    "blobHash": _blob_hash,
}

KINDS = frozenset(
    {
        *_CHECKS,
        *("object", "object[]"),
        *(f"{kind}[]" for kind in ("text", "string", "int", "number", "boolean", "date", "uuid")),
    }
)


def beacon_of(text: Any, default: str | None) -> tuple[str, str]:
    """(class or "", uuid) of a beacon. Raises Refusal."""
    found = re.fullmatch(r"weaviate://([^/]+)/(?:([^/]+)/)?([^/]+)", text if isinstance(text, str) else "")
    if found is None:
        raise Refusal(f"invalid cref URI: path must be of format '<class>/<uuid>', but got '{text}'")
    host, owner, key = found.groups()
    if host != "localhost":
        raise Refusal("unrecognized cross-ref ref format")
    try:
        return owner or default or "", str(parse_uuid(key))
    except BadValue:
        raise Refusal(f"invalid cref URI: 2nd path segment must be uuid, but got '{key}'") from None
