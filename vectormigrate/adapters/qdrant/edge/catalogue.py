"""The folder: a marker file, and per collection a sub-folder with `collection.json` and the engine's `shard`.

`collection.json` is written last on create and removed first on drop, so it alone decides whether a collection exists.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vectormigrate.adapter.file_lock import lock
from vectormigrate.errors import InvalidRequest, TerminalError
from vectormigrate.model.schema import Json

MARKER = "vectormigrate-edge.json"
FORMAT = 1


def encode_name(name: str) -> str:
    """A file name for a collection name: `a-z0-9_-` stay, others become %XX, a long one ends in a digest."""
    safe = "".join(
        chr(byte) if re.fullmatch(rb"[a-z0-9_-]", bytes([byte])) else f"%{byte:02X}" for byte in name.encode()
    )
    if len(safe) <= 150:
        return safe
    return f"{safe[:80]}%%{hashlib.blake2b(name.encode(), digest_size=16).hexdigest()}"


def write_atomically(path: Path, data: Json) -> None:
    """The file holds the old or the new content, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with temporary.open("w", encoding="utf-8") as file:
        json.dump(data, file, ensure_ascii=True)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in the folder durable."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Entry:
    """One collection's place in the folder `root`. All methods block."""

    def __init__(self, root: Path, name: str) -> None:
        self.root = root
        self.name = name
        self.folder = root / encode_name(name)
        self.shard = self.folder / "shard"
        self._file = self.folder / "collection.json"

    def exists(self) -> bool:
        """Raises InvalidRequest when the folder is something else than ours."""
        if self._file.exists():
            return True
        check_root(self.root)
        return False

    def read(self) -> dict[str, Any] | None:
        """Our description of the collection, None when there is none. Raises TerminalError for a damaged one."""
        if not self.exists():
            return None
        try:
            data: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
            written_by = data["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise TerminalError(f"{str(self._file)!r} is damaged: {error}", adapter="qdrant_edge") from error
        if written_by != FORMAT or data["collection"] != self.name:
            raise TerminalError(
                f"{str(self._file)!r} has format {written_by!r} and describes {data.get('collection')!r}; "
                f"this version reads format {FORMAT}",
                adapter="qdrant_edge",
            )
        return data

    def write(self, data: dict[str, Any]) -> None:
        write_atomically(self._file, {**data, "format": FORMAT, "collection": self.name})

    def engine_config(self) -> dict[str, Any]:
        """The shard's configuration as the engine wrote it."""
        return json.loads((self.shard / "edge_config.json").read_text(encoding="utf-8"))

    def prepare(self) -> None:
        """Make the empty shard folder, and the catalogue on first use; clear what a crashed create left."""
        self.root.mkdir(parents=True, exist_ok=True)
        check_root(self.root)
        if not (self.root / MARKER).exists():
            write_atomically(self.root / MARKER, {"format": FORMAT})
        if self.folder.exists():
            shutil.rmtree(self.folder)
        self.shard.mkdir(parents=True)
        sync_folder(self.root)

    def remove(self) -> None:
        """Remove the collection with everything it holds."""
        self._file.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)

    @contextmanager
    def creating(self) -> Generator[None, None, None]:
        """One creator at a time, over all processes; the lock ends with the process."""
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".create.lock").open("w") as file:
            lock(file.fileno())
            yield


def check_root(root: Path) -> None:
    """Raise InvalidRequest when the folder is something else than ours."""
    if not root.exists() or (root / MARKER).exists():
        return
    if not root.is_dir():
        raise InvalidRequest(f"{str(root)!r} is not a folder", adapter="qdrant_edge")
    if any(not item.name.startswith(".") for item in root.iterdir()):
        raise InvalidRequest(
            f"folder {str(root)!r} holds other things than collections of vectormigrate; name a new folder",
            adapter="qdrant_edge",
        )


def names(root: Path) -> list[str]:
    """The collections of the folder, sorted. Raises as `check_root`, and TerminalError for a damaged description."""
    check_root(root)
    found: list[str] = []
    for file in root.glob("*/collection.json"):
        try:
            found.append(str(json.loads(file.read_text(encoding="utf-8"))["collection"]))
        except FileNotFoundError:
            continue  # Dropped meanwhile.
        except (ValueError, KeyError, TypeError) as error:
            raise TerminalError(f"{str(file)!r} is damaged: {error}", adapter="qdrant_edge") from error
    return sorted(found)
