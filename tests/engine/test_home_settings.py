"""Settings on the way out and home, through the whole service, between a server, Edge and another one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

pytest.importorskip("qdrant_edge")

from tests.emulators.qdrant import Emulator, emulator
from vectormigrate import Endpoint, MigrationRequest, RunOptions, Status, open_service
from vectormigrate.errors import LossNotAccepted
from vectormigrate.model.plan import MigrationPlan, Outcome

pytestmark = pytest.mark.anyio

TENANT = {"type": "keyword", "is_tenant": True, "on_disk": True}
BODY: dict[str, Any] = {
    "vectors": {"v": {"size": 4, "distance": "Dot"}},
    "sparse_vectors": {"words": {"modifier": "idf"}},
    "hnsw_config": {"m": 32, "ef_construct": 300},
    "quantization_config": {"scalar": {"type": "int8"}},
    "optimizers_config": {"indexing_threshold": 0},
}


def call(server: Emulator, method: str, path: str, body: Any = None) -> Any:
    answer = httpx.request(method, f"{server.url}/{path}", json=body)
    answer.raise_for_status()
    return answer.json()["result"]


def fill(server: Emulator) -> None:
    """Records of two tenants and one of none."""
    call(server, "PUT", "collections/first", BODY)
    index = {"field_name": "tenant", "field_schema": TENANT}
    call(server, "PUT", "collections/first/index?wait=true", index)
    points = [
        {"id": number, "vector": {"v": [1, 2, 3, number]}, "payload": {"n": number, **payload}}
        for number, payload in enumerate(({"tenant": "ann"}, {"tenant": "bob"}, {}))
    ]
    call(server, "PUT", "collections/first/points?wait=true", {"points": points})


def told(plan: MigrationPlan) -> dict[str, Outcome]:
    return {loss.name: loss.outcome for loss in plan.losses}


async def test_what_another_database_cannot_have_is_named_and_comes_home(tmp_path: Path) -> None:
    with emulator() as server:
        fill(server)
        at: dict[str, Any] = {"type": "qdrant", "url": server.url}
        ports = {"grpc_port": server.grpc_port}
        origin = Endpoint(**at, collection="first", options={**ports, "namespace_field": "tenant"})
        far = Endpoint(type="memory", url="memory://far", collection="c")
        back = Endpoint(**at, collection="second", options=ports)
        out = MigrationRequest(id="out", source=origin, target=far)
        async with open_service(state=tmp_path / "state.db") as service:
            plan = await service.plan(out)
            assert told(plan) == {
                "behaviour:idf:words": Outcome.LOSSY,
                "setting:namespace-field": Outcome.REVERSIBLE,
                "setting:optimizers": Outcome.REVERSIBLE,
            }
            with pytest.raises(LossNotAccepted, match="behaviour:idf:words"):
                await service.migrate(out, RunOptions())
            out = MigrationRequest(id="out", source=origin, target=far, accepted_losses=("behaviour:idf:words",))
            assert (await service.migrate(out, RunOptions())).status is Status.COMPLETED
            home = MigrationRequest(id="home", source=far, target=back)
            assert told(await service.plan(home)) == {}
            assert (await service.migrate(home, RunOptions())).status is Status.COMPLETED
        first, second = (call(server, "GET", f"collections/{name}") for name in ("first", "second"))
        second["config"].pop("metadata", None)
        assert second["config"] == first["config"]
        assert second["payload_schema"].keys() == first["payload_schema"].keys() == {"tenant"}
        assert second["payload_schema"]["tenant"]["params"] == TENANT
        body = {"limit": 9, "with_payload": True, "with_vector": True}
        pages = [call(server, "POST", f"collections/{name}/points/scroll", body) for name in ("first", "second")]
        assert pages[0] == pages[1]
