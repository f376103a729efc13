"""A database of its own for the tests, added as examples/guide/adding-a-database.md says: collections in SQLite files.

It is a package of somebody else: `installed/` holds what an installation leaves, and with that on the path the registry
finds it. tests/test_adding_a_database.py puts it through the suites of all databases.
"""

from __future__ import annotations

from tests.toydb.spec import SPEC

__all__ = ["SPEC"]
