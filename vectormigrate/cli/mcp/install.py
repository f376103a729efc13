"""Puts the server into the configuration of programs that host assistants, and checks what is there.

The file of a program is changed only in the entry of this server: other entries, the order of keys and the indentation
stay. A copy of the file as it was is kept next to it. A file that is no plain JSON (with comments, for example) is left
alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from vectormigrate.config.redaction import MASK
from vectormigrate.errors import ConfigError
from vectormigrate.model.schema import Json

NAME = "vectormigrate"

_TEMPORARY = re.compile(r"[/\\](uv[/\\](archive-v\d+|environments-v\d+|builds-v\d+)|_npx|pipx[/\\]\.cache)[/\\]")


class Host(StrEnum):
    """Programs that start MCP servers."""

    CLAUDE_DESKTOP = "claude-desktop"
    CLAUDE_CODE = "claude-code"
    CURSOR = "cursor"
    VSCODE = "vscode"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a host keeps its servers: the file, and the member of it."""

    host: Host
    file: Path
    member: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How the server is started. Values of `env` may be secrets."""

    command: str
    args: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)

    def to_json(self, host: Host, *, masked: bool = False) -> dict[str, Json]:
        """The entry as this host writes it."""
        made: dict[str, Json] = {"command": self.command, "args": list(self.args)}
        if host in (Host.VSCODE, Host.CLAUDE_CODE):
            made = {"type": "stdio", **made}
        if self.env:
            made["env"] = dict.fromkeys(self.env, MASK) if masked else dict(self.env)
        return made


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of a file: `action` is `added`, `updated`, `removed` or `unchanged`."""

    place: Place
    action: str
    text: str = field(repr=False)
    backup: Path | None = None


def place_of(host: Host, project: Path | None = None, *, platform: str = sys.platform) -> Place:
    """The file of a host: the user's own, or that of a project. Raises ConfigError where there is no such file."""
    member = "servers" if host is Host.VSCODE else "mcpServers"
    if project is not None:
        names = {Host.CLAUDE_CODE: ".mcp.json", Host.CURSOR: ".cursor/mcp.json", Host.VSCODE: ".vscode/mcp.json"}
        if host not in names:
            raise ConfigError(f"{host} has no configuration per project; leave out --project")
        return Place(host=host, file=project.absolute() / names[host], member=member)
    home = Path.home()
    if platform == "darwin":
        support = home / "Library" / "Application Support"
    elif platform == "win32":
        support = Path(os.environ.get("APPDATA") or home / "AppData" / "Roaming")
    else:
        support = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = {
        Host.CLAUDE_DESKTOP: support / "Claude" / "claude_desktop_config.json",
        Host.CLAUDE_CODE: home / ".claude.json",
        Host.CURSOR: home / ".cursor" / "mcp.json",
        Host.VSCODE: support / "Code" / "User" / "mcp.json",
    }
    return Place(host=host, file=files[host], member=member)


def program() -> list[str]:
    """The absolute command that starts this installation. Hosts have a PATH of their own, so names would not do."""
    here = f"{sys.prefix}/"
    if _TEMPORARY.search(here):
        uvx = shutil.which("uvx")
        if uvx:
            return [uvx, "--from", "vectormigrate[mcp,all]", "vectormigrate"]
    script = Path(sys.executable).parent / ("vectormigrate.exe" if sys.platform == "win32" else "vectormigrate")
    return [str(script)] if script.is_file() else [sys.executable, "-m", "vectormigrate"]


def entry_for(
    *, state: Path, config: Path | None, read_only: bool = False, env: Sequence[str] = (), more: Sequence[str] = ()
) -> Entry:
    """The entry for this installation: absolute paths of everything, and the present values of the variables `env`.
    Raises ConfigError for a variable that is not set."""
    missing = [name for name in env if name not in os.environ]
    if missing:
        raise ConfigError(f"--env {missing[0]}: the environment variable is not set")
    command, *before = program()
    flags = ["--state", str(state.expanduser().absolute())]
    if config is not None:
        flags += ["--config", str(config.expanduser().absolute())]
    if read_only:
        flags.append("--read-only")
    return Entry(command=command, args=[*before, "serve", *flags, *more], env={name: os.environ[name] for name in env})


def install(place: Place, entry: Entry | None, name: str = NAME, *, dry_run: bool = False) -> Change:
    """Write the entry, or take it out when it is None. The same call again changes nothing. Raises ConfigError for a
    file that cannot be read as JSON or not be written."""
    file = Path(os.path.realpath(place.file))
    before = _read(file)
    document = _parsed(place, before)
    servers = document.get(place.member, {})
    if not isinstance(servers, dict):
        raise ConfigError(f"{place.file}: {place.member!r} is no object; fix the file first")
    known = cast("dict[str, Any]", servers)
    found = known.get(name)
    wanted = None if entry is None else entry.to_json(place.host)
    if found == wanted:
        return Change(place=place, action="unchanged", text=before)
    action = "removed" if wanted is None else "added" if found is None else "updated"
    if wanted is None:
        del known[name]
    else:
        known[name] = wanted
        document[place.member] = known
    text = json.dumps(document, indent=_indent(before), ensure_ascii=False) + "\n"
    if dry_run:
        return Change(place=place, action=action, text=text)
    return Change(place=place, action=action, text=text, backup=_write(file, before, text))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise ConfigError(f"cannot read {str(file)!r}: {reason}") from error


def _parsed(place: Place, text: str) -> dict[str, Any]:
    if not text.strip():
        return {}
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ConfigError(
            f"{place.file}:{error.lineno}: not plain JSON ({error.msg}), so it stays as it is; add the entry by hand; "
            f"this prints it: vectormigrate mcp install {place.host} --print"
        ) from error
    if not isinstance(document, dict):
        raise ConfigError(f"{place.file}: not a JSON object; fix the file first")
    return cast("dict[str, Any]", document)


def _indent(text: str) -> int | str:
    found = re.search(r"^([ \t]+)\S", text, re.MULTILINE)
    return 2 if found is None else "\t" if "\t" in found[1] else len(found[1])


def _write(file: Path, before: str, text: str) -> Path | None:
    """Replace the file in one step and keep a copy of the old one, with the same rights."""
    backup = None
    fresh = file.with_name(f"{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
        if before:
            stamp = datetime.now(UTC).strftime("%Y%m%d-%H%M%S-%f")
            backup = file.with_name(f"{file.name}.{stamp}.bak")
            shutil.copy2(file, backup)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(text)
            opened.flush()
            os.fsync(opened.fileno())
        os.chmod(fresh, mode)
        os.replace(fresh, file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise ConfigError(f"cannot write {str(file)!r}: {error.strerror}") from error
    return backup


def installed(place: Place, name: str = NAME) -> Entry | None:
    """The entry of this server in a host's file, or None. Raises ConfigError for a file that cannot be read."""
    document = _parsed(place, _read(place.file))
    servers = document.get(place.member)
    found = cast("dict[str, Any]", servers).get(name) if isinstance(servers, dict) else None
    if not isinstance(found, dict):
        return None
    entry = cast("dict[str, Any]", found)
    return Entry(
        command=str(entry.get("command", "")),
        args=[str(word) for word in cast("list[Any]", entry.get("args") or [])],
        env={str(key): str(value) for key, value in cast("dict[str, Any]", entry.get("env") or {}).items()},
    )
