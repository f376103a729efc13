"""Enters a gateway into the journal, and finds out whether the journal is the one that the last gateway wrote."""

from __future__ import annotations

from vectormigrate.capture.folder import LiveFolder
from vectormigrate.capture.gateway import files
from vectormigrate.capture.journal.connection import Connection
from vectormigrate.capture.journal.intents import Intents, Session
from vectormigrate.errors import JournalError


def entered(
    connection: Connection, intents: Intents, folder: LiveFolder, *, fail_open: bool, identity: str, seen: int
) -> tuple[Session, list[str]]:
    """The session of this process, and why writes may have been missed: taints that an earlier gateway could not write
    into the journal, and signs that the journal is an old copy. Raises JournalError for a journal that was made for
    another start of the migration (`identity`, empty where it is not known)."""
    _, found = connection.row("load_journal")
    if identity and found != identity:
        raise JournalError(f"the journal in {str(folder.path)!r} is another one than the migration began with")
    (number,) = connection.row("last_number")
    rows = connection.rows("last_session")
    last = rows[0][1] if rows else None
    taints = files.noted_taints(folder)
    allowed = files.last_nonces(folder)
    if number < seen or (allowed and last not in allowed) or (not allowed and last is not None):
        taints.append("the journal is an old copy, or a gateway wrote to another one: writes that it lacks were missed")
    nonce = files.new_nonce()
    files.keep_nonces(folder, last, nonce)
    session = intents.begin_session(fail_open=fail_open, nonce=nonce)
    files.keep_nonces(folder, nonce, nonce)
    for reason in taints:
        intents.taint(reason)
    files.forget_taints(folder)
    return session, taints
