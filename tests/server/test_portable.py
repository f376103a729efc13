"""The server on a system that has only what every system has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.requirements import requirement
from vectormigrate.adapter import file_lock as filelock
from vectormigrate.server.audit import log as audit
from vectormigrate.server.audit.log import AuditLog, AuditUnwritable, rotated_files
from vectormigrate.server.audit.verify import verify


def begun(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.server.without_posix", *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def ended(process: subprocess.Popen[str]) -> None:
    said, complained = process.communicate(timeout=120)
    assert said == "done\n", complained


@requirement("serve:any-system")
def test_all_that_serve_loads_does_without_what_only_posix_has() -> None:
    ended(begun("imports"))


@requirement("serve:any-system")
def test_several_processes_write_one_whole_chain_by_the_locks_of_the_other_system(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    writers = [begun("append", path, 300, 10**9) for _ in range(3)]
    for writer in writers:
        ended(writer)
    verdict = verify(path)
    assert (verdict.intact, verdict.lines) == (True, 900), verdict


@requirement("serve:any-system")
def test_a_full_file_is_closed_before_it_is_renamed_and_the_chain_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    ended(begun("append", path, 40, 2000))
    ended(begun("append", path, 40, 2000))
    verdict = verify(path)
    assert (verdict.intact, verdict.lines) == (True, 80)
    assert len(rotated_files(path)) > 3


@requirement("serve:any-system")
def test_a_full_file_that_others_have_open_goes_on_being_written_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(source: object, target: object) -> None:
        raise PermissionError(13, "The process cannot access the file because it is being used by another process")

    monkeypatch.setattr(audit, "RENAMES_OPEN", False)
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path, rotate_bytes=500)
    with monkeypatch.context() as patched:
        patched.setattr("os.rename", refuse)
        for number in range(20):
            log.append({"tool": str(number)})
        assert rotated_files(path) == []
    log.append({"tool": "20"})
    log.close()
    assert (verify(path).intact, verify(path).lines, len(rotated_files(path))) == (True, 21, 1)


def test_a_log_that_a_stopped_process_holds_is_unwritable_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    monkeypatch.setattr(audit, "LOCK_SECONDS", 0.05)
    with path.open("rb") as other:
        filelock.lock(other.fileno())
        with pytest.raises(AuditUnwritable, match="another process keeps it locked"):
            log.append({"tool": "x"})
        filelock.unlock(other.fileno())
    log.append({"tool": "x"})
    log.close()
    assert (verify(path).intact, verify(path).lines) == (True, 1)
