"""Logs of the server: one line of JSON per record, on stderr, without secrets.

Set up before the SDK's server is made: the SDK would install a handler that draws boxes, and the first set-up wins.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

from vectormigrate.redaction import masked, scrub

Level = Literal["debug", "info", "warning", "error"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "color_message"}


class JsonLines(logging.Formatter):
    """Time, level, logger, message, what was given as `extra`, and the traceback of an exception."""

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": scrub(record.getMessage()),
        }
        given = {key: value for key, value in vars(record).items() if key not in _STANDARD}
        line |= masked(given)
        if record.exc_info:
            line["exception"] = scrub(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def set_up(level: Level = "info", stream: TextIO | None = None) -> None:
    """Send all logs of this process there."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # At debug level the SSE transport writes down whole messages.
    for name in ("mcp.server.sse", "sse_starlette", "asyncio", "aiosqlite"):
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    # Its lines hold whole URLs; requests are in the audit log.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
