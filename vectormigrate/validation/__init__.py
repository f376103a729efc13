"""Read-only checks that return data."""
