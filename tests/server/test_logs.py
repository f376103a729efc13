"""Logs: lines of JSON that nobody has to read."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys

import pytest

from vectormigrate.config.redaction import keep_secret
from vectormigrate.server.telemetry.logs import Background, JsonLines

FLOOD = """
import logging
from vectormigrate.server.telemetry.logs import WAITING_LINES, set_up
set_up("info")
for number in range(3 * WAITING_LINES):
    logging.getLogger("x").info("line %d %s", number, "y" * 200)
print("done", flush=True)
"""


def test_a_host_that_never_reads_stderr_does_not_stop_the_server() -> None:
    child = subprocess.Popen([sys.executable, "-c", FLOOD], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdout.readline() == b"done\n"
    _, errors = child.communicate(timeout=30)
    lines = [json.loads(line) for line in errors.splitlines()]
    dropped = sum(line.get("dropped", 0) for line in lines)
    assert len([line for line in lines if "message" in line]) + dropped <= 15_000
    assert dropped > 0


def test_lines_arrive_in_order_and_are_written_before_the_end() -> None:
    stream = io.StringIO()
    handler = Background(stream)
    handler.setFormatter(JsonLines())
    for number in range(100):
        handler.emit(logging.LogRecord("x", logging.INFO, "f", 1, "line %d", (number,), None))
    handler.flush()
    assert [json.loads(line)["message"] for line in stream.getvalue().splitlines()] == [f"line {n}" for n in range(100)]


@pytest.mark.parametrize("place", ["message", "argument", "extra", "exception"])
def test_no_line_holds_a_secret(place: str) -> None:
    keep_secret("logged-canary-77")
    logger, stream = logging.Logger("x"), io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger.addHandler(handler)
    text = "at logged-canary-77 or http://me:other-canary@db/x?k=other-canary"
    if place == "message":
        logger.info(text)
    elif place == "argument":
        logger.info("see %s", text)
    elif place == "extra":
        logger.info("see", extra={"url": text, "api_key": "other-canary", "deep": [text]})
    else:
        try:
            raise ValueError(text)
        except ValueError:
            logger.exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "canary" not in line
    json.loads(line)
