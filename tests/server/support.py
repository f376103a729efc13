"""What the tests of the server share: keys, and accounting with an audit log that can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from vectormigrate.server.access.auth import KeyRing
from vectormigrate.server.access.keys import parse_key
from vectormigrate.server.access.limiter import Limiter
from vectormigrate.server.access.sessions import Sessions
from vectormigrate.server.audit.accounting import Accounting
from vectormigrate.server.audit.log import AuditLog

ALICE = "alice-key-" + "a" * 30
ALICE_NEXT = "alice-next-" + "n" * 30
BOB = "bob-key-" + "b" * 32
READER = "reader-key-" + "r" * 30


def ring(*texts: str) -> KeyRing:
    """A ring of keys as written in a flag."""
    given = texts or (f"alice={ALICE}", f"alice={ALICE_NEXT}", f"bob={BOB}", f"reader:read={READER}")
    return KeyRing([parse_key(text, origin="test") for text in given])


def accounting(
    folder: Path | None = None, *, keys: KeyRing | None = None, calls: int = 1000, streams: int = 32, sessions: int = 64
) -> Accounting:
    return Accounting(
        ring=ring() if keys is None else keys,
        limiter=Limiter(calls_per_minute=calls, open_streams=streams),
        audit=None if folder is None else AuditLog(folder / "audit.jsonl"),
        sessions=Sessions(sessions),
    )


def audit_lines(folder: Path, *, all_of_them: bool = False) -> list[dict[str, Any]]:
    """What was asked and how it ended; with `all_of_them` also what was announced, opened or notified."""
    text = (folder / "audit.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    return [line for line in lines if all_of_them or not _aside(line)]


def _aside(line: dict[str, Any]) -> bool:
    notified = line["method"].startswith("notifications/")
    return (
        notified
        or line["outcome"] in ("began", "opened")
        or (line["method"], line["outcome"]) == ("GET /page", "http 200")
    )
