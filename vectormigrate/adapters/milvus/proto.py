"""Milvus' message classes, taken from pymilvus without running its `__init__` (which reads `.env` files into the
environment, adds a log handler and takes a second). Raises ModuleNotFoundError where pymilvus is missing.

Message classes are unique per descriptor, so they are the same ones that an imported pymilvus has.
"""

from __future__ import annotations

import importlib
import os
import sys
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING

ALIAS = f"{__package__}.grpc_gen"

if TYPE_CHECKING:
    from pymilvus.grpc_gen import common_pb2 as cp
    from pymilvus.grpc_gen import milvus_pb2 as pb
    from pymilvus.grpc_gen import schema_pb2 as sp
else:

    def _module(name: str) -> ModuleType:
        if ALIAS not in sys.modules:
            found = find_spec("pymilvus")
            if found is None or not found.submodule_search_locations:
                raise ModuleNotFoundError("No module named 'pymilvus'", name="pymilvus")
            package = ModuleType(ALIAS)
            package.__path__ = [os.path.join(place, "grpc_gen") for place in found.submodule_search_locations]
            sys.modules[ALIAS] = package
        return importlib.import_module(f"{ALIAS}.{name}")

    cp = _module("common_pb2")
    pb = _module("milvus_pb2")
    sp = _module("schema_pb2")

__all__ = ["cp", "pb", "sp"]
