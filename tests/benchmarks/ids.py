"""What it costs to keep the ids that a migration writes, without any file.

    python -m tests.benchmarks.ids

Prints CPU microseconds per id, the best of several rounds, of packing and unpacking blocks of a thousand ids, and the
bytes per id.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from uuid import NAMESPACE_OID, UUID, uuid5

from vectormigrate.model.ids import RecordId
from vectormigrate.state.id_blocks import pack_ids, unpack_ids

ROWS = 1000
ROUNDS = 50

_UUIDS: list[UUID] = [uuid5(NAMESPACE_OID, str(n)) for n in range(ROWS)]
KINDS: Mapping[str, list[RecordId]] = {
    "integers": list(range(ROWS)),
    "UUIDs": [*_UUIDS],
    "UUID texts": [str(item) for item in _UUIDS],
    "other texts": [item.hex for item in _UUIDS],
}


def best(call: Callable[[], object]) -> float:
    """CPU microseconds per id of the fastest round."""
    rounds: list[float] = []
    for _ in range(ROUNDS):
        started = time.process_time()
        call()
        rounds.append(time.process_time() - started)
    return min(rounds) / ROWS * 1e6


def main() -> None:
    for name, ids in KINDS.items():
        blob = pack_ids(ids)
        packing, unpacking = best(lambda ids=ids: pack_ids(ids)), best(lambda blob=blob: unpack_ids(blob))
        print(f"{name:12} pack {packing:6.2f} us, unpack {unpacking:6.2f} us, {len(blob) / ROWS:5.2f} bytes per id")


if __name__ == "__main__":
    main()
