"""The SQL files and the code that uses them agree."""

import re
from pathlib import Path

import pytest

import vectormigrate.state
from tests.state.support import sql
from vectormigrate.state import Store
from vectormigrate.state.queries import MIGRATIONS, QUERIES, scripts, statements

pytestmark = pytest.mark.anyio

CODE = "\n".join(file.read_text("utf-8") for file in Path(vectormigrate.state.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("name", sorted(QUERIES))
async def test_a_query_is_used_and_fits_the_schema(store: Store, path: Path, name: str) -> None:
    assert f'"{name}"' in CODE
    bare = re.sub(r":\w+", "NULL", QUERIES[name])
    sql(path, f"EXPLAIN {bare}")


def test_migration_scripts_are_numbered_without_a_gap() -> None:
    assert [version for version, _ in scripts(MIGRATIONS)] == list(range(1, len(scripts(MIGRATIONS)) + 1))


def test_a_script_is_cut_at_the_ends_of_its_statements() -> None:
    script = "-- a;\nCREATE TABLE t (a TEXT DEFAULT ';');\nCREATE TRIGGER g AFTER INSERT ON t BEGIN\n SELECT 1;\nEND;\n"
    assert len(list(statements(script))) == 2


def test_a_script_that_ends_within_a_statement_is_refused() -> None:
    with pytest.raises(ValueError, match="incomplete"):
        list(statements("CREATE TABLE a (b);\nCREATE TABLE"))


def test_no_statement_is_written_in_the_code() -> None:
    allowed = {"schema.py", "connection.py", "writer.py", "heartbeat.py"}
    for file in Path(vectormigrate.state.__file__).parent.glob("*.py"):
        found = re.search(r'"(SELECT|INSERT|UPDATE|DELETE|CREATE)\b', file.read_text("utf-8"))
        assert found is None or file.name in allowed
