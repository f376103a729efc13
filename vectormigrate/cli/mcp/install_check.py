"""`doctor` for the hosts of assistants: whether the entries in their files would start a server that answers."""

from __future__ import annotations

import json
import os
import re
import select
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from vectormigrate.cli.mcp.install import Entry, Host, Place, installed, place_of
from vectormigrate.config.connections import ConnectionsFile
from vectormigrate.errors import ConfigError
from vectormigrate.figures import duration
from vectormigrate.model.answers import DoctorCheck

ANSWER_SECONDS = 30.0
KEPT_VARIABLES = ("HOME", "USER", "LANG", "TMPDIR", "SYSTEMROOT", "APPDATA", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""What a host started from a desktop surely has; most have no more than this and a short PATH."""

HELLO = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "vectormigrate-doctor", "version": "1"},
    },
}


def host_checks(project: Path | None = None) -> list[DoctorCheck]:
    """One check per host that has this server in its file; one line when none has."""
    checks: list[DoctorCheck] = []
    for host in Host:
        try:
            place = place_of(host, project)
            entry = installed(place)
        except ConfigError as error:
            checks.append(DoctorCheck(name=f"assistant {host}", ok=True, detail=f"not looked at: {error}"))
            continue
        if entry is not None:
            checks.append(check(place, entry))
    return checks or [
        DoctorCheck(name="assistants", ok=True, detail="none is configured; to do so: vectormigrate mcp install HOST")
    ]


def check(place: Place, entry: Entry) -> DoctorCheck:
    """Whether the entry starts a server that answers, in the bare environment that hosts give."""
    problem = _fault(entry) or _unanswered(entry)
    mend = f"; fix it with: vectormigrate mcp install {place.host}" if problem else ""
    detail = f"{problem}{mend}" if problem else f"answers; configured in {place.file}"
    return DoctorCheck(name=f"assistant {place.host}", ok=not problem, detail=detail)


def _fault(entry: Entry) -> str:
    """What can be seen without starting it."""
    if not entry.command:
        return "the entry has no command"
    if not Path(entry.command).is_absolute():
        return f"the command {entry.command!r} is no absolute path, and hosts have a PATH of their own"
    if not shutil.which(entry.command):
        return f"the command {entry.command!r} does not exist or cannot be run"
    for flag, value in zip(entry.args, entry.args[1:], strict=False):
        if flag == "--config":
            if not Path(value).is_file():
                return f"the connections file {value!r} does not exist"
            missing = [name for name in variables_of(Path(value)) if name not in entry.env]
            if missing:
                needed = ", ".join(missing)
                return f"the connections file needs {needed}, which hosts do not pass on: add --env {missing[0]}"
    return ""


def variables_of(config: Path) -> list[str]:
    """The variables that the connections of the file need, sorted. Raises ConfigError."""
    file = ConnectionsFile.read(config)
    text = json.dumps(file.data.get("connections", {}))
    return sorted(set(re.findall(r"(?<!\$)\$\{([A-Za-z_][A-Za-z0-9_]*)\}", text)))


def _unanswered(entry: Entry) -> str:
    """Start it, say hello, and wait for the answer."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    environment |= {"PATH": os.defpath, **entry.env}
    try:
        child = subprocess.Popen(
            [entry.command, *entry.args],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=Path.home(),
        )
    except OSError as error:
        return f"the command cannot be started: {error.strerror}"
    try:
        assert child.stdin is not None
        child.stdin.write(json.dumps(HELLO).encode() + b"\n")
        child.stdin.flush()
        line = _line(child, ANSWER_SECONDS)
    except BrokenPipeError:
        line = b""
    finally:
        _end(child)
    if b'"serverInfo"' in line:
        return ""
    return f"the server gave no answer within {duration(ANSWER_SECONDS)}; run it to see why: {_shown(entry)}"


def _line(child: subprocess.Popen[bytes], seconds: float) -> bytes:
    assert child.stdout is not None
    until = time.monotonic() + seconds
    got = b""
    while not got.endswith(b"\n") and (left := until - time.monotonic()) > 0:
        if not select.select([child.stdout], [], [], left)[0]:
            break
        chunk = os.read(child.stdout.fileno(), 65536)
        if not chunk:
            break
        got += chunk
    return got


def _end(child: subprocess.Popen[bytes]) -> None:
    for stream in (child.stdin, child.stdout):
        if stream is not None:
            stream.close()
    try:
        child.wait(5)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _shown(entry: Entry) -> str:
    words: Sequence[str] = [entry.command, *entry.args]
    return " ".join(words)
