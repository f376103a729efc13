"""The state file: the only user of SQLite."""
