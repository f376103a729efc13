"""Assistants' configuration, the registry's document and the bundle."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from tests.cli.process import Shell
from vectormigrate.cli.mcp import bundle, install
from vectormigrate.cli.mcp.install import Entry, Host, Place, entry_for, installed, place_of
from vectormigrate.cli.mcp.install_check import check, host_checks, variables_of
from vectormigrate.errors import ConfigError

FOREIGN = """{
    "theme": "dark",
    "mcpServers": {
        "other": {"command": "/bin/other", "args": ["ü"]}
    },
    "last": null
}
"""


@pytest.fixture
def entry(tmp_path: Path) -> Entry:
    return entry_for(state=tmp_path / "state.db", config=None)


@pytest.mark.parametrize(
    ("host", "platform", "ends"),
    [
        (Host.CLAUDE_DESKTOP, "darwin", "Library/Application Support/Claude/claude_desktop_config.json"),
        (Host.CLAUDE_DESKTOP, "linux", ".config/Claude/claude_desktop_config.json"),
        (Host.CLAUDE_CODE, "linux", ".claude.json"),
        (Host.CURSOR, "darwin", ".cursor/mcp.json"),
        (Host.VSCODE, "darwin", "Library/Application Support/Code/User/mcp.json"),
        (Host.VSCODE, "linux", ".config/Code/User/mcp.json"),
    ],
)
def test_every_host_has_its_file(
    host: Host, platform: str, ends: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    place = place_of(host, platform=platform)
    assert place.file == tmp_path / ends
    assert place.member == ("servers" if host is Host.VSCODE else "mcpServers")


def test_other_servers_order_and_indentation_stay_and_the_old_file_is_kept(tmp_path: Path, entry: Entry) -> None:
    file = tmp_path / "config.json"
    file.write_text(FOREIGN, encoding="utf-8")
    file.chmod(0o640)
    place = Place(host=Host.CLAUDE_DESKTOP, file=file, member="mcpServers")
    change = install.install(place, entry)
    assert change.action == "added"
    assert change.backup is not None
    assert change.backup.read_text(encoding="utf-8") == FOREIGN
    text = file.read_text(encoding="utf-8")
    document = json.loads(text)
    assert list(document) == ["theme", "mcpServers", "last"]
    assert list(document["mcpServers"]) == ["other", "vectormigrate"]
    assert document["mcpServers"]["other"] == {"command": "/bin/other", "args": ["ü"]}
    assert '\n    "theme"' in text
    assert "ü" in text
    assert file.stat().st_mode & 0o777 == 0o640
    assert install.install(place, entry).action == "unchanged"
    assert file.read_text(encoding="utf-8") == text
    assert len(list(tmp_path.glob("*.bak"))) == 1
    assert install.install(place, None).action == "removed"
    assert json.loads(file.read_text(encoding="utf-8")) == json.loads(FOREIGN)
    assert install.install(place, None).action == "unchanged"


def test_a_dry_run_writes_nothing(tmp_path: Path, entry: Entry) -> None:
    place = Place(host=Host.VSCODE, file=tmp_path / "deep" / "mcp.json", member="servers")
    change = install.install(place, entry, dry_run=True)
    assert change.action == "added"
    assert json.loads(change.text)["servers"]["vectormigrate"]["type"] == "stdio"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("text", ["{ // comment\n}", "[]", '{"mcpServers": []}', "{", "\xff"])
def test_a_file_that_is_not_understood_is_left_alone(tmp_path: Path, entry: Entry, text: str) -> None:
    file = tmp_path / "config.json"
    file.write_bytes(text.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"config\.json"):
        install.install(Place(host=Host.CURSOR, file=file, member="mcpServers"), entry)
    assert file.read_bytes() == text.encode("latin-1")
    assert list(tmp_path.iterdir()) == [file]


def test_a_link_to_the_file_stays_a_link(tmp_path: Path, entry: Entry) -> None:
    real = tmp_path / "dotfiles" / "mcp.json"
    real.parent.mkdir()
    real.write_text(FOREIGN, encoding="utf-8")
    link = tmp_path / "mcp.json"
    link.symlink_to(real)
    install.install(Place(host=Host.CURSOR, file=link, member="mcpServers"), entry)
    assert link.is_symlink()
    assert "vectormigrate" in real.read_text(encoding="utf-8")


def test_the_command_writes_absolute_paths_and_says_which_variables_are_missing(tmp_path: Path) -> None:
    (tmp_path / "vectormigrate.toml").write_text(
        '[connections.prod]\ntype = "memory"\nurl = "memory://x"\napi_key = "${PROD_TOKEN}"\n', encoding="utf-8"
    )
    shell = Shell(tmp_path, {"PROD_TOKEN": "s3cret-of-prod"})
    ended = shell.run("mcp", "install", "cursor", "--json")
    assert ended.code == 0
    assert ended.document["action"] == "added"
    assert ended.document["variables_needed"] == ["PROD_TOKEN"]
    found = installed(Place(host=Host.CURSOR, file=tmp_path / ".cursor" / "mcp.json", member="mcpServers"))
    assert found is not None
    assert Path(found.command).is_absolute()
    assert found.args[-4:] == ["--state", str(tmp_path / "state.db"), "--config", str(tmp_path / "vectormigrate.toml")]
    again = shell.run("mcp", "install", "cursor", "--env", "PROD_TOKEN", "--read-only", "--json")
    assert (again.document["action"], again.document["variables_needed"]) == ("updated", [])
    assert "s3cret-of-prod" not in again.out + again.err
    assert "s3cret-of-prod" in (tmp_path / ".cursor" / "mcp.json").read_text(encoding="utf-8")
    assert (tmp_path / ".cursor" / "mcp.json").stat().st_mode & 0o077 == 0
    assert shell.run("mcp", "install", "emacs").code == 2
    assert shell.run("mcp", "install", "claude-desktop", "--project", ".").code == 2


def test_doctor_starts_what_an_assistant_would_start(tmp_path: Path) -> None:
    shell = Shell(tmp_path)
    assert shell.run("mcp", "install", "claude-desktop").code == 0
    ended = shell.run("doctor", "--json")
    (line,) = [item for item in ended.document["checks"] if item["name"].startswith("assistant")]
    assert (line["name"], line["ok"]) == ("assistant claude-desktop", True)
    assert "answers" in line["detail"]


def place(tmp_path: Path) -> Place:
    return Place(host=Host.CURSOR, file=tmp_path / "mcp.json", member="mcpServers")


@pytest.mark.parametrize(
    ("command", "args", "problem"),
    [
        ("", [], "no command"),
        ("vectormigrate", ["serve"], "no absolute path"),
        ("/nowhere/vectormigrate", ["serve"], "does not exist"),
        (sys.executable, ["-c", "pass"], "no answer"),
        (sys.executable, ["-c", "pass", "--config", "/nowhere.toml"], "'/nowhere.toml' does not exist"),
    ],
)
def test_doctor_says_what_is_wrong_with_an_entry(tmp_path: Path, command: str, args: list[str], problem: str) -> None:
    found = check(place(tmp_path), Entry(command=command, args=args))
    assert not found.ok
    assert problem in found.detail
    assert "vectormigrate mcp install cursor" in found.detail


def test_doctor_says_which_variable_the_entry_does_not_pass_on(tmp_path: Path) -> None:
    config = tmp_path / "vectormigrate.toml"
    config.write_text('[connections.a]\ntype = "x"\nurl = "${ONE}$${TWO}"\napi_key = "${THREE}"\n', encoding="utf-8")
    assert variables_of(config) == ["ONE", "THREE"]
    entry = Entry(command=sys.executable, args=["--config", str(config)], env={"ONE": "1"})
    assert "needs THREE" in check(place(tmp_path), entry).detail


def test_without_any_assistant_doctor_says_how_to_add_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (line,) = host_checks()
    assert line.ok
    assert "mcp install" in line.detail


REGISTRY_RULES: dict[str, Any] = {
    "type": "object",
    "required": ["$schema", "name", "description", "version", "packages"],
    "properties": {
        "$schema": {"const": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"},
        "name": {"type": "string", "minLength": 3, "maxLength": 200, "pattern": r"^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$"},
        "title": {"type": "string", "minLength": 1, "maxLength": 100},
        "description": {"type": "string", "minLength": 1, "maxLength": 100},
        "version": {"type": "string", "maxLength": 255, "pattern": r"^\d+\.\d+\.\d+[A-Za-z0-9.+-]*$"},
        "packages": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["registryType", "identifier", "version", "transport"],
                "properties": {
                    "registryType": {"const": "pypi"},
                    "registryBaseUrl": {"const": "https://pypi.org"},
                    "identifier": {"const": "vectormigrate"},
                    "version": {"not": {"const": "latest"}, "type": "string", "minLength": 1},
                    "runtimeHint": {"enum": ["uvx"]},
                    "transport": {"type": "object", "required": ["type"], "properties": {"type": {"const": "stdio"}}},
                    "runtimeArguments": {"type": "array", "items": {"$ref": "#/definitions/argument"}},
                    "packageArguments": {"type": "array", "items": {"$ref": "#/definitions/argument"}},
                    "environmentVariables": {"type": "array", "items": {"$ref": "#/definitions/variable"}},
                },
                "additionalProperties": False,
            },
        },
    },
    "additionalProperties": False,
    "definitions": {
        "argument": {
            "oneOf": [
                {"required": ["type", "name"], "properties": {"type": {"const": "named"}, "name": {"type": "string"}}},
                {"required": ["type", "value"], "properties": {"type": {"const": "positional"}}},
            ]
        },
        "variable": {
            "type": "object",
            "required": ["name"],
            "properties": {
                "name": {"type": "string"},
                "description": {"type": "string"},
                "format": {"enum": ["string", "number", "boolean", "filepath"]},
                "isRequired": {"type": "boolean"},
                "isSecret": {"type": "boolean"},
            },
            "additionalProperties": False,
        },
    },
}
"""The rules of the registry's published schema of 2025-12-11 for what we use of it, and of its checks on publishing."""

