"""Checks answers against the server's own Swagger file, when the environment names its folder."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "weaviate_1.39_schema.json"
ENV = "VECTORMIGRATE_TEST_OPENAPI"


class Checker:
    """The routes of the file; `problems` lists what did not fit."""

    def __init__(self, path: Path) -> None:
        from jsonschema import Draft4Validator

        self.problems: list[str] = []
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        # The file calls a vector an object; servers answer, and clients demand, a list of numbers or of such lists.
        self._definitions = {**document["definitions"], "Vector": {"type": "array"}}
        self._validator = Draft4Validator
        self._routes = [
            (method.upper(), re.compile(re.sub(r"\{[A-Za-z_]+\}", "[^/]+", route)), operation)
            for route, methods in document["paths"].items()
            for method, operation in methods.items()
            if method != "parameters"
        ]

    def check(self, method: str, path: str, query: Mapping[str, str], data: bytes, status: int, answer: Any) -> None:
        """Note what of an exchange does not fit its route."""
        where = f"{method} {path} -> {status}"
        found = [item for verb, pattern, item in self._routes if verb == method and pattern.fullmatch(path)]
        if not found:
            self.problems.append(f"{where}: the file has no such route")
            return
        reply = found[0]["responses"].get(str(status))
        if reply is None:
            self.problems.append(f"{where}: the file has no such status")
        elif answer is not None and method != "HEAD" and "schema" in reply:
            self._apply(reply["schema"], answer, where)

    def _apply(self, schema: Mapping[str, Any], value: Any, where: str) -> None:
        whole = {**schema, "definitions": self._definitions}
        for error in self._validator(whole).iter_errors(_without_nulls(value)):
            self.problems.append(f"{where}: {error.json_path}: {error.message[:200]}")


def _without_nulls(value: Any) -> Any:
    """The file does not say what may be null; the server sends null for what is empty."""
    if isinstance(value, dict):
        return {key: _without_nulls(item) for key, item in value.items() if item is not None}
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


def checker() -> Checker | None:
    """A checker of the file that the environment names, None without."""
    folder = os.environ.get(ENV)
    return Checker(Path(folder) / FILE) if folder else None
