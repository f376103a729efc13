"""Weaviate's message classes, taken from weaviate-client without running its `__init__`, which takes a second and
changes the process (warning filters, GRPC_VERBOSITY). Raises ModuleNotFoundError where weaviate-client is missing.

The generated modules import each other by absolute name, so empty packages in place of the packages above them are in
`sys.modules` while they load. Message classes are unique per descriptor: a client imported later has the same ones.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

GENERATED = "v6300"
"""The folder of weaviate-client with the code for protobuf 6.30 and later, which this package requires."""

MODULES = (
    *("aggregate_pb2", "base_pb2", "base_search_pb2", "batch_delete_pb2", "batch_pb2"),
    *("properties_pb2", "search_get_pb2", "tenants_pb2"),
)

if TYPE_CHECKING:
    from weaviate.proto.v1.v6300.v1 import aggregate_pb2 as aggregate
    from weaviate.proto.v1.v6300.v1 import base_pb2 as base
    from weaviate.proto.v1.v6300.v1 import base_search_pb2 as near
    from weaviate.proto.v1.v6300.v1 import batch_delete_pb2 as removal
    from weaviate.proto.v1.v6300.v1 import batch_pb2 as batch
    from weaviate.proto.v1.v6300.v1 import properties_pb2 as properties
    from weaviate.proto.v1.v6300.v1 import search_get_pb2 as search
    from weaviate.proto.v1.v6300.v1 import tenants_pb2 as tenants
else:

    def _load() -> dict[str, ModuleType]:
        found = find_spec("weaviate")
        if found is None or not found.submodule_search_locations:
            raise ModuleNotFoundError("No module named 'weaviate'", name="weaviate")
        root = next(iter(found.submodule_search_locations))
        if "weaviate" in sys.modules or not os.path.isdir(os.path.join(root, "proto", "v1", GENERATED)):
            package = importlib.import_module("weaviate.proto.v1")
            return {name: getattr(package, name) for name in MODULES}
        names = ["weaviate", "weaviate.proto", "weaviate.proto.v1"]
        folders = [root, os.path.join(root, "proto"), os.path.join(root, "proto", "v1")]
        try:
            for name, folder in zip(names, folders, strict=True):
                sys.modules[name] = ModuleType(name)
                sys.modules[name].__path__ = [folder]
            return {name: importlib.import_module(f"weaviate.proto.v1.{GENERATED}.v1.{name}") for name in MODULES}
        finally:
            for name in [name for name in sys.modules if name == "weaviate" or name.startswith("weaviate.")]:
                del sys.modules[name]

    _loaded = _load()
    aggregate = _loaded["aggregate_pb2"]
    base = _loaded["base_pb2"]
    near = _loaded["base_search_pb2"]
    removal = _loaded["batch_delete_pb2"]
    batch = _loaded["batch_pb2"]
    properties = _loaded["properties_pb2"]
    search = _loaded["search_get_pb2"]
    tenants = _loaded["tenants_pb2"]

__all__ = ["aggregate", "base", "batch", "near", "properties", "removal", "search", "tenants"]