BUNDLE_RULES: dict[str, Any] = {
    "type": "object",
    "required": ["manifest_version", "name", "version", "description", "author", "server"],
    "properties": {
        "manifest_version": {"const": "0.4"},
        **{name: {"type": "string"} for name in ("name", "display_name", "version", "description", "long_description")},
        "license": {"type": "string"},
        "keywords": {"type": "array", "items": {"type": "string"}},
        "author": {"type": "object", "required": ["name"], "additionalProperties": False, "properties": {"name": {}}},
        "server": {
            "type": "object",
            "required": ["type", "entry_point"],
            "properties": {
                "type": {"const": "uv"},
                "entry_point": {"type": "string"},
                "mcp_config": {
                    "type": "object",
                    "required": ["command"],
                    "properties": {
                        "command": {"type": "string"},
                        "args": {"type": "array", "items": {"type": "string"}},
                        "env": {"type": "object", "additionalProperties": {"type": "string"}},
                    },
                    "additionalProperties": False,
                },
            },
            "additionalProperties": False,
        },
        "tools": {
            "type": "array",
            "minItems": 10,
            "items": {
                "required": ["name", "description"],
                "additionalProperties": False,
                "properties": {"name": {"type": "string"}, "description": {"type": "string", "maxLength": 300}},
            },
        },
        "tools_generated": {"type": "boolean"},
        "compatibility": {
            "type": "object",
            "properties": {
                "platforms": {"type": "array", "items": {"enum": ["darwin", "win32", "linux"]}},
                "runtimes": {"type": "object", "properties": {"python": {"type": "string"}}},
            },
            "additionalProperties": False,
        },
        "user_config": {
            "type": "object",
            "additionalProperties": {
                "required": ["type", "title", "description"],
                "properties": {"type": {"enum": ["string", "number", "boolean", "directory", "file"]}},
            },
        },
    },
    "additionalProperties": False,
}
"""The rules of the published schema of bundle manifests 0.4 for what we use of it."""


