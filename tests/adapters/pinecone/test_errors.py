"""What the answers of a service that restarts mean, and those that another try does not change."""

from __future__ import annotations

import pytest
from pinecone.errors.exceptions import PineconeValueError, ResponseParsingError

from vectormigrate.adapters.pinecone import SPEC
from vectormigrate.adapters.pinecone.errors import HttpError
from vectormigrate.errors import AdapterError, AlreadyExists, InvalidRequest, RecordsRejected, Unavailable


@pytest.mark.parametrize(
    ("error", "operation", "kind"),
    [
        (HttpError(409, "the index is being changed"), "set_note", Unavailable),
        (HttpError(409, "exists"), "create", AlreadyExists),
        (HttpError(425, "too early"), "scan", Unavailable),
        (HttpError(503, "upstream connect error"), "upsert", Unavailable),
        (HttpError(413, "too large"), "upsert", RecordsRejected),
        (HttpError(400, "wrong"), "scan", InvalidRequest),
        (ResponseParsingError("not JSON"), "describe", Unavailable),
        (PineconeValueError("no"), "create", InvalidRequest),
    ],
)
def test_answers_mean(error: Exception, operation: str, kind: type[AdapterError]) -> None:
    assert type(SPEC.classify(error, operation)) is kind
