"""Suites of one process may run the same engine at once."""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.harness.base import Harness, all_harnesses
from tests.support.connected import connected
from vectormigrate.errors import CollectionNotFound

pytestmark = pytest.mark.anyio


def pinecone() -> Harness:
    found = [harness for harness in all_harnesses() if harness.name == "pinecone"]
    if not found or found[0].unavailable():
        pytest.skip("pinecone cannot run here")
    return found[0]


@pytest.mark.parametrize("first_begins", [True, False])
async def test_the_end_of_one_run_leaves_the_other_its_address_and_key(tmp_path: Path, first_begins: bool) -> None:
    kept, ended = pinecone(), pinecone()
    with ExitStack() as stack, ExitStack() as short:
        if first_begins:
            stack.enter_context(kept.running(tmp_path))
        short.enter_context(ended.running(tmp_path))
        if not first_begins:
            stack.enter_context(kept.running(tmp_path))
        short.close()
        assert os.environ["PINECONE_API_KEY"]
        async with connected(kept.spec, kept.config("none")) as target:
            with pytest.raises(CollectionNotFound):
                await target.describe()
