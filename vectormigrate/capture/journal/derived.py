"""The source record that a derived target id is of: after the switch a delete names only that id."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.packing import pack_id, unpack_id
from vectormigrate.capture.keys import Key
from vectormigrate.model.ids import RecordId


class Derived:
    """Target keys whose ids were made from those of the source. Needs no durable connection: what is lost is found
    again in the record itself, as long as that exists."""

    def __init__(self, connection: Connection) -> None:
        """`connection`: used by nobody else, for it is used from several threads."""
        self._connection = connection
        self._one = threading.Lock()

    def add(self, pairs: Iterable[tuple[Key, Key]], *, adopted: bool = False) -> None:
        """Keep pairs of target key and source key. `adopted`: the source's was made from the target's."""
        with self._one, self._connection.transaction():
            self._connection.run_many(
                "add_derived",
                [
                    (target.namespace, pack_id(target.id), source.namespace, pack_id(source.id), adopted)
                    for target, source in pairs
                ],
            )

    def find(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId] | None:
        """The source namespace and id of a target key, None for one that was not derived."""
        with self._one, self._connection.translated():
            rows = self._connection.rows("find_derived", namespace, pack_id(record_id))
        return (rows[0][0], unpack_id(rows[0][1])) if rows else None

    def adopted(self, namespace: str, record_id: RecordId) -> tuple[str, RecordId] | None:
        """The target namespace and id of a source record that was made from them, None for any other."""
        with self._one, self._connection.translated():
            rows = self._connection.rows("find_adopted", namespace, pack_id(record_id))
        return (rows[0][0], unpack_id(rows[0][1])) if rows else None
