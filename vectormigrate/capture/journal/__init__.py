"""The durable record of which keys may differ between source and target: one SQLite file per live migration.

A set of keys, not a log of values: what a key holds is read from the side that has the authority, so order, duplicates
and the meaning of a vendor's operation do not matter. The gateway notes intents before it forwards them, the runner
settles keys; a transaction of either sees all of the other's.
"""
