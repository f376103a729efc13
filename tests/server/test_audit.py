"""The audit log: complete, whole, and any tampering found."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from mcp import Client, MCPError

from tests.cli.process import Shell
from tests.server.support import ALICE, accounting, audit_lines
from tests.server.toy import Seen, connected, serving, toy_server
from vectormigrate.errors import ConfigError
from vectormigrate.server.audit.accounting import UNAVAILABLE, Accounting
from vectormigrate.server.audit.log import AuditLog, AuditUnwritable, rotated_files
from vectormigrate.server.audit.verify import verify

Lines = list[bytes]


def write(path: Path, lines: int, *, rotate_bytes: int = 10**9) -> AuditLog:
    log = AuditLog(path, rotate_bytes=rotate_bytes)
    for number in range(lines):
        log.append({"time": "t", "tool": f"tool {number} ü\ud800", "ms": number / 7})
    return log


def test_a_log_is_intact_and_only_its_owner_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "audit.jsonl"
    write(path, 20).close()
    verdict = verify(path)
    assert (verdict.intact, verdict.lines, verdict.first) == (True, 20, 1)
    assert path.stat().st_mode & 0o777 == 0o600


def change(lines: Lines) -> Lines:
    return [*lines[:4], lines[4].replace(b"tool 4", b"tool 5"), *lines[5:]]


def change_and_rehash(lines: Lines) -> Lines:
    from vectormigrate.server.audit.log import line_hash

    line = json.loads(lines[4])
    line["tool"] = "innocent"
    line["hash"] = line_hash(line)
    return [*lines[:4], json.dumps(line, separators=(",", ":")).encode(), *lines[5:]]


TAMPERINGS: dict[str, tuple[Callable[[Lines], Lines], str]] = {
    "a changed line": (change, r"audit.jsonl:5: line 5 was changed"),
    "a changed line with a new hash": (change_and_rehash, r"audit.jsonl:6: line 6 does not follow"),
    "a removed line": (lambda lines: lines[:4] + lines[5:], r"audit.jsonl:5: line 5 is missing"),
    "a removed beginning": (lambda lines: lines[3:], r"audit.jsonl:1: line 1 is missing"),
    "a doubled line": (lambda lines: [*lines[:5], lines[4], *lines[5:]], r"audit.jsonl:6: line 6 is missing"),
    "two lines in the other order": (lambda lines: [*lines[:4], lines[5], lines[4], *lines[6:]], r"line 5 is missing"),
    "half a line": (lambda lines: [*lines[:4], lines[4][:20], *lines[5:]], r"audit.jsonl:5: not a line"),
    "an inserted line": (lambda lines: [*lines[:4], b'{"seq": 5}', *lines[4:]], r"audit.jsonl:5: not a line"),
    "an empty line": (lambda lines: [*lines[:4], b"", *lines[4:]], r"audit.jsonl:5: not a line"),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_tampering_is_found_and_the_command_says_where(tmp_path: Path, name: str) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 10).close()
    tamper, problem = TAMPERINGS[name]
    path.write_bytes(b"\n".join(tamper(path.read_bytes().splitlines())) + b"\n")
    ended = Shell(tmp_path).run("audit", "verify", str(path), "--json")
    assert ended.code == 3
    assert not ended.document["intact"]
    assert re.search(problem, ended.document["problem"])


def test_a_cut_off_end_is_found_with_a_hash_that_was_noted(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 10).close()
    head = verify(path).head.hash
    assert verify(path, head=head).intact
    write(path, 5).close()
    assert verify(path, head=head).intact
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:8]))
    assert verify(path).intact
    assert "cut off" in verify(path, head=head).problem


def test_the_chain_goes_on_over_full_files_and_a_missing_one_is_found(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 60, rotate_bytes=3000).close()
    write(path, 60, rotate_bytes=3000).close()
    full = rotated_files(path)
    assert len(full) >= 3
    assert [file.name for file in full[:2]] == ["audit.000001.jsonl", "audit.000002.jsonl"]
    assert verify(path).lines == 120
    moved = full[0].rename(tmp_path / "elsewhere.jsonl")
    assert "line 1 is missing" in verify(path).problem
    assert verify(path, archived=True).intact
    assert verify(path, archived=True).first > 1
    moved.rename(full[0])
    full[1].unlink()
    assert "is missing" in verify(path).problem
    assert "is missing" in verify(path, archived=True).problem


def test_half_a_line_after_a_crash_is_taken_off_and_that_is_told(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    write(path, 5).close()
    with path.open("ab") as file:
        file.write(b'{"seq":6,"ti')
    assert "not a line" in verify(path).problem
    write(path, 3).close()
    assert (verify(path).intact, verify(path).lines) == (True, 9)
    mended = json.loads(path.read_bytes().splitlines()[5])
    assert (mended["event"], mended["bytes"]) == ("torn line removed", 12)


WRITER = """
import sys
from pathlib import Path
from vectormigrate.server.audit.log import AuditLog
log = AuditLog(Path(sys.argv[1]), rotate_bytes=20_000)
for number in range(300):
    log.append({"writer": sys.argv[2], "number": number})
