"""A shell per test."""

from pathlib import Path

import pytest

from tests.cli.process import Shell


@pytest.fixture
def shell(tmp_path: Path) -> Shell:
    return Shell(tmp_path)
