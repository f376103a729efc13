"""The MCP tools, by what they may do: read, write, admin."""
