"""The folder of a demo."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from vectormigrate.errors import ConfigError

MARKER = "vectormigrate-demo.json"


def prepare(folder: Path) -> None:
    """An empty folder; an earlier demo's is emptied, anything else is left alone. Raises ConfigError."""
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"{str(folder)!r} is a file; choose another folder with --dir")
    if folder.is_dir() and any(folder.iterdir()):
        if not (folder / MARKER).exists():
            raise ConfigError(f"{str(folder)!r} holds files that are not a demo's; choose another with --dir")
        shutil.rmtree(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARKER).write_text(json.dumps({"made by": "vectormigrate demo"}) + "\n", encoding="utf-8")