def test_the_bundle_and_the_document_for_the_registry_keep_the_rules(tmp_path: Path) -> None:
    ended = Shell(tmp_path).run("mcp", "bundle", "--output", "out", "--namespace", "com.example")
    assert ended.code == 0, ended.err
    server = json.loads((tmp_path / "out" / "server.json").read_text(encoding="utf-8"))
    jsonschema.validate(server, REGISTRY_RULES)
    assert server["name"] == "com.example/vectormigrate"
    assert server["packages"][0]["version"] == server["version"]
    with zipfile.ZipFile(tmp_path / "out" / "vectormigrate.mcpb") as archive:
        assert archive.testzip() is None
        parts = {name: archive.read(name).decode() for name in archive.namelist()}
    manifest = json.loads(parts["manifest.json"])
    jsonschema.validate(manifest, BUNDLE_RULES)
    assert parts["manifest.json"] == (tmp_path / "out" / "manifest.json").read_text(encoding="utf-8")
    assert manifest["server"]["entry_point"] in parts
    assert {"start_migration", "rollback_migration"} <= {tool["name"] for tool in manifest["tools"]}
    project = tomllib.loads(parts["pyproject.toml"])["project"]
    assert project["dependencies"] == [f"vectormigrate[mcp,all]=={manifest['version']}"]
    own = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {"mcp", "all"} <= set(own["optional-dependencies"])
    assert own["requires-python"] == project["requires-python"]


