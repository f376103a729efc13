"""What the shell offers for a value: migrations, connections, types and losses. Nothing is connected to."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

import typer

Complete = Callable[[typer.Context, str], list[str]]


def _offering(find: Callable[[typer.Context], Iterable[str]]) -> Complete:
    """Those that begin with what was typed. A shell must not be disturbed by a file that cannot be read."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        with suppress(Exception):
            return [name for name in find(ctx) if name.startswith(incomplete)]
        return []

    return complete


def _path(ctx: typer.Context, name: str) -> Path | None:
    given = ctx.params.get(name)
    return Path(given) if given else None


def _migrations(ctx: typer.Context) -> Iterable[str]:
    import anyio

    from vectormigrate.config.settings import load_settings
    from vectormigrate.service import open_service

    async def find() -> list[str]:
        settings = load_settings(state=_path(ctx, "state"), config=_path(ctx, "config"))
        async with open_service(settings) as service:
            return [item.id for item in await service.list()]

    return anyio.run(find)


def _connections(ctx: typer.Context) -> Iterable[str]:
    from vectormigrate.config.settings import load_settings

    return load_settings(config=_path(ctx, "config")).connections.names


def _types(_: typer.Context) -> Iterable[str]:
    from vectormigrate import registry

    return registry.offered()


def _losses(_: typer.Context) -> Iterable[str]:
    from vectormigrate.mapping.losses import EFFECTS, RECORD_EFFECTS

    return [name if name in RECORD_EFFECTS else f"{name}:" for name in EFFECTS]


migrations = _offering(_migrations)
connections = _offering(_connections)
types = _offering(_types)
losses = _offering(_losses)
