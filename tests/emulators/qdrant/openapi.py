"""The published REST schema (`qdrant_*_openapi.json`), where VECTORMIGRATE_TEST_OPENAPI names a folder with it."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

import orjson

from tests.emulators.qdrant.errors import Refused

LARGE = 200_000
"""Larger answers are not looked at, for the sake of time."""


def _json_schema(schema: Any) -> Any:
    """OpenAPI 3.0 says `nullable` where JSON Schema has a type."""
    if isinstance(schema, list):
        return [_json_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    found = {key: _json_schema(item) for key, item in schema.items() if key not in ("nullable", "format", "example")}
    if schema.get("nullable") is True:
        rest = {key: item for key, item in found.items() if key not in ("description", "default")}
        return {"anyOf": [rest, {"type": "null"}]} if rest else {"type": "null"}
    return found


class Contract:
    """Checks requests and answers against the schema."""

    def __init__(self, folder: Path) -> None:
        (path,) = sorted(folder.glob("qdrant_*_openapi.json"))[-1:]
        raw = json.loads(path.read_text())
        self._paths: dict[str, Any] = raw["paths"]
        self._components = _json_schema(raw["components"])
        self._validator = lru_cache(maxsize=None)(self._make)

    def _operation(self, method: str, template: str) -> Any:
        path = template.replace("{name}", "{collection_name}").replace("{path:path}", "{field_name}")
        return self._paths.get(path, {}).get(method.lower())

    def _make(self, method: str, template: str, answer: bool) -> Any:
        from jsonschema import Draft7Validator

        operation = self._operation(method, template)
        if operation is None:
            return None
        part = operation["responses"]["200"] if answer else operation.get("requestBody")
        if part is None or "application/json" not in part.get("content", {}):
            return None
        schema = _json_schema(part["content"]["application/json"]["schema"])
        return Draft7Validator({**schema, "components": self._components})

    def check_request(self, method: str, template: str, body: Any) -> None:
        validator = self._validator(method, template, False)
        if validator is not None and body:
            if len(str(body)[:LARGE]) == LARGE:
                return
            self._check(validator, body, "request")

    def check_answer(self, method: str, template: str, content: bytes) -> None:
        validator = self._validator(method, template, True)
        if validator is not None and len(content) < LARGE:
            self._check(validator, orjson.loads(content), "answer")

    def _check(self, validator: Any, value: Any, what: str) -> None:
        error = next(validator.iter_errors(value), None)
        if error is not None:
            raise Refused(422, f"SCHEMA: the {what} breaks the published schema: {error.message[:500]}")
