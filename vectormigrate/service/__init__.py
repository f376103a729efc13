"""The verbs that command line, MCP server and library share."""

from vectormigrate.service.verbs import Service, open_service

__all__ = ["Service", "open_service"]
