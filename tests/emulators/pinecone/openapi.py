"""Checks accepted requests and all replies against Pinecone's published OpenAPI files.

Those are of 2026-04 (vectors) and 2026-01.alpha (documents), older than the API that the SDK speaks, so the control
plane's new shapes and the routes that came later are not covered.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILES = ("pinecone_db_data_2026-04.oas.yaml", "pinecone_db_data_2026-01.alpha.oas.yaml")
CONTROL = "pinecone_db_control_2026-04.oas.yaml"
ENV = "VECTORMIGRATE_TEST_OPENAPI"


class Checker:
    """The routes of the files; `problems` lists what did not fit."""

    def __init__(self, folder: Path) -> None:
        from jsonschema import Draft202012Validator

        self.problems: list[str] = []
        self._validator = Draft202012Validator
        self._routes: list[tuple[str, re.Pattern[str], dict[str, Any]]] = []
        self._built: dict[int, Any] = {}
        for name in FILES:
            document = _load(folder / name)
            for path, methods in document["paths"].items():
                pattern = re.compile(re.sub(r"\{[a-z_]+\}", "[^/]+", path))
                for method, operation in methods.items():
                    self._routes.append((method.upper(), pattern, operation))
        self._error = _load(folder / CONTROL)["components"]["schemas"]["ErrorResponse"]

    def check(
        self,
        method: str,
        path: str,
        query: Mapping[str, list[str]],
        body: Any,
        status: int,
        answer: Any,
    ) -> None:
        """Note what of an exchange does not fit its route; unknown routes pass."""
        if not path.startswith(("/vectors", "/query", "/describe_index_stats", "/namespaces", "/records")):
            if status >= 400:
                self._apply(self._error, answer, f"{method} {path}: error reply")
            return
        operation = next((op for m, pattern, op in self._routes if m == method and pattern.fullmatch(path)), None)
        if operation is None or (path.endswith("/documents/fetch") and "filter" in (body or {})):
            return
        where = f"{method} {path}"
        if status < 300:
            self._request(operation, query, body, where)
        replies = operation["responses"]
        reply = replies.get(str(status)) or replies.get(f"{status // 100}XX") or _success(replies, status)
        if reply is None:
            self.problems.append(f"{where}: the status {status} is not in the specification")
            return
        content = reply.get("content", {}).get("application/json")
        if content is not None:
            self._apply(content["schema"], answer, f"{where}: reply {status}")

    def _request(self, operation: dict[str, Any], query: Mapping[str, list[str]], body: Any, where: str) -> None:
        known = {item["name"]: item for item in operation.get("parameters", []) if item["in"] == "query"}
        for name in set(query) - set(known):
            self.problems.append(f"{where}: unknown query parameter {name!r}")
        for name, item in known.items():
            if item.get("required") and name not in query:
                self.problems.append(f"{where}: query parameter {name!r} is missing")
            limits = item.get("schema", {})
            if limits.get("type") == "integer" and name in query:
                self._apply(limits, int(query[name][0]), f"{where}: parameter {name!r}")
        content = operation.get("requestBody", {}).get("content", {}).get("application/json")
        if content is not None:
            self._apply(content["schema"], body, f"{where}: request")

    def _apply(self, schema: dict[str, Any], value: Any, where: str) -> None:
        built = self._built.get(id(schema))
        if built is None:
            built = self._built[id(schema)] = self._validator(schema)
        for error in built.iter_errors(value):
            self.problems.append(f"{where}: {error.json_path}: {error.message[:300]}")


def _success(replies: Mapping[str, Any], status: int) -> Any:
    """The documents routes were specified with 200 and answer 202 since."""
    return next((replies[code] for code in ("200", "201", "202") if code in replies), None) if status < 300 else None


def _load(path: Path) -> dict[str, Any]:
    """A file with references resolved and its slips put right: `required` on a property that is no object, and length
    limits that are meant for the items of an array."""
    import yaml

    document: dict[str, Any] = yaml.safe_load(path.read_text())
    schemas: dict[str, Any] = document["components"]["schemas"]
    if "Vector" in schemas:
        # The SDK sends an empty list with a sparse-only record.
        schemas["Vector"]["properties"]["values"].pop("minLength")

    def resolved(node: Any) -> Any:
        if isinstance(node, list):
            return [resolved(item) for item in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return resolved(schemas[node["$ref"].rsplit("/", 1)[1]])
        found = {key: resolved(value) for key, value in node.items() if key not in ("description", "example")}
        if "properties" in node:
            found["properties"] = {key: resolved(value) for key, value in node["properties"].items()}
        if found.get("type") == "array":
            for wrong, right in (("minLength", "minItems"), ("maxLength", "maxItems")):
                if wrong in found:
                    found.setdefault(right, found.pop(wrong))
            found.pop("required", None)
        elif found.get("type") not in ("object", None):
            found.pop("required", None)
        return found

    return resolved(document)


def checker() -> Checker | None:
    """A checker of the files that the environment names, None without."""
    folder = os.environ.get(ENV)
    return Checker(Path(folder)) if folder else None
