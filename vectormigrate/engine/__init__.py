"""Copying: knows contracts, never a database."""
