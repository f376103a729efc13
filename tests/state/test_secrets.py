"""No credential reaches the file."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.state.support import make_plan, page
from vectormigrate.adapter import Reject
from vectormigrate.errors import StateError
from vectormigrate.model.plan import EndpointRef, RunOptions
from vectormigrate.model.status import Phase, Status
from vectormigrate.state import Lease, Store, open_store

pytestmark = pytest.mark.anyio

SECRET = 'sk-"Ünsafe"/2f9c'


def everything(path: Path) -> bytes:
    """All bytes of the state file and its companions."""
    return b"".join(entry.read_bytes() for entry in sorted(path.parent.iterdir()))


async def refused(path: Path, store: Store, lease: Lease) -> None:
    """Every way to bring text in refuses the secret."""
    leaky = EndpointRef(type="memory", collection="a", url=f"http://u:{SECRET}@host", location="memory://x")
    plan = make_plan("leaky")
    for action in (
        store.migrations.create(replace(plan, spec=replace(plan.spec, source=leaky)), RunOptions()),
        store.migrations.set_phase("orders", Phase.COPYING, Status.FAILED, error=f"bad key {SECRET}", lease=lease),
        store.progress.commit(lease, replace(page("eu-0", 1), cursor={"token": SECRET})),
        store.progress.commit(lease, replace(page("eu-0", 1), rejects=[Reject(1, "eu", "refused", f"key {SECRET}")])),
        store.reports.save("orders", {"errors": [SECRET]}),
        store.reports.save_diff_progress("orders", "full", SECRET.encode()),
        store.origin.remember(f"http://{SECRET}@host", {}),
        store.origin.remember("memory://x", {"key": SECRET}),
    ):
        with pytest.raises(StateError, match="refused to store a credential") as caught:
            await action
        assert SECRET not in str(caught.value)


async def test_text_with_a_secret_given_on_opening_is_refused_everywhere(path: Path) -> None:
    async with open_store(path, secrets=[SECRET]) as store:
        await store.migrations.create(make_plan(), RunOptions())
        async with store.leases.hold("orders") as lease:
            await refused(path, store, lease)
            assert b"nsafe" not in everything(path)
            assert (await store.migrations.status("orders")).migrated_records == 0
            await store.progress.commit(lease, page("eu-0", 1))


async def test_a_secret_learned_later_is_refused_from_then_on(store: Store, lease: Lease, path: Path) -> None:
    store.forbid(SECRET)
    await refused(path, store, lease)
    assert b"nsafe" not in everything(path)


async def test_a_short_value_is_not_looked_for(store: Store) -> None:
    store.forbid("memory")
    store.forbid("")
    await store.migrations.create(make_plan("returns"), RunOptions())
    assert (await store.migrations.load("returns")).id == "returns"
