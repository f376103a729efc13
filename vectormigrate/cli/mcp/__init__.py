"""The command group `mcp`: keys, audit, installation in assistants, bundle."""
