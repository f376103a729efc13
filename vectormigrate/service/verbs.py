"""All verbs in one object, as the front ends and programs use them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from vectormigrate.config.settings import Settings, load_settings
from vectormigrate.service.advise import AdviseVerbs
from vectormigrate.service.copy import CopyVerbs
from vectormigrate.service.look import LookVerbs
from vectormigrate.service.undo import UndoVerbs
from vectormigrate.service.validate import ValidateVerbs


class Service(CopyVerbs, ValidateVerbs, UndoVerbs, LookVerbs, AdviseVerbs):
    """The verbs over one state file and one connections file. Open with `open_service`.

    A verb takes and returns plain data and raises errors of `vectormigrate.errors`; long verbs report through a
    listener::

        async with open_service(state=Path("migrations.db")) as service:
            plan = await service.plan(request)
            status = await service.migrate(request)
            report = await service.validate(request.id, full=True)
    """


@asynccontextmanager
async def open_service(settings: Settings | None = None, *, state: Path | None = None) -> AsyncGenerator[Service]:
    """A service over these settings (default: environment and file), or over the state file `state`."""
    yield Service(settings or load_settings(state=state))
