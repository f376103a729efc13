"""Logs of the server: one line of JSON per record, on stderr, without secrets.

Set up before the SDK's server is made: the SDK would install a handler that draws boxes, and the first set-up wins.
"""

from __future__ import annotations

import contextlib
import json
import logging
import sys
import threading
from collections import deque
from datetime import UTC, datetime
from typing import Literal, TextIO

from vectormigrate.config.redaction import masked, scrub

WAITING_LINES = 5000
"""Lines kept in memory while nobody reads them."""

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


class Background(logging.Handler):
    """Writes lines from a thread of its own: a host that starts the server and never reads its stderr fills the pipe,
    and must not stop it. While nobody reads, lines beyond `WAITING_LINES` are dropped, and counted in the next one."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._waiting: deque[str] = deque()
        self._writing = False
        self._dropped = 0
        self._changed = threading.Condition()
        threading.Thread(target=self._write, name="log-writer", daemon=True).start()

    def emit(self, record: logging.LogRecord) -> None:
        """Hand the line over; never waits."""
        try:
            line = self.format(record)
        except Exception:
            self.handleError(record)
            return
        with self._changed:
            if len(self._waiting) >= WAITING_LINES:
                self._dropped += 1
                return
            self._waiting.append(line)
            self._changed.notify_all()

    def flush(self) -> None:
        """Wait until all is written, for half a second at most."""
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting and not self._writing, timeout=0.5)

    def _write(self) -> None:
        while True:
            with self._changed:
                self._writing = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._waiting)
                lines = [*self._waiting]
                if self._dropped:
                    lines.append(json.dumps({"level": "warning", "logger": __name__, "dropped": self._dropped}))
                self._waiting.clear()
                self._dropped, self._writing = 0, True
            # A broken stderr is no reason to fail; there is nowhere left to say so.
            with contextlib.suppress(OSError, ValueError):
                self._stream.write("\n".join(lines) + "\n")
                self._stream.flush()


def set_up(level: Level = "info", stream: TextIO | None = None) -> None:
    """Send all logs of this process to the stream, by default stderr."""
    handler = logging.StreamHandler(stream) if stream is not None else Background(sys.stderr)
    handler.setFormatter(JsonLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # At debug level the SSE transport writes down whole messages.
    for name in ("mcp.server.sse", "sse_starlette", "asyncio", "aiosqlite"):
        logging.getLogger(name).setLevel(max(logging.INFO, root.level))
    # Its lines hold whole URLs; requests are in the audit log.
    logging.getLogger("uvicorn.access").setLevel(logging.WARNING)
