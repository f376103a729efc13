"""Qdrant's message classes, taken from qdrant-client without running its `__init__`, which takes two seconds.

Message classes are unique per descriptor, so they are the same ones that an imported qdrant_client has.
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
    from qdrant_client.grpc import collections_pb2 as coll
    from qdrant_client.grpc import json_with_int_pb2 as values
    from qdrant_client.grpc import points_pb2 as pb
    from qdrant_client.grpc import qdrant_common_pb2 as common
    from qdrant_client.grpc import qdrant_pb2 as qd
else:

    def _module(name: str) -> ModuleType:
        if ALIAS not in sys.modules:
            found = find_spec("qdrant_client")
            if found is None or not found.submodule_search_locations:
                raise ModuleNotFoundError("No module named 'qdrant_client'", name="qdrant_client")
            package = ModuleType(ALIAS)
            package.__path__ = [os.path.join(place, "grpc") for place in found.submodule_search_locations]
            sys.modules[ALIAS] = package
        return importlib.import_module(f"{ALIAS}.{name}")

    coll = _module("collections_pb2")
    common = _module("qdrant_common_pb2")
    pb = _module("points_pb2")
    values = _module("json_with_int_pb2")
    qd = _module("qdrant_pb2")

__all__ = ["coll", "common", "pb", "qd", "values"]
