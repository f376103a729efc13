"""Values between Weaviate's forms and the model's. Pure.

- date: RFC 3339 text with any offset and up to nanoseconds. What a datetime cannot hold (digits beyond microseconds,
  the year 0) is the text itself.
- geoCoordinates: `{"lat", "lon"}` with doubles that are exactly 32-bit floats.
- blob: bytes. Weaviate refuses an empty one.
- object: JSON; dates and uuids inside are text, blobs base64, places and phone numbers as Weaviate spells them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from vectormigrate.adapters.weaviate.capabilities import MAX_INT
from vectormigrate.adapters.weaviate.layout import Property


class BadValue(Exception):
    """A value that Weaviate would refuse or alter: a stable code and the reason."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason


_DATE = re.compile(r"(\d{4})-\d\d-\d\dT(\d\d):\d\d:\d\d(?:[.,](\d+))?(?:Z|[+-](\d\d):(\d\d))", re.ASCII)

_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=|[A-Za-z0-9+/]{4})", re.ASCII)


def moment_of(text: str) -> datetime | str:
    """The datetime that a date is, or the text where a datetime would lose something."""
    if len(text) == 20 and text.endswith("Z"):
        return text if text.startswith("0000") else datetime.fromisoformat(text)
    found = _DATE.fullmatch(text)
    if found is None or found.group(1) == "0000":
        return text
    digits = found.group(3)
    if digits is not None and len(digits.rstrip("0")) > 6:
        return text
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def date_text(value: Any) -> str:
    """A date as Weaviate takes it. Raises BadValue."""
    if isinstance(value, str):
        if isinstance(moment_of(value), str) and _DATE.fullmatch(value) is not None and is_date(value):
            return value
        raise BadValue("field_type", f"{value[:40]!r} is no date that only Weaviate holds; a datetime is wanted")
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise BadValue("field_type", f"a date column holds datetimes with a time zone, not {type(value).__name__}")
    offset = value.utcoffset() or timedelta()
    if offset % timedelta(minutes=1):
        try:
            value, offset = value.astimezone(UTC), timedelta()
        except OverflowError:
            raise BadValue("datetime", f"{value!r} has an offset with seconds, which Weaviate cannot hold") from None
    text = value.replace(tzinfo=None).isoformat()
    if not offset:
        return f"{text}Z"
    minutes = int(offset.total_seconds()) // 60
    return f"{text}{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"


def is_date(text: str) -> bool:
    """Whether Weaviate parses it: the calendar part with at most nine digits, the year 0 included."""
    found = _DATE.fullmatch(text)
    if found is None or len((found.group(3) or "").rstrip("0")) > 9:
        return False
    year, rest = text[:4], re.sub(r"[.,]\d+", "", text[4:])
    try:
        # 0000 is a leap year, as 2000 is.
        datetime.fromisoformat(f"{'2000' if year == '0000' else year}{rest}")
    except ValueError:
        return False
    return True


def uuid_text(value: Any) -> str:
    """The canonical text of a UUID. Raises BadValue."""
    if isinstance(value, str):
        try:
            if str(UUID(value)) == value:
                return value
        except ValueError:
            pass
    raise BadValue("field_type", f"a uuid column holds UUIDs in canonical lower case, not {str(value)[:60]!r}")


def whole(value: Any) -> int:
    """An integer that Weaviate keeps exactly. Raises BadValue."""
    if type(value) is not int:
        raise BadValue("field_type", f"an int column holds integers, not {type(value).__name__}")
    if not -MAX_INT <= value <= MAX_INT:
        raise BadValue("integer", f"{value} is beyond ±2^53, where Weaviate keeps integers inexactly")
    return value


def number(value: Any) -> float:
    """A finite float. Raises BadValue."""
    if type(value) is not float:
        raise BadValue("field_type", f"a number column holds floats, not {type(value).__name__}")
    if value - value != 0:
        raise BadValue("nonfinite", f"Weaviate refuses {value}")
    return value


def text(value: Any) -> str:
    """Text that is valid Unicode. Raises BadValue."""
    if not isinstance(value, str):
        raise BadValue("field_type", f"a text column holds text, not {type(value).__name__}")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise BadValue("text", "the text holds lone surrogates") from None
    return value


def boolean(value: Any) -> bool:
    """A bool. Raises BadValue."""
    if not isinstance(value, bool):
        raise BadValue("field_type", f"a boolean column holds true or false, not {type(value).__name__}")
    return value


def blob_text(value: Any) -> str:
    """Bytes as base64. Raises BadValue."""
    if not isinstance(value, bytes):
        raise BadValue("field_type", f"a blob column holds bytes, not {type(value).__name__}")
    if not value:
        raise BadValue("blob", "Weaviate takes no empty blob")
    return base64.b64encode(value).decode()


def base64_text(value: Any) -> str:
    """Base64 text inside an object. Raises BadValue."""
    if not isinstance(value, str) or _BASE64.fullmatch(value) is None:
        raise BadValue("blob", "a blob inside an object must be base64 text, and not empty")
    return value


def place(value: Any, latitude: str = "lat", longitude: str = "lon") -> dict[str, float]:
    """Weaviate's members of a place. Raises BadValue when 32 bits cannot hold the coordinates."""
    if not isinstance(value, dict) or value.keys() != {latitude, longitude}:
        raise BadValue("field_type", f"a place is {{{latitude!r}, {longitude!r}}}")
    found: dict[str, float] = {}
    for key, member in (("latitude", latitude), ("longitude", longitude)):
        degrees = value[member]
        if type(degrees) not in (float, int) or not np.isfinite(degrees):
            raise BadValue("field_type", "the coordinates of a place are finite numbers")
        with np.errstate(over="ignore"):
            if float(np.float32(degrees)) != degrees:
                raise BadValue("geo", f"the coordinate {degrees} does not fit into 32 bits")
        found[key] = float(degrees)
    return found


def phone(value: Any) -> dict[str, str]:
    """What Weaviate takes of a phone number; it computes the rest. Raises BadValue."""
    if not isinstance(value, dict) or not isinstance(value.get("input"), str):
        raise BadValue("field_type", "a phone number is an object with the member 'input'")
    country = value.get("defaultCountry", "")
    if not isinstance(country, str):
        raise BadValue("field_type", "the member 'defaultCountry' of a phone number is text")
    return {"input": text(value["input"]), **({"defaultCountry": text(country)} if country else {})}


def unknown_key(key: str, nested: Mapping[str, Property]) -> BadValue:
    """For a key that the class does not declare; Weaviate would invent a property for it."""
    known = ", ".join(sorted(nested)[:5])
    return BadValue("field_undeclared", f"the class has no property {key[:80]!r} (it has: {known or 'none'})")
