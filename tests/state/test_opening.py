"""What opening makes of files that are missing, old, new, foreign, damaged or out of reach."""

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from importlib.resources.abc import Traversable
from pathlib import Path

import anyio
import pytest

from tests.state.processes import child, finish
from tests.state.support import beside, content, make_plan, page, put, size, sql
from vectormigrate.errors import StateCorrupt, StateError, StateTooNew, StateUnwritable
from vectormigrate.model.plan import RunOptions
from vectormigrate.state import Store, open_store
from vectormigrate.state.connection import open_writer
from vectormigrate.state.queries import MIGRATIONS
from vectormigrate.state.schema import APPLICATION_ID, newest_version
from vectormigrate.state.secrets import SecretGuard

pytestmark = pytest.mark.anyio


async def look(path: Path, *, read_only: bool = False) -> list[str]:
    """Open the file and read all there is to run by; the ids found."""
    async with open_store(path, read_only=read_only) as store:
        names = [item.id for item in await store.migrations.list()]
        for name in names:
            await store.progress.partitions(name)
    return names


async def fail_to_open(path: Path, kind: type[StateError]) -> str:
    """Opening fails this way; the message is one line that names the file."""
    with pytest.raises(kind) as caught:
        await look(path)
    text = str(caught.value)
    assert "\n" not in text
    assert repr(str(path)) in text
    return text


