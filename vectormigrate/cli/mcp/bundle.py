"""What registries and desktop programs install from: `server.json` and an `.mcpb` bundle.

`server.json` follows the registry's schema of 2025-12-11, the manifest that of bundles 0.4 with the `uv` runtime: the
host fetches Python and the package from PyPI, so that the bundle holds no code but the start.
"""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from pathlib import Path

from vectormigrate.errors import ConfigError
from vectormigrate.model.schema import Json

REGISTRY_SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"
NAMESPACE = "io.github.vectormigrate"
TITLE = "vectormigrate"
SHORT = "Moves vector collections between databases and proves that nothing was lost."
LONG = (
    "Plans a migration with every loss, copies with exact resume, compares every record of both sides, and takes back "
    "what it wrote. Databases are named in a connections file; credentials never pass through the assistant."
)
EXTRAS = "mcp,all"
PYTHON = ">=3.11"
LICENSE = "MIT"

START = '''"""Starts the server that this bundle installs."""

import sys

from vectormigrate.cli.main import run

sys.argv = ["vectormigrate", "serve", *sys.argv[1:]]
run()
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A tool as the manifest lists it."""

    name: str
    description: str


def server_json(namespace: str = NAMESPACE, version: str | None = None) -> dict[str, Json]:
    """The document for the MCP registry. Raises ConfigError for a namespace that the registry would refuse."""
    if not re.fullmatch(r"[a-zA-Z0-9][a-zA-Z0-9-]*(\.[a-zA-Z0-9][a-zA-Z0-9-]*)+", namespace):
        raise ConfigError(f"namespace {namespace!r}: must be a reversed domain name such as io.github.NAME")
    version = version or installed_version("vectormigrate")
    package: dict[str, Json] = {
        "registryType": "pypi",
        "registryBaseUrl": "https://pypi.org",
        "identifier": "vectormigrate",
        "version": version,
        "runtimeHint": "uvx",
        "runtimeArguments": [{"type": "named", "name": "--with", "value": f"vectormigrate[{EXTRAS}]=={version}"}],
        "packageArguments": [{"type": "positional", "value": "serve"}],
        "transport": {"type": "stdio"},
        "environmentVariables": [
            {
                "name": "VECTORMIGRATE_CONFIG",
                "description": "Connections file: the databases by name, see the README.",
                "format": "filepath",
                "isRequired": False,
            },
            {
                "name": "VECTORMIGRATE_STATE",
                "description": "State file; default in the user's data folder.",
                "format": "filepath",
                "isRequired": False,
            },
        ],
    }
    return {
        "$schema": REGISTRY_SCHEMA,
        "name": f"{namespace}/vectormigrate",
        "title": TITLE,
        "description": SHORT,
        "version": version,
        "packages": [package],
    }


def manifest(tools: Sequence[Tool] = (), version: str | None = None) -> dict[str, Json]:
    """The manifest of the bundle."""
    return {
        "manifest_version": "0.4",
        "name": "vectormigrate",
        "display_name": TITLE,
        "version": version or installed_version("vectormigrate"),
        "description": SHORT,
        "long_description": LONG,
        "author": {"name": "The vectormigrate authors"},
        "license": LICENSE,
        "keywords": ["vector database", "migration", "embeddings", "validation"],
        "server": {
            "type": "uv",
            "entry_point": "server.py",
            "mcp_config": {
                "command": "uv",
                "args": ["run", "--directory", "${__dirname}", "server.py"],
                "env": {"VECTORMIGRATE_CONFIG": "${user_config.config}"},
            },
        },
        "tools": [{"name": tool.name, "description": tool.description} for tool in tools],
        "tools_generated": False,
        "compatibility": {"platforms": ["darwin", "linux"], "runtimes": {"python": PYTHON}},
        "user_config": {
            "config": {
                "type": "file",
                "title": "Connections file",
                "description": "vectormigrate.toml, which names your databases",
                "required": True,
            }
        },
    }


def project_toml(version: str | None = None) -> str:
    """The requirements that the host installs."""
    version = version or installed_version("vectormigrate")
    return (
        "[project]\n"
        'name = "vectormigrate-bundle"\n'
        f'version = "{version}"\n'
        f'requires-python = "{PYTHON}"\n'
        f'dependencies = ["vectormigrate[{EXTRAS}]=={version}"]\n'
    )


def write_bundle(folder: Path, *, namespace: str = NAMESPACE, tools: Sequence[Tool] = ()) -> list[Path]:
    """Write `server.json`, `manifest.json` and `vectormigrate.mcpb`; the paths. The same input makes the same bytes.
    Raises ConfigError when the folder cannot be written."""
    described = _text(manifest(tools))
    parts = {"manifest.json": described, "pyproject.toml": project_toml(), "server.py": START}
    made = [folder / "server.json", folder / "manifest.json", folder / "vectormigrate.mcpb"]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        made[0].write_text(_text(server_json(namespace)), encoding="utf-8")
        made[1].write_text(described, encoding="utf-8")
        with zipfile.ZipFile(made[2], "w", zipfile.ZIP_DEFLATED) as archive:
            for name, text in parts.items():
                # A fixed time: the checksum that a registry asks for depends on the content only.
                archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), text)
    except OSError as error:
        raise ConfigError(f"cannot write to {str(folder)!r}: {error.strerror}") from error
    return made


def _text(document: Mapping[str, Json]) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"
