"""What a gateway leaves in the folder of its migration, for whoever looks and for the next gateway."""

from __future__ import annotations

import os
import secrets
import stat
import tempfile
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson

from vectormigrate.adapter.file_lock import lock
from vectormigrate.capture.folder import LiveFolder
from vectormigrate.errors import ConfigError, LeaseHeld, StateUnwritable
from vectormigrate.model.live import Authority, GatewayInfo
from vectormigrate.model.schema import Json

LOCK_SECONDS = 1.0


@contextmanager
def only_gateway(folder: LiveFolder) -> Generator[None]:
    """The folder to ourselves. Raises LeaseHeld while another gateway has it."""
    try:
        file = os.open(folder.path / "gateway.lock", os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise StateUnwritable(f"the folder {str(folder.path)!r} cannot be written: {error}") from error
    try:
        try:
            lock(file, LOCK_SECONDS)
        except TimeoutError:
            info = read_info(folder)
            whose = f" (process {info.pid})" if info else ""
            raise LeaseHeld(f"another gateway{whose} has the journal in {str(folder.path)!r}") from None
        yield
    finally:
        os.close(file)


def write_json(path: Path, value: Mapping[str, Json]) -> None:
    """Replace the file as a whole; only this user may read it."""
    draft = path.with_name(path.name + ".new")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "wb") as file:
        file.write(orjson.dumps(value))
    draft.replace(path)


def read_json(path: Path) -> dict[str, Any] | None:
    """The object in the file, None where there is none that can be read."""
    try:
        found = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def read_info(folder: LiveFolder) -> GatewayInfo | None:
    """What the gateway, or the last one, wrote of itself."""
    found = read_json(folder.gateway)
    try:
        return None if found is None else GatewayInfo.from_json(found)
    except (KeyError, TypeError):
        return None


def read_authority(folder: LiveFolder) -> Authority | None:
    """The authority as the gateway wrote it last."""
    found = read_json(folder.authority)
    try:
        return None if found is None else Authority.from_json(found)
    except (KeyError, TypeError):
        return None


def kept_numbers(folder: LiveFolder) -> dict[str, tuple[str, int]]:
    """Host and number of the ports that the last gateway listened on, by name, `http` for the page of its own."""
    info = read_info(folder)
    if info is None:
        return {}
    places = {port.name: port.address for port in info.ports}
    if info.http:
        places["http"] = info.http.partition("://")[2]
    found: dict[str, tuple[str, int]] = {}
    for name, address in places.items():
        host, _, number = address.rpartition(":")
        found[name] = (host.strip("[]"), int(number))
    return found


def note_taint(folder: LiveFolder, reason: str) -> bool:
    """Keep a taint next to a journal that cannot be written; returns whether it is on the disk."""
    try:
        with open(folder.path / "taint", "ab") as file:
            file.write(reason.replace("\n", " ").encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError:
        return False
    return True


def noted_taints(folder: LiveFolder) -> list[str]:
    """Those that no journal has yet."""
    try:
        return (folder.path / "taint").read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except OSError as error:
        return [f"{folder.path / 'taint'} cannot be read: {error}"]


def forget_taints(folder: LiveFolder) -> None:
    """The journal has them."""
    (folder.path / "taint").unlink(missing_ok=True)


def last_nonces(folder: LiveFolder) -> tuple[str | None, ...]:
    """Nonces of which the journal's last session must have one; empty where no gateway ever ran here."""
    found = read_json(folder.path / "session.json")
    return () if found is None else (found.get("last"), found.get("next"))


def keep_nonces(folder: LiveFolder, last: str | None, following: str) -> None:
    """Before the session begins in the journal: either of these is its last one from now on."""
    write_json(folder.path / "session.json", {"last": last, "next": following})


def socket_folder(folder: LiveFolder) -> Path:
    """A folder with a short path for sockets, the one of the last gateway while that is there: Envoy knows it. It is
    of this user alone."""
    note = folder.path / "sockets"
    if note.is_file():
        kept = Path(note.read_text("utf-8").strip())
        try:
            found = kept.lstat()
        except OSError:
            found = None
        mine = found is not None and (os.name != "posix" or found.st_uid == os.getuid())
        if found is not None and mine and stat.S_ISDIR(found.st_mode) and not found.st_mode & 0o077:
            return kept
    made = Path(tempfile.mkdtemp(prefix="vm-gateway-"))
    if len(str(made)) > 80:
        raise ConfigError(f"the path of the temporary folder {str(made)!r} is too long for sockets; set TMPDIR")
    note.write_text(str(made), "utf-8")
    return made


def new_nonce() -> str:
    """Nobody else's."""
    return secrets.token_hex(16)