log.close()
"""


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), str(n)]) for n in range(4)]
    assert [writer.wait(60) for writer in writers] == [0] * 4
    verdict = verify(path)
    assert (verdict.problem, verdict.lines) == ("", 1200)
    assert len(verdict.files) > 3
    lines = [json.loads(line) for file in verdict.files for line in file.read_text(encoding="utf-8").splitlines()]
    for writer in "0123":
        assert [line["number"] for line in lines if line["writer"] == writer] == list(range(300))


def test_a_log_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditUnwritable, match="cannot be written"):
        AuditLog(tmp_path)
    log = AuditLog(Path("/dev/full"))
    with pytest.raises(AuditUnwritable, match="No space left"):
        log.append({"tool": "x"})
    with pytest.raises(ConfigError, match="no audit log"):
        verify(tmp_path / "none.jsonl")


@pytest.mark.anyio
async def test_nothing_is_served_that_cannot_be_written_down_and_nothing_is_forgotten(tmp_path: Path) -> None:
    running = accounting(tmp_path)
    path = tmp_path / "audit.jsonl"
    async with Client(toy_server(running, Seen(), local=True), mode="legacy") as client:
        await client.call_tool("echo", {"text": "one"})
        path.rename(tmp_path / "kept.jsonl")
        path.mkdir()
        with pytest.raises(MCPError, match="cannot be written"):
            await client.call_tool("echo", {"text": "two"})
        assert not running.audit_is_written
        with pytest.raises(MCPError, match="cannot be written") as refused:
            await client.call_tool("echo", {"text": "three"})
        assert refused.value.error.code == UNAVAILABLE
        path.rmdir()
        (tmp_path / "kept.jsonl").rename(path)
        await client.call_tool("echo", {"text": "four"})
        assert running.audit_is_written
    told = [(line["arguments"]["text"], line["outcome"]) for line in audit_lines(tmp_path) if line["tool"] == "echo"]
    assert told == [
        ("one", "ok"),
        ("two", "refused AuditUnwritable"),
        ("three", "refused AuditUnwritable"),
        ("four", "ok"),
    ]
    assert verify(path).intact
    value = running.metrics.registry.get_sample_value
    assert value("vectormigrate_audit_lines_total") == len(audit_lines(tmp_path, all_of_them=True))
    assert (value("vectormigrate_audit_failures_total") or 0) >= 2


@pytest.mark.anyio
async def test_every_request_of_every_kind_leaves_one_line(tmp_path: Path) -> None:
    seen = Seen()
    async with serving(accounting(tmp_path), seen) as url, connected(url, "http", "legacy", ALICE) as client:
        await client.call_tool("echo", {"text": "hello", "migration_id": "m-7"})
        await client.call_tool("boom", {"text": "inner detail"})
        await client.call_tool("nothing", {})
        with pytest.raises(MCPError):
            await client.read_resource("migration://m-9/status")
        with anyio.move_on_after(0.5):
            await client.call_tool("wait", {})
        with anyio.fail_after(10):
            await seen.cancelled.wait()
        await client.list_tools()
    lines = audit_lines(tmp_path)
    by_tool = {line["tool"]: line for line in lines if line["tool"]}
    assert (by_tool["echo"]["migration"], by_tool["echo"]["outcome"]) == ("m-7", "ok")
    assert by_tool["echo"]["arguments"] == {"text": "hello", "migration_id": "m-7"}
    assert (by_tool["echo"]["key"], by_tool["echo"]["transport"]) == ("alice", "http")
    assert by_tool["echo"]["fingerprint"].startswith("sha256:")
    assert by_tool["echo"]["peer"] == "127.0.0.1"
    assert by_tool["boom"]["outcome"] == by_tool["nothing"]["outcome"] == "tool_error"
    assert by_tool["wait"]["outcome"] == "cancelled"
    read = next(line for line in lines if line["method"] == "resources/read")
    assert (read["migration"], read["outcome"].startswith("rpc ")) == ("m-9", True)
    methods = [line["method"] for line in lines]
    assert methods.count("initialize") == 1
    assert all(isinstance(line["ms"], float) and line["time"].endswith("Z") for line in lines)
    assert verify(tmp_path / "audit.jsonl").intact


@pytest.mark.anyio
async def test_arguments_that_a_tool_does_not_know_are_not_written_down(tmp_path: Path) -> None:
    running = accounting(tmp_path)

    def known(tool: str) -> frozenset[str] | None:
        return frozenset({"text"}) if tool == "echo" else None

    running.arguments_of = known
    async with Client(toy_server(running, Seen(), local=True), mode="legacy") as client:
        await client.call_tool("echo", {"text": "a", "note": "my password is hunter2", "x": 1})
    line = next(line for line in audit_lines(tmp_path) if line["tool"] == "echo")
    assert line["arguments"] == {"text": "a", "…": "(2 unknown)"}


def test_operations_without_a_log_write_none() -> None:
    assert Accounting().audit_is_written
