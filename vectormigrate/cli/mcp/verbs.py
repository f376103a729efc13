"""The work of `vectormigrate mcp …` and `vectormigrate audit …`."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

from vectormigrate.cli.common import settings_of
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.mcp.bundle import Tool, write_bundle
from vectormigrate.cli.mcp.install import Change, Entry, Host, Place, entry_for, place_of
from vectormigrate.cli.mcp.install import install as install_entry
from vectormigrate.cli.mcp.install_check import variables_of
from vectormigrate.cli.render.console import document, notice, pairs, show
from vectormigrate.errors import ConfigError, MissingExtra
from vectormigrate.figures import counted
from vectormigrate.server.access.keys import SHORTEST_KEY, Scope, digest_of, new_secret, scope_of, with_lower
from vectormigrate.server.audit.log import default_log
from vectormigrate.server.audit.verify import Verdict, verify

TAMPERED = 3


def install(
    common: Common,
    host: str,
    *,
    project: Path | None,
    name: str,
    env: Sequence[str],
    read_only: bool,
    remove: bool,
    dry_run: bool,
    show_only: bool,
) -> int:
    """Change one host's file, or show what would change."""
    if host not in list(Host):
        raise ConfigError(f"unknown HOST {host!r}; known: {', '.join(Host)}")
    place = place_of(Host(host), project)
    settings = settings_of(common)
    entry = None
    if not remove:
        entry = entry_for(state=settings.state, config=settings.config, read_only=read_only, env=env)
    if show_only:
        if entry is None:
            raise ConfigError("--print shows an entry: leave out --remove")
        document({place.member: {name: entry.to_json(place.host)}})
        return 0
    change = install_entry(place, entry, name, dry_run=dry_run)
    missing: list[str] = []
    if entry is not None and settings.config is not None:
        missing = [variable for variable in variables_of(settings.config) if variable not in env]
    if common.as_json:
        document(
            {
                "host": host,
                "file": str(place.file),
                "action": change.action,
                "dry_run": dry_run,
                "backup": None if change.backup is None else str(change.backup),
                "entry": None if entry is None else entry.to_json(place.host, masked=True),
                "variables_needed": missing,
            }
        )
    else:
        _show_change(change, place, entry, name, dry_run=dry_run)
        for variable in missing:
            notice(f"the connections file needs {variable}; give it to the server with: --env {variable}")
    return 0


def _show_change(change: Change, place: Place, entry: Entry | None, name: str, *, dry_run: bool) -> None:
    word = f"would be {change.action}" if dry_run and change.action != "unchanged" else change.action
    lines = [("file", str(place.file)), ("entry", f"{name}: {word}")]
    if entry is not None:
        lines.append(("command", shlex.join([entry.command, *entry.args])))
        lines += [("variable", variable) for variable in entry.env]
    if change.backup is not None:
        lines.append(("old file", str(change.backup)))
    show(pairs(lines))
    if not dry_run and change.action in ("added", "updated"):
        notice(f"restart {place.host} for it to notice; check with: vectormigrate doctor")


def bundle(common: Common, output: Path, namespace: str) -> int:
    """Write the documents and print where."""
    made = write_bundle(output, namespace=namespace, tools=_tools())
    if common.as_json:
        document({"files": [str(path) for path in made]})
    else:
        show(*(str(path) for path in made))
    return 0


def _tools() -> list[Tool]:
    """The tools of the server, with the first sentence of what they do."""
    if find_spec("mcp") is None:
        raise MissingExtra("mcp bundle", "mcp", "mcp")
    from vectormigrate.server.app import build

    app = build(settings_of(Common(state=None, config=None, as_json=False)))
    return [
        Tool(name=name, description=re.split(r"(?<=[.!?])\s", (tool.description or name).strip(), maxsplit=1)[0])
        for name, tool in sorted(app.tools.items())
    ]


def key_new(common: Common, name: str, scope: str) -> int:
    """Make a key and print how to let it in."""
    _check_name(name)
    secret = new_secret()
    return _tell_key(common, name, scope_of(scope), secret, fresh=True)


def key_hash(common: Common, name: str, scope: str) -> int:
    """The same for a key that exists."""
    _check_name(name)
    secret = sys.stdin.readline().strip()
    if len(secret) < SHORTEST_KEY:
        raise ConfigError(
            f"the key on stdin has {counted(len(secret))} characters, at least {counted(SHORTEST_KEY)} are needed"
        )
    return _tell_key(common, name, scope_of(scope), secret, fresh=False)


def _check_name(name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,40}", name):
        raise ConfigError(f"NAME {name!r}: 1 to 40 of the characters A-Z a-z 0-9 . _ -")


def _tell_key(common: Common, name: str, scope: Scope, secret: str, *, fresh: bool) -> int:
    digest = digest_of(secret).hex()
    scopes = sorted(with_lower([scope]), key=list(Scope).index)
    if common.as_json:
        shown = {"key": secret} if fresh else {}
        document({"name": name, **shown, "sha256": digest, "scopes": [str(word) for word in scopes]})
        return 0
    words = ", ".join(f'"{word}"' for word in scopes)
    if fresh:
        show(secret)
        notice("this key is shown once; give it to the client, and put this into vectormigrate.toml:")
    entry = f'\n[[server.keys]]\nname = "{name}"\nsha256 = "{digest}"\nscopes = [{words}]'
    if fresh:
        notice("")
        for line in entry.strip().splitlines():
            notice(line)
    else:
        show(entry.strip())
    return 0


def audit_verify(common: Common, file: Path | None, *, head: str | None, archived: bool) -> int:
    """Check the chain; 3 when it is broken."""
    verdict = verify(file or default_log(settings_of(common)), head=head, archived=archived)
    if common.as_json:
        document(_verdict_document(verdict))
    else:
        lines = [("files", ", ".join(map(str, verdict.files))), ("lines", counted(verdict.lines))]
        if verdict.first > 1:
            lines.append(("first", f"line {counted(verdict.first)}; older files were taken away"))
        lines += [("head", verdict.head.hash), ("verdict", "intact" if verdict.intact else verdict.problem)]
        show(pairs(lines))
    return 0 if verdict.intact else TAMPERED


def _verdict_document(verdict: Verdict) -> dict[str, object]:
    return {
        "intact": verdict.intact,
        "problem": verdict.problem or None,
        "files": [str(path) for path in verdict.files],
        "lines": verdict.lines,
        "first": verdict.first,
        "head": verdict.head.hash,
    }