def test_the_same_input_makes_the_same_bundle(tmp_path: Path) -> None:
    one, other = (bundle.write_bundle(tmp_path / name)[2].read_bytes() for name in ("a", "b"))
    assert one == other
    with pytest.raises(ConfigError, match="reversed domain"):
        bundle.server_json("not a domain")


def test_the_start_of_the_bundle_serves(tmp_path: Path) -> None:
    script = tmp_path / "server.py"
    script.write_text(bundle.START, encoding="utf-8")
    found = check(place(tmp_path), Entry(command=sys.executable, args=[str(script), "--state", str(tmp_path / "s.db")]))
    assert found.ok, found.detail


def test_the_readme_names_the_server_as_the_registry_asks() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    assert f"mcp-name: {bundle.server_json()['name']}" in readme


def test_a_key_is_shown_once_and_its_lines_let_it_in(tmp_path: Path) -> None:
    from vectormigrate.server.access.auth import KeyRing

    shell = Shell(tmp_path)
    made = shell.run("mcp", "key", "new", "ci", "--scope", "write")
    secret = made.out.strip()
    assert len(secret) >= 43
    assert secret not in made.err
    config = tmp_path / "vectormigrate.toml"
    config.write_text(made.err.partition("\n")[2], encoding="utf-8")
    found = KeyRing.open(config=config).find(secret)
    assert found is not None
    assert (found.name, len(found.scopes)) == ("ci", 2)
    hashed = shell.run("mcp", "key", "hash", "ci", "--scope", "write", stdin=f"{secret}\n")
    assert hashed.out.strip() == made.err.partition("\n")[2].strip()
    assert shell.run("mcp", "key", "hash", "ci", stdin="short\n").code == 2
    assert shell.run("mcp", "key", "new", "c i").code == 2
    assert shell.run("mcp", "key", "new", "ci", "--scope", "root").code == 2


@pytest.mark.parametrize("command", ["mcp install", "mcp bundle", "mcp key new", "mcp key hash", "audit verify"])
def test_every_command_around_the_server_has_json_and_examples(tmp_path: Path, command: str) -> None:
    ended = Shell(tmp_path).run(*command.split(), "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert f"vectormigrate {command}" in ended.out.partition("Examples")[2]


def test_looking_at_the_help_loads_nothing_of_the_server() -> None:
    code = (
        "import sys; import vectormigrate.cli.main; print([n for n in sys.modules if n.startswith(('mcp', 'numpy'))])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
