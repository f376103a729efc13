"""The runner of a live migration: copies what nobody touched, follows what was, proves both, and switches."""
