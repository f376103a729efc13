"""`--detach`: the same command again in a background process, and word from it once it runs or has failed.

The child gets the writing end of a pipe. It writes `started` when the run holds its lease, or its error as JSON; the
end of the pipe without a word means that it died. Keys typed on the command line go to it by environment.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from vectormigrate.cli.failure import INTERRUPTED, Failure
from vectormigrate.config.references import is_reference

READY_FD = "VECTORMIGRATE_READY_FD"
STARTED = b"started"
KEY_VARIABLES = {
    "--source-api-key": "VECTORMIGRATE_SOURCE_API_KEY",
    "--target-api-key": "VECTORMIGRATE_TARGET_API_KEY",
}

_ready = int(os.environ.pop(READY_FD, "-1"))
_detached = _ready >= 0


def is_detached() -> bool:
    """Whether this process is the background process of a `--detach`."""
    return _detached


def _tell_parent(word: bytes) -> None:
    """Send the one word that the parent waits for; later words go nowhere."""
    global _ready
    if _ready < 0:
        return
    try:
        os.write(_ready, word)
        os.close(_ready)
    except OSError:
        pass  # The parent did not wait. The run goes on without it.
    _ready = -1


def report_started() -> None:
    """In the child: the run holds its lease."""
    _tell_parent(STARTED)


def report_failure(failure: Failure) -> None:
    """In the child: the run ended with this error, perhaps before it began."""
    _tell_parent(json.dumps(asdict(failure)).encode())


def child_arguments(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The command line of the child and what to add to its environment: no `--detach`, no `--json` (its output is a
    log), and a typed key replaced by the name of the variable that holds it."""
    kept: list[str] = []
    environment: dict[str, str] = {}
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if word in ("--detach", "--json"):
            continue
        if name not in KEY_VARIABLES:
            kept.append(word)
            continue
        key = value if equals else next(rest, "")
        if not is_reference(key):
            environment[KEY_VARIABLES[name]] = key
            key = f"env:{KEY_VARIABLES[name]}"
        kept += [name, key]
    return kept, environment


def start(arguments: Sequence[str], log: Path) -> tuple[int, Failure | None]:
    """Run `vectormigrate` with these arguments in the background, output appended to `log`. Returns when the run has
    begun or failed: the process id, and the failure if there is one."""
    words, environment = child_arguments(arguments)
    log.parent.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        child = _spawn(words, {**environment, READY_FD: str(writing), "PYTHONUNBUFFERED": "1"}, descriptor, writing)
    finally:
        os.close(writing)
        os.close(descriptor)
    with os.fdopen(reading, "rb") as pipe:
        try:
            word = pipe.read()
        except KeyboardInterrupt:
            child.terminate()
            child.wait()
            return child.pid, Failure(type="Interrupted", message="not started", exit_code=INTERRUPTED, hints=[])
    if word == STARTED:
        return child.pid, None
    code = child.wait()
    return child.pid, _failure(word, code, log)


def _spawn(words: list[str], extra: Mapping[str, str], log: int, writing: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "vectormigrate", *words],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        env={**os.environ, **extra},
        pass_fds=(writing,),
        start_new_session=True,
    )


def _failure(word: bytes, code: int, log: Path) -> Failure | None:
    """What the child said before it ended with this code; nothing went wrong if that is 0."""
    if word:
        return Failure(**json.loads(word))
    if code == 0:
        return None
    message = f"the background process ended with code {code} before it began; see {log}"
    return Failure(type="DetachFailed", message=message, exit_code=code if code > 0 else 1, hints=[])
