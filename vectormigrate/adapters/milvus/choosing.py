"""Which records the expression of a delete chooses: the same expression in a query for their ids, at the level Strong,
so that it sees every write that was acknowledged. Over gRPC; the interface for REST has no level of its own."""

from __future__ import annotations

from vectormigrate.adapter.choosing import Listed, Question
from vectormigrate.adapter.operations import Request
from vectormigrate.adapter.wire_walker import BYTES, VARINT, Unreadable, below, fields, parts, text
from vectormigrate.adapter.wire_writer import piece
from vectormigrate.adapters.milvus.request_columns import column
from vectormigrate.adapters.milvus.request_places import address, database_of

QUERY = "/milvus.proto.milvus.MilvusService/Query"

LARGEST = 16_384
"""Records of one answer: the server's own limit."""


def by_expression(request: Request, most: int) -> Question | None:
    """Of DeleteRequest: db_name (2), collection_name (3), partition_name (4), expr (5), expr_template_values (8). Its
    question is QueryRequest with the same in 2, 3, partition_names (6), 4 and 13, output_fields (5) and query_params
    (9). Level Strong is the number 0, which is left out."""
    data = request.body
    texts = {2: "", 3: "", 4: "", 5: ""}
    values: list[bytes] = []
    for number, kind, first, last in fields(data, 0, len(data)):
        if number in texts and kind == BYTES:
            texts[number] = text(data, first, last)
        elif number == 8 and kind == BYTES:
            values.append(data[first:last])
    database, collection, partition, expression = texts.values()
    known = request.facts.get(address(database or database_of(request, "dbname"), collection))
    if known is None or not expression:
        return None
    limit = min(most + 1, LARGEST)
    body = piece(2, database.encode()) + piece(3, collection.encode()) + piece(4, expression.encode())
    body += piece(5, known.id_field.encode()) + (piece(6, partition.encode()) if partition else b"")
    body += piece(9, piece(1, b"limit") + piece(2, str(limit).encode()))
    body += b"".join(piece(13, value) for value in values)

    def read(answer: bytes) -> Listed:
        found = [item for place in below(answer, 0, len(answer), (2,)) for item in column(answer, *place, known) or []]
        _check(answer)
        return Listed(found, complete=len(found) < limit)

    return Question(method="POST", path=QUERY, body=body, grpc=True, read=read)


def _check(answer: bytes) -> None:
    """QueryResults: status (1) {error_code (1), code (3)}: an answer may be an error."""
    for place in parts(answer, 0, len(answer), 1):
        for number, kind, first, _ in fields(answer, *place):
            if number in (1, 3) and kind == VARINT and first:
                raise Unreadable("the server does not answer what the expression chooses")
