"""The tables of every database, and what the vendors' own packages and schemas list."""

from __future__ import annotations

import importlib
import json
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from vectormigrate import registry
from vectormigrate.adapter.operations import Operations, operations_of

DATABASES = [name for name in registry.names() if operations_of(registry.load(name)) is not None]
"""Those with a server of their own, to which requests go."""

OPENAPI = os.environ.get("VECTORMIGRATE_TEST_OPENAPI")
"""Folder with the vendors' schemas."""

PREFIXES = {"weaviate": "/v1"}
UNARY = ("get", "put", "post", "patch", "delete", "head")


def operations(name: str) -> Operations:
    """The table of a database."""
    found = operations_of(registry.load(name))
    assert found is not None
    return found


def _modules(package: str, folder: Path) -> Iterator[ModuleType]:
    for path in sorted(folder.glob("*_pb2.py")):
        yield importlib.import_module(f"{package}.{path.stem}")


def stubs(name: str) -> list[ModuleType]:
    """The generated protobuf modules of the vendor's package, empty where it has none."""
    if name == "weaviate":
        package = importlib.import_module("weaviate.proto.v1.v6300.v1")
        return list(_modules(package.__name__, Path(str(package.__path__[0]))))
    if name in ("qdrant", "milvus"):
        proto: Any = importlib.import_module(f"vectormigrate.adapters.{name}.proto")
        return list(_modules(proto.ALIAS, Path(sys.modules[proto.ALIAS].__path__[0])))
    return []


def stub_methods(name: str) -> dict[str, Any]:
    """Every gRPC method of the vendor's package, by its full name."""
    return {
        f"/{service.full_name}/{method.name}": method
        for module in stubs(name)
        for service in module.DESCRIPTOR.services_by_name.values()
        for method in service.methods
    }


def proto_methods(name: str) -> list[str]:
    """The gRPC methods of `.proto` files in the folder of schemas."""
    found: list[str] = []
    for path in sorted(Path(OPENAPI or ".").glob(f"{name}_*.proto")):
        service = ""
        for line in path.read_text().splitlines():
            words = re.match(r"\s*(service|rpc)\s+(\w+)", line)
            if words is not None and words[1] == "service":
                service = words[2]
            elif words is not None:
                found.append(f"/{service}/{words[2]}")
    return found


def rest_operations(name: str) -> list[tuple[str, str]]:
    """Method and template of every REST operation in the folder of schemas."""
    found: set[tuple[str, str]] = set()
    for path in sorted(Path(OPENAPI or ".").glob(f"{name}_*")):
        if path.suffix not in (".json", ".yaml"):
            continue
        text = path.read_text()
        schema: Any = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
        for template, methods in schema["paths"].items():
            found |= {(method.upper(), PREFIXES.get(name, "") + template) for method in methods if method in UNARY}
    return sorted(found)
