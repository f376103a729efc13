"""A pass over every record of both sides while the application writes: what it finds is looked at again, under the
locks, before it is believed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import anyio.to_thread

from vectormigrate.capture.keys import Key
from vectormigrate.capture.proving.confirming import EXAMPLES, Confirmed, Confirmer
from vectormigrate.capture.proving.sides import Found, Sides, known_namespaces, owner
from vectormigrate.engine.events import Listener, ignore
from vectormigrate.errors import AdapterError
from vectormigrate.figures import counted
from vectormigrate.model.clock import steady_seconds
from vectormigrate.model.ids import id_key
from vectormigrate.model.status import DiffCheck, Difference, DifferenceKind
from vectormigrate.validation.common import PAGE_ROWS
from vectormigrate.validation.diff import full_diff

LISTED = 50_000
"""Differences that are looked at again; further ones are not verified."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """Records by what is known of them. `verified`: equal on both sides when they were read; `pending`: dirty, or a
    request on them is under way; `hot`: changed while they were looked at; `diverged`: different although nothing
    touches them; `errors`: not read, or not looked at again, hence not verified. `examples` for people."""

    verified: int = 0
    pending: int = 0
    hot: int = 0
    diverged: int = 0
    errors: int = 0
    examples: tuple[str, ...] = ()
    statement: str = ""
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Everything was read, and nothing differs that should not."""
        return not self.diverged and not self.errors


@dataclass(frozen=True, slots=True)
class SavedPass:
    """A file that keeps how far a pass has come, so that another process resumes it."""

    path: Path

    async def load(self) -> bytes | None:
        """What was saved last."""
        try:
            return await anyio.Path(self.path).read_bytes()
        except FileNotFoundError:
            return None

    async def save(self, data: bytes) -> None:
        """Replace it, as a whole or not at all."""
        await anyio.to_thread.run_sync(self._save, data)

    async def clear(self) -> None:
        """The pass has ended."""
        await anyio.Path(self.path).unlink(missing_ok=True)

    def _save(self, data: bytes) -> None:
        draft = self.path.with_name(f"{self.path.name}.new")
        draft.write_bytes(data)
        os.replace(draft, self.path)


async def run_pass(
    confirmer: Confirmer, saved: SavedPass, *, listener: Listener = ignore, page_rows: int = PAGE_ROWS
) -> PassResult:
    """Compare all records, in both directions; resumes what `saved` holds. A database that cannot be read is an error
    in the result, and the pass resumes there next time; cancelling it keeps what it has done."""
    started, sides = steady_seconds(), confirmer.sides
    try:
        diff = await full_diff(
            source=sides.source,
            target=sides.target,
            mapper=sides.mapper,
            plan=sides.plan,
            created=sides.created,
            which_written=sides.which_written,
            rejected=sides.rejected,
            listener=listener,
            progress=await saved.load(),
            save=saved.save,
            page_rows=page_rows,
            limit=LISTED,
            moving=True,
        )
        confirmed, lost = await _again(confirmer, diff)
    except AdapterError as error:
        text = f"Nothing was concluded: a side could not be read to the end ({error})."
        return PassResult(errors=1, examples=(str(error),), statement=text, seconds=steady_seconds() - started)
    await saved.clear()
    return _result(diff, confirmed, lost, steady_seconds() - started)


async def _again(confirmer: Confirmer, diff: DiffCheck) -> tuple[Confirmed, list[Difference]]:
    """Look at every difference again. Also returns records of the target that are nobody's, and still there."""
    sides = confirmer.sides
    names = await known_namespaces(sides)
    keys: dict[Key, None] = {}
    lost: list[Difference] = []
    for item in diff.differences:
        key = await key_of(sides, item, names)
        if key is None:
            lost.append(item)
        else:
            keys[key] = None
    confirmed = await confirmer.confirm(list(keys))
    return confirmed, await still_there(sides, lost)


async def key_of(sides: Sides, item: Difference, names: list[str]) -> Key | None:
    """Whose record of the source differs; None for one of the target that is nobody's."""
    if item.kind is not DifferenceKind.EXTRA:
        return None if item.source_id is None else Key(item.source_namespace or "", item.source_id)
    original = item.target_id if item.source_id is None else item.source_id
    return await owner(sides, Found(item.namespace, item.target_id, original, item.source_namespace), names)


async def still_there(sides: Sides, items: list[Difference]) -> list[Difference]:
    """Those of these records that the target holds now. Raises what its adapter raises."""
    by_place: dict[str, list[Difference]] = {}
    for item in items:
        by_place.setdefault(item.namespace, []).append(item)
    left: list[Difference] = []
    for place, some in by_place.items():
        batch = await sides.target.fetch([item.target_id for item in some], place, vectors=False)
        there = set(map(id_key, batch.ids))
        left += [item for item in some if id_key(item.target_id) in there]
    return left


def _result(diff: DiffCheck, confirmed: Confirmed, lost: list[Difference], seconds: float) -> PassResult:
    unlisted = diff.missing + diff.extra + diff.different - len(diff.differences)
    errors = diff.unreadable + max(0, unlisted) + len(confirmed.errors) + len(lost)
    examples = [*_named(confirmed.diverged), *_named(confirmed.errors)]
    examples += [f"{id_key(item.target_id)}: on the target, and nobody's" for item in lost]
    verified = max(0, diff.identical + diff.within_bound + confirmed.equal)
    text = (
        f"Every record was read once on both sides while the application wrote: {counted(verified)} agreed,"
        f" {counted(confirmed.pending)} were being written and are compared once they have settled,"
        f" {counted(confirmed.hot)} changed while they were looked at, {counted(len(confirmed.diverged))} differ"
        f" although nothing touched them. It holds for the moment at which each was read."
    )
    if errors:
        text += f" {counted(errors)} could not be read, or not be looked at again, and are not verified."
    return PassResult(
        verified=verified,
        pending=confirmed.pending,
        hot=confirmed.hot,
        diverged=len(confirmed.diverged),
        errors=errors,
        examples=tuple(examples[:EXAMPLES]),
        statement=text,
        seconds=seconds,
    )


def _named(keys: dict[Key, str]) -> list[str]:
    return [named(key, what) for key, what in keys.items()]


def named(key: Key, what: str) -> str:
    """A key and what is wrong with it, for people."""
    place = f"{key.namespace}/" if key.namespace else ""
    return f"{place}{id_key(key.id)}: {what}"