async def test_a_new_file_and_its_folder_are_for_the_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.db"
    async with open_store(path) as store:
        await store.migrations.create(make_plan(), RunOptions())
        modes = {entry.name: stat.S_IMODE(entry.stat().st_mode) for entry in path.parent.iterdir()}
    assert modes == {"state.db": 0o600, "state.db-wal": 0o600, "state.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [entry.name for entry in path.parent.iterdir()] == ["state.db"]


async def test_a_file_is_marked_flushed_and_checked(path: Path) -> None:
    async with open_writer(path, SecretGuard()) as session:
        found = {
            name: next(iter(await session.connection.execute_fetchall(f"PRAGMA {name}")))[0]
            for name in ("application_id", "user_version", "journal_mode", "synchronous", "foreign_keys")
        }
    assert found == {
        "application_id": APPLICATION_ID,
        "user_version": newest_version(),
        "journal_mode": "wal",
        "synchronous": 2,
        "foreign_keys": 1,
    }


async def test_opening_an_up_to_date_file_writes_nothing(path: Path) -> None:
    await filled(path)
    before = content(path)
    assert await look(path) == ["orders"]
    assert content(path) == before


async def test_an_empty_file_is_filled(path: Path) -> None:
    put(path)
    assert await look(path) == []


async def test_several_may_open_a_missing_file_at_once(tmp_path: Path) -> None:
    async def create(path: Path, name: str) -> None:
        async with open_store(path) as store:
            await store.migrations.create(make_plan(name), RunOptions())

    for n in range(12):
        path = tmp_path / str(n) / "state.db"
        async with anyio.create_task_group() as tasks:
            for name in "abcdefgh":
                tasks.start_soon(create, path, name)
        assert sorted(await look(path)) == list("abcdefgh")


async def test_text_that_is_no_database_is_left_alone(path: Path) -> None:
    put(path, b"connections: []\n" * 100)
    before = content(path)
    assert "not a database" in await fail_to_open(path, StateCorrupt)
    assert content(path) == before


async def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    sql(path, "CREATE TABLE bookmarks (url TEXT)")
    before = content(path)
    assert "of another program" in await fail_to_open(path, StateCorrupt)
    assert content(path) == before
    assert beside(path) == ["state.db"]


async def test_a_newer_file_is_left_alone_and_says_what_to_do(store: Store, path: Path) -> None:
    sql(path, "PRAGMA user_version = 99")
    expected = f"(format 99, this one knows {newest_version()}); upgrade vectormigrate"
    assert expected in await fail_to_open(path, StateTooNew)
    with pytest.raises(StateTooNew):
        await look(path, read_only=True)
    assert sql(path, "PRAGMA user_version") == [(99,)]


async def filled(path: Path) -> int:
    """A closed file with some content; its size."""
    async with open_store(path) as store:
        await store.migrations.create(make_plan(partitions=200), RunOptions())
        async with store.leases.hold("orders") as lease:
            for seq in range(1, 50):
                await store.progress.commit(lease, page("eu-0", seq))
    return size(path)


async def test_garbage_in_the_header_is_corrupt(path: Path) -> None:
    await filled(path)
    put(path, os.urandom(100), at=0)
    assert "restore a backup of it, or move it away" in await fail_to_open(path, StateCorrupt)


async def test_garbage_in_the_pages_is_corrupt(path: Path) -> None:
    length = await filled(path)
    put(path, b"\xa5" * (length - 4096), at=4096)
    await fail_to_open(path, StateCorrupt)


async def test_a_file_that_was_cut_short_is_corrupt(path: Path) -> None:
    length = await filled(path)
    os.truncate(path, length // 2 // 4096 * 4096)
    await fail_to_open(path, StateCorrupt)


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    assert "not a regular file" in await fail_to_open(tmp_path / "state.db", StateUnwritable)


async def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").touch()
    await fail_to_open(tmp_path / "folder" / "state.db", StateUnwritable)


def protect(path: Path) -> None:
    """Take the right to write the file, if there is one, and its folder."""
    if path.exists():
        path.chmod(0o444)
    path.parent.chmod(0o555)


@pytest.fixture
def public() -> Iterator[Path]:
    """A folder that other users can reach, unlike tmp_path."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "state.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


async def test_without_write_access_the_file_can_be_read_and_writing_says_why_not(public: Path) -> None:
    async with open_store(public) as store:
        await store.migrations.create(make_plan(), RunOptions())
    protect(public)
    with child("unprivileged", public, "read") as reader, child("unprivileged", public, "write") as writer:
        assert finish(reader) == ["orders"]
        [line] = finish(writer)
    assert line.startswith(f"StateUnwritable the state file '{public}': it is read-only")


async def test_in_a_folder_without_write_access_no_file_can_be_made(public: Path) -> None:
    protect(public)
    with child("unprivileged", public, "write") as writer:
        [line] = finish(writer)
    assert line.startswith(f"StateUnwritable the state file '{public}' cannot be made")


@pytest.fixture
def later(tmp_path: Path) -> Path:
    """The scripts of today and one of tomorrow."""
    folder = tmp_path / "migrations"
    folder.mkdir()
    for entry in MIGRATIONS.iterdir():
        (folder / entry.name).write_text(entry.read_text("utf-8"))
    (folder / f"{newest_version() + 1:04}_note.sql").write_text(
        "-- A note; for people.\nALTER TABLE migration ADD COLUMN note TEXT;\n"
        "UPDATE migration SET note = 'upgraded ' || id;\n"
    )
    return folder


async def upgrade(path: Path, folder: Traversable) -> None:
    async with open_writer(path, SecretGuard(), folder):
        pass


async def test_an_older_file_is_brought_forward_with_its_content(path: Path, later: Path) -> None:
    await filled(path)
    await upgrade(path, later)
    assert sql(path, "PRAGMA user_version") == [(newest_version() + 1,)]
    assert sql(path, "SELECT note, id FROM migration") == [("upgraded orders", "orders")]
    assert sql(path, "SELECT seq FROM partition WHERE id = 'eu-0'") == [(49,)]
    await fail_to_open(path, StateTooNew)


async def test_an_upgrade_that_fails_leaves_the_file_as_it_was(path: Path, later: Path) -> None:
    await filled(path)
    (later / f"{newest_version() + 2:04}_wrong.sql").write_text(
        "CREATE TABLE extra (a);\nINSERT INTO missing VALUES (1);\n"
    )
    with pytest.raises(StateError, match="no such table"):
        await upgrade(path, later)
    assert sql(path, "PRAGMA user_version") == [(newest_version(),)]
    assert sql(path, "SELECT name FROM sqlite_schema WHERE name = 'extra'") == []
    async with open_store(path) as store:
        assert (await store.progress.partitions("orders"))[0].seq == 49


async def test_a_new_file_is_made_by_all_scripts_in_turn(path: Path, later: Path) -> None:
    await upgrade(path, later)
    assert sql(path, "SELECT note FROM migration") == []
    assert sql(path, "PRAGMA user_version") == [(newest_version() + 1,)]


async def test_an_older_file_is_brought_forward_even_if_only_read(path: Path) -> None:
    put(path)
    assert await look(path, read_only=True) == []
    assert sql(path, "PRAGMA user_version") == [(newest_version(),)]
