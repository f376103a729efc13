"""The verbs of live migrations: switch, end, and the orders for the process that runs one."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Literal

from rich.prompt import Confirm

from vectormigrate.cli.common import settings_of
from vectormigrate.cli.inputs import Common
from vectormigrate.cli.render.console import document, err, is_terminal, show
from vectormigrate.errors import ConfigError, Interrupted
from vectormigrate.model.live import Pace, SwitchOptions
from vectormigrate.service import open_service

QUESTIONS = {
    "complete": "End migration {id}? The source is not kept up to date any more, and there is no way back.",
    "abort": "Abort migration {id}? Nothing follows the source any more.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchFlags:
    """Flags of cutover and reverse."""

    verify: str
    pause: float
    budget: float
    rehearse: bool
    postpone: bool

    def options(self) -> SwitchOptions:
        """As options. Raises ConfigError for another way to verify."""
        if self.verify not in ("fast", "strict"):
            raise ConfigError(f"--verify {self.verify!r}: write fast or strict")
        return SwitchOptions(
            strict=self.verify == "strict",
            pause=self.pause,
            budget=self.budget,
            rehearse=self.rehearse,
            postpone=self.postpone,
        )


async def switch(common: Common, migration_id: str, verb: Literal["cut_over", "reverse"], flags: SwitchFlags) -> int:
    """Cut over, or reverse."""
    options = flags.options()
    async with open_service(settings_of(common)) as service:
        call = service.cut_over if verb == "cut_over" else service.reverse
        result = await call(migration_id, options)
    if common.as_json:
        document(asdict(result))
    else:
        show(f"{migration_id}: {result.text}")
        if result.statement:
            show(result.statement)
    return 0


async def end(common: Common, migration_id: str, verb: Literal["complete", "abort"], *, force: bool) -> int:
    """Complete or abort, after a question on a terminal."""
    if not force:
        question = QUESTIONS[verb].format(id=migration_id)
        if common.as_json or not is_terminal():
            raise ConfigError(f"{question} Nobody can be asked here; confirm with --force")
        if not Confirm.ask(question, console=err(), default=False):
            raise Interrupted("nothing was done")
    return await order(common, migration_id, verb)


async def order(
    common: Common,
    migration_id: str,
    verb: Literal["complete", "abort", "thaw", "acknowledge", "confirm_fence"],
) -> int:
    """An order without options."""
    async with open_service(settings_of(common)) as service:
        calls = {
            "complete": service.complete,
            "abort": service.abort,
            "thaw": service.thaw,
            "acknowledge": service.acknowledge,
            "confirm_fence": service.confirm_fence,
        }
        text = await calls[verb](migration_id)
    if common.as_json:
        document({"id": migration_id, "done": text})
    else:
        show(f"{migration_id}: {text}")
    return 0


async def set_pace(common: Common, migration_id: str, pace: str) -> int:
    """What the runner may do."""
    async with open_service(settings_of(common)) as service:
        await service.set_pace(migration_id, Pace(pace))
    if common.as_json:
        document({"id": migration_id, "pace": pace})
    else:
        words = {"full": "runs at full speed", "slow": "only applies changes", "paused": "is paused; changes are noted"}
        show(f"{migration_id} {words[pace]}")
    return 0
