"""Keys: how they are written, which are refused, and how they are compared."""

from __future__ import annotations

import gc
import hmac
import os
import signal
import time
from pathlib import Path

import pytest

from tests.server.support import ALICE, ALICE_NEXT, BOB, ring
from vectormigrate.errors import ConfigError
from vectormigrate.server.access import auth, keys
from vectormigrate.server.access.auth import KeyRing, caller, require, reread_on_hangup
from vectormigrate.server.access.keys import Scope, digest_of, find_key, new_secret, parse_key


@pytest.mark.parametrize(
    ("text", "name", "scopes"),
    [
        (ALICE, "default", set(Scope)),
        (f"ci={ALICE}", "ci", set(Scope)),
        (f"ci:read={ALICE}", "ci", {Scope.READ}),
        (f"ci:write={ALICE}", "ci", {Scope.READ, Scope.WRITE}),
        (f"ci:migrations:admin={ALICE}", "ci", set(Scope)),
        ("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZWY=", "default", set(Scope)),
        ("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXphYmNkZQ==", "default", set(Scope)),
    ],
)
def test_a_key_may_carry_a_name_and_a_scope(text: str, name: str, scopes: set[Scope]) -> None:
    key = parse_key(text, origin="--api-key")
    assert (key.name, set(key.scopes)) == (name, scopes)
    assert find_key([key], text if name == "default" else ALICE) is key


@pytest.mark.parametrize(
    "text", ["tooshort9", "ci=tooshort9", "x" * 31, "ci:root=" + ALICE, "ci=" + "ä" * 40, "env:NOT_THERE"]
)
def test_a_key_that_is_short_or_cannot_be_sent_is_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ConfigError) as refused:
        parse_key(text, origin="--api-key")
    secret = text.rpartition("=")[2]
    assert "--api-key" in str(refused.value)
    assert secret not in str(refused.value) or text.startswith("env:")


def test_a_short_key_is_taken_when_that_was_asked_for() -> None:
    assert parse_key("dev", origin="--api-key", insecure_short_key=True).name == "default"


def test_a_key_can_come_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_KEY", f"ops:admin={ALICE}")
    assert parse_key("env:OPS_KEY", origin="--api-key").name == "ops"
    monkeypatch.setenv(keys.VARIABLE, f"a:read={ALICE}, b={BOB}\nc={ALICE_NEXT}")
    assert [key.name for key in KeyRing.open().keys] == ["a", "b", "c"]


def test_a_new_key_is_long_and_different_each_time() -> None:
    assert len({new_secret() for _ in range(50)}) == 50
    assert len(new_secret()) >= keys.SHORTEST_KEY


def test_only_digests_stay_in_memory() -> None:
    secret = "".join(["kept-", "nowhere-", new_secret()])
    held = ring(f"alice={secret}")
    assert held.find(secret) is not None
    gc.collect()
    for key in held.keys:
        assert secret not in repr(key)
        assert digest_of(secret) == key.digest
        assert digest_of(secret).hex() not in repr(key)
    assert secret not in repr(vars(held))


def test_every_key_is_compared_in_constant_time_whichever_matches(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[int, int]] = []

    def counted(one: bytes, other: bytes) -> bool:
        compared.append((len(one), len(other)))
        return real(one, other)

    real = hmac.compare_digest
    monkeypatch.setattr(keys.hmac, "compare_digest", counted)
    held = ring()
    for secret in (ALICE, BOB, "wrong", ""):
        compared.clear()
        held.find(secret)
        assert compared == [(32, 32)] * len(held.keys)


def write_keys(path: Path, *entries: tuple[str, str]) -> None:
    tables = (
        f'[[server.keys]]\nname = "{name}"\nsha256 = "{digest_of(secret).hex()}"\nscopes = ["migrations:read"]\n'
        for name, secret in entries
    )
    path.write_text("\n".join(tables), encoding="utf-8")


def test_the_file_holds_digests_and_is_read_again_when_it_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(auth, "LOOK_SECONDS", 0.0)
    file = tmp_path / "vectormigrate.toml"
    write_keys(file, ("ci", ALICE))
    held = KeyRing.open(config=file)
    found = held.find(ALICE)
    assert found is not None
    assert set(found.scopes) == {Scope.READ}
    write_keys(file, ("ci", ALICE), ("ci", ALICE_NEXT))
    assert held.find(ALICE_NEXT) is not None
    write_keys(file, ("ci", ALICE_NEXT))
    assert held.find(ALICE) is None
    assert held.find(ALICE_NEXT) is not None
    file.write_text("[[server.keys]\n", encoding="utf-8")
    assert held.find(ALICE_NEXT) is not None
    assert "stay as they were" in caplog.text
    file.write_text("", encoding="utf-8")
    assert held.find(ALICE_NEXT) is not None
    assert "open the server to everyone" in caplog.text


def test_a_hangup_makes_the_ring_look_at_once(tmp_path: Path) -> None:
    file = tmp_path / "vectormigrate.toml"
    write_keys(file, ("ci", ALICE))
    held = KeyRing.open(config=file)
    assert held.find(BOB) is None
    write_keys(file, ("ci", BOB))
    before = signal.getsignal(signal.SIGHUP)  # a run under nohup ignores it
    with reread_on_hangup(held):
        os.kill(os.getpid(), signal.SIGHUP)
        deadline = time.monotonic() + 5
        while held.find(BOB) is None and time.monotonic() < deadline:
            pass
        assert held.find(BOB) is not None
    assert signal.getsignal(signal.SIGHUP) == before


@pytest.mark.parametrize(
    "table",
    [
        'name = "ci"\nsha256 = "abc"',
        'name = "c i"\nsha256 = "' + "0" * 64 + '"',
        'name = "ci"\nsha256 = "' + "0" * 64 + '"\nscopes = ["root"]',
        'name = "ci"\nsha256 = "' + "0" * 64 + '"\nkey = "oops"',
        'name = "ci"\nsha256 = "' + "0" * 64 + '"\nscopes = []',
    ],
)
def test_a_wrong_entry_in_the_file_is_told_with_its_line(tmp_path: Path, table: str) -> None:
    file = tmp_path / "vectormigrate.toml"
    file.write_text(f"\n\n[[server.keys]]\n{table}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"vectormigrate\.toml:3"):
        KeyRing.open(config=file)


def test_the_same_key_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        ring(f"a:read={ALICE}", f"b:admin={ALICE}")


def test_outside_of_a_request_nobody_asks() -> None:
    assert caller().scopes == frozenset()
    with pytest.raises(auth.Forbidden, match="migrations:read"):
        require(Scope.READ)
