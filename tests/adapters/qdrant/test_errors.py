"""What the answers of a cluster in a rolling restart mean, and those that another try does not change."""

from __future__ import annotations

import pytest

from vectormigrate.adapters.qdrant import SPEC
from vectormigrate.adapters.qdrant.errors import HttpError
from vectormigrate.errors import AdapterError, CollectionNotFound, InvalidRequest, RecordsRejected, Unavailable


@pytest.mark.parametrize(
    ("status", "text", "operation", "kind"),
    [
        (404, "Not found: Shard 3 not found", "scan", Unavailable),
        (404, "Not found: Shard 3 not found", "upsert", Unavailable),
        (400, "Wrong input: The replica set for shard 0 on peer 1 has no active replica", "upsert", Unavailable),
        (500, "Service internal error: 1 of 1 read operations failed", "scan", Unavailable),
        (599, "what no table knows", "scan", Unavailable),
        (404, "Not found: Shard key eu not found", "scan", InvalidRequest),
        (404, "Not found: Collection `c` doesn't exist!", "scan", CollectionNotFound),
        (400, "Wrong input: Vector dimension error: expected dim: 4, got 3", "upsert", RecordsRejected),
    ],
)
def test_answers_mean(status: int, text: str, operation: str, kind: type[AdapterError]) -> None:
    assert type(SPEC.classify(HttpError(status, text), operation)) is kind
