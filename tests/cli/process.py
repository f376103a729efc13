"""`vectormigrate` as a person starts it: a process with streams, signals and an exit code."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout."""
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Shell:
    """A folder with a state file of its own, and an environment without anything of the person who runs the tests."""

    folder: Path
    more: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("VECTORMIGRATE_")}
        kept |= {
            "HOME": str(self.folder),
            "XDG_CONFIG_HOME": str(self.folder / "config"),
            "XDG_DATA_HOME": str(self.folder / "data"),
            "VECTORMIGRATE_STATE": str(self.folder / "state.db"),
        }
        return kept | dict(self.more)

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "vectormigrate", *arguments]

    def run(self, *arguments: str, stdin: str = "") -> Ended:
        """Run to the end."""
        ended = subprocess.run(
            self.command(*arguments),
            input=stdin,
            capture_output=True,
            text=True,
            env=self.environment,
            cwd=self.folder,
            timeout=TIMEOUT,
            check=False,
        )
        return Ended(ended.returncode, ended.stdout, ended.stderr)

    def on_terminal(self, columns: int, *arguments: str, colour: bool = True) -> str:
        """Run to the end on a terminal of this width: all that it is sent, control sequences included."""
        screen, ours = pty.openpty()
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        environment = {name: value for name, value in self.environment.items() if name not in ("COLUMNS", "NO_COLOR")}
        environment |= {"TERM": "xterm-256color"} | ({} if colour else {"NO_COLOR": "1"})
        command = self.command(*arguments)
        seen = b""
        with subprocess.Popen(command, stdin=ours, stdout=ours, stderr=ours, env=environment, cwd=self.folder) as ran:
            os.close(ours)
            try:
                while chunk := os.read(screen, 4096):
                    seen += chunk
            except OSError:  # how Linux says that nobody holds the other side any more
                pass
            ran.wait(TIMEOUT)
        os.close(screen)
        return seen.decode().replace("\r\n", "\n")

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start and go on; the caller ends it."""
        return subprocess.Popen(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=self.environment,
            cwd=self.folder,
        )
