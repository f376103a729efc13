"""The operator's own command at every transition, which may refuse it."""

from __future__ import annotations

import os
import shlex
import subprocess

import anyio

from vectormigrate.capture.phases import LivePhase, authority
from vectormigrate.errors import InvalidTransition
from vectormigrate.figures import duration


async def run_hook(command: str, migration_id: str, start: LivePhase, to: LivePhase, seconds: float) -> None:
    """Run it with the transition in its environment (VECTORMIGRATE_ID, VECTORMIGRATE_FROM, VECTORMIGRATE_TO,
    VECTORMIGRATE_AUTHORITY). Raises InvalidTransition when it fails or takes longer than `seconds`."""
    variables = {
        "VECTORMIGRATE_ID": migration_id,
        "VECTORMIGRATE_FROM": start.value,
        "VECTORMIGRATE_TO": to.value,
        "VECTORMIGRATE_AUTHORITY": authority(to).value,
    }
    try:
        with anyio.fail_after(seconds):
            done = await anyio.run_process(
                shlex.split(command), check=False, stderr=subprocess.STDOUT, env={**os.environ, **variables}
            )
    except TimeoutError:
        raise InvalidTransition(f"the hook took longer than {duration(seconds)} at {to.value}") from None
    except OSError as error:
        raise InvalidTransition(f"the hook cannot be run: {error}") from error
    if done.returncode:
        last = done.stdout.decode("utf-8", "replace").strip().splitlines()[-1:] or [f"exit code {done.returncode}"]
        raise InvalidTransition(f"the hook refused {to.value}: {last[0]}")
