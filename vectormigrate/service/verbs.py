"""All verbs in one object, as the front ends and programs use them."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from vectormigrate.config.settings import Settings, load_settings
from vectormigrate.service.advise import AdviseVerbs
from vectormigrate.service.copy import CopyVerbs
from vectormigrate.service.gateway import GatewayVerbs
from vectormigrate.service.live import LiveVerbs
from vectormigrate.service.look import LookVerbs
from vectormigrate.service.sync import SyncVerbs
from vectormigrate.service.undo import UndoVerbs
from vectormigrate.service.validate import ValidateVerbs


class Service(CopyVerbs, LiveVerbs, GatewayVerbs, SyncVerbs, ValidateVerbs, UndoVerbs, LookVerbs, AdviseVerbs):
    """The verbs over one state file and one connections file. Open with `open_service`.

    A verb takes and returns plain data and raises errors of `vectormigrate.errors`, whose `remedies` name the verb or
    the attribute that leads on. Long verbs report events to a listener. From a plan to a proof::

        plan = await service.plan(request)
        if not plan.unaccepted:
            await service.migrate(request)
            report = await service.validate(request.id, full=True)
            assert report.passed
    """


@asynccontextmanager
async def open_service(settings: Settings | None = None, *, state: Path | None = None) -> AsyncGenerator[Service]:
    """A service over these settings, or over the state file `state`; default: environment and connections file.

    Nothing is opened before a verb needs it, and nothing stays open between two. Raises ConfigError for a setting or a
    connections file that is wrong::

        async with open_service(state=Path("migrations.db")) as service:
            print([found.id for found in await service.list()])
    """
    yield Service(settings or load_settings(state=state))
