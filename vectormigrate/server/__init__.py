"""The MCP server: tools for assistants and agents over stdio, SSE and HTTP, with keys, limits, audit and metrics."""
