"""Shows that both sides of a live migration hold the same: keys that were applied, everything while traffic runs, and
everything or a sample while frozen.

Reads only, and shares no code with what it checks. What could not be read is never counted as compared.
"""
