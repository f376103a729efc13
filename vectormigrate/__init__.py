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
    from vectormigrate.errors import VectorMigrateError
    from vectormigrate.model.plan import MigrationPlan, RunOptions
    from vectormigrate.model.status import MigrationStatus, Phase, Status, ValidationReport
    from vectormigrate.requests import (
        CollectionReport,
        DoctorCheck,
        HeldCollection,
        Holdings,
        MigrationRequest,
        Recommendation,
        RejectRow,
        RollbackResult,
    )
    from vectormigrate.service import Service, open_service
    from vectormigrate.settings import Endpoint, Settings

_HOMES = {
    "CollectionReport": "vectormigrate.requests",
    "DoctorCheck": "vectormigrate.requests",
    "Endpoint": "vectormigrate.settings",
    "HeldCollection": "vectormigrate.requests",
    "Holdings": "vectormigrate.requests",
    "MigrationPlan": "vectormigrate.model.plan",
    "MigrationRequest": "vectormigrate.requests",
    "MigrationStatus": "vectormigrate.model.status",
    "Phase": "vectormigrate.model.status",
    "Recommendation": "vectormigrate.requests",
    "RejectRow": "vectormigrate.requests",
    "RollbackResult": "vectormigrate.requests",
    "RunOptions": "vectormigrate.model.plan",
    "Service": "vectormigrate.service",
    "Settings": "vectormigrate.settings",
    "Status": "vectormigrate.model.status",
    "ValidationReport": "vectormigrate.model.status",
    "VectorMigrateError": "vectormigrate.errors",
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
    "open_service",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
