"""vectormigrate: move vector collections between databases and prove that nothing was lost.

The verbs are those of the command line::

    async with open_service(state=Path("migrations.db")) as service:
        plan = await service.plan(request)
        await service.migrate(request)
        report = await service.validate(request.id, full=True)

Nothing here imports a vendor's package, and the heavier modules are loaded on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vectormigrate.capture.following.authority import authority
    from vectormigrate.capture.following.marker import marker
    from vectormigrate.config.request import MigrationRequest
    from vectormigrate.config.settings import Endpoint, Settings
    from vectormigrate.errors import VectorMigrateError
    from vectormigrate.model.answers import (
        CollectionReport,
        DoctorCheck,
        HeldCollection,
        Holdings,
        Recommendation,
        RejectRow,
        RollbackResult,
    )
    from vectormigrate.model.plan import MigrationPlan, RunOptions
    from vectormigrate.model.status import MigrationStatus, Phase, Status, ValidationReport
    from vectormigrate.service import Service, open_service

_HOMES = {
    "CollectionReport": "vectormigrate.model.answers",
    "DoctorCheck": "vectormigrate.model.answers",
    "Endpoint": "vectormigrate.config.settings",
    "HeldCollection": "vectormigrate.model.answers",
    "Holdings": "vectormigrate.model.answers",
    "MigrationPlan": "vectormigrate.model.plan",
    "MigrationRequest": "vectormigrate.config.request",
    "MigrationStatus": "vectormigrate.model.status",
    "Phase": "vectormigrate.model.status",
    "Recommendation": "vectormigrate.model.answers",
    "RejectRow": "vectormigrate.model.answers",
    "RollbackResult": "vectormigrate.model.answers",
    "RunOptions": "vectormigrate.model.plan",
    "Service": "vectormigrate.service",
    "Settings": "vectormigrate.config.settings",
    "Status": "vectormigrate.model.status",
    "ValidationReport": "vectormigrate.model.status",
    "VectorMigrateError": "vectormigrate.errors",
    "authority": "vectormigrate.capture.following.authority",
    "marker": "vectormigrate.capture.following.marker",
    "open_service": "vectormigrate.service",
}

__all__ = [
    "CollectionReport",
    "DoctorCheck",
    "Endpoint",
    "HeldCollection",
    "Holdings",
    "MigrationPlan",
    "MigrationRequest",
    "MigrationStatus",
    "Phase",
    "Recommendation",
    "RejectRow",
    "RollbackResult",
    "RunOptions",
    "Service",
    "Settings",
    "Status",
    "ValidationReport",
    "VectorMigrateError",
    "authority",
    "marker",
    "open_service",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
