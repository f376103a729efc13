"""Where a collection is, as text and as an address."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from vectormigrate.adapters.milvus import MilvusConfig


def config(url: str, **options: object) -> MilvusConfig:
    return MilvusConfig(url=url, collection="docs", **options)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    ("url", "options", "location"),
    [
        ("http://Host:19530", {}, "milvus:http://host:19530/default#docs"),
        ("http://host", {}, "milvus:http://host:19530/default#docs"),
        ("https://host/", {}, "milvus:https://host:443/default#docs"),
        ("http://user:secret@host:1", {}, "milvus:http://host:1/default#docs"),
        ("http://host:1/shop", {}, "milvus:http://host:1/shop#docs"),
        ("http://host:1", {"database": "shop"}, "milvus:http://host:1/shop#docs"),
        ("http://[::1]:7", {}, "milvus:http://[::1]:7/default#docs"),
    ],
)
def test_a_server_location_is_canonical_and_holds_no_credential(
    url: str, options: dict[str, str], location: str
) -> None:
    assert config(url, **options).location() == location


def test_a_lite_location_is_the_real_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    monkeypatch.chdir(tmp_path)
    expected = f"milvus:{tmp_path.resolve()}/real/a.db/default#docs"
    assert config("link/a.db").location() == config("real/../real/a.db").location() == expected


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.sqlite",
        "ftp://host",
        "http://",
        "http://host:notaport",
        "http://host:99999",
        "http://h/a/b",
        "http://h?x=1",
    ],
)
def test_a_url_that_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        config(url)


def test_two_different_databases_are_refused() -> None:
    with pytest.raises(ValidationError, match="two databases"):
        config("http://host:1/a", database="b")


def test_the_token_is_the_key_or_the_user_info_and_is_never_shown() -> None:
    assert config("http://host").token() is None
    assert config("http://us%40er:p%3Aw@host").token() == "us@er:p:w"
    keyed = config("https://host", api_key=SecretStr("secret"))
    assert keyed.token() == "secret"
    assert "secret" not in repr(keyed) + keyed.model_dump_json() + keyed.location()
