"""The files of one live migration, which gateway, runner and whoever looks find by its id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class LiveFolder:
    """The folder of a live migration; only its user may read it."""

    path: Path

    @property
    def journal(self) -> Path:
        """The journal."""
        return self.path / "journal.db"

    @property
    def gateway(self) -> Path:
        """What the gateway writes about itself each second (model/live.py GatewayInfo)."""
        return self.path / "gateway.json"

    @property
    def authority(self) -> Path:
        """Which side is to be read and written (model/live.py Authority)."""
        return self.path / "authority.json"

    @property
    def envoy(self) -> Path:
        """The folder of Envoy's configuration and log."""
        return self.path / "envoy"


def live_folder(state: Path, migration_id: str, journal: Path | None = None) -> LiveFolder:
    """Next to the state file, or in `journal`."""
    return LiveFolder((journal or Path(f"{state.absolute()}.live") / migration_id).absolute())
