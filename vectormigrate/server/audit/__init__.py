"""The audit log: written around every request, and verified."""
