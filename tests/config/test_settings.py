"""Settings, connections file and endpoints."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest
from pydantic import SecretStr

from vectormigrate.config.settings import (
    Endpoint,
    Settings,
    Side,
    complete_endpoint,
    endpoint_from_ref,
    endpoint_ref,
    load_settings,
    resolve_endpoint,
    safe_url,
)
from vectormigrate.errors import ConfigError
from vectormigrate.model.plan import EndpointRef

CANARY = "canary-7f3a91c2"

FILE = """\
# where things are
[settings]
state = "kept.db"

[connections.prod]
type = "milvus"
url = "http://db:19530"
api_key = "${MILVUS_TOKEN}"
collection = "docs"

[connections.prod.options]
database = "default"
deep = { list = ["a${SUFFIX}"], number = 3 }

[connections."with space"]
type = "qdrant_edge"
url = "./edge"
"""


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("STATE", "CONFIG", "SOURCE_API_KEY", "TARGET_API_KEY", "API_KEY"):
        monkeypatch.delenv(f"VECTORMIGRATE_{name}", raising=False)
    for name in ("MILVUS_TOKEN", "SUFFIX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    empty = tmp_path / "cwd"
    empty.mkdir()
    monkeypatch.chdir(empty)


def write(tmp_path: Path, text: str = FILE) -> Path:
    path = tmp_path / "connections.toml"
    path.write_text(text)
    path.chmod(0o600)
    return path


def settings(tmp_path: Path, text: str = FILE) -> Settings:
    return load_settings(config=write(tmp_path, text))


def failure(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)
    return str(caught.value)


# -- where state and connections are


def test_without_anything_the_state_is_in_the_users_data_folder(tmp_path: Path) -> None:
    found = load_settings()
    assert found.state.name == "state.db"
    assert found.state.parent.name == "vectormigrate"
    assert found.config is None
    assert found.connections.names == []


def test_flag_beats_environment_beats_file_beats_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write(tmp_path)
    assert load_settings(config=config).state == tmp_path / "kept.db"
    monkeypatch.setenv("VECTORMIGRATE_STATE", str(tmp_path / "env.db"))
    assert load_settings(config=config).state == tmp_path / "env.db"
    assert load_settings(config=config, state=tmp_path / "flag.db").state == tmp_path / "flag.db"


def test_an_empty_variable_counts_as_not_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORMIGRATE_STATE", "")
    assert load_settings(config=write(tmp_path)).state == tmp_path / "kept.db"


def test_the_connections_file_is_found_by_variable_then_here_then_in_the_users_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = Path(tmp_path / "config" / "vectormigrate" / "vectormigrate.toml")
    user.parent.mkdir(parents=True)
    user.write_text('[connections.user]\ntype = "memory"\n')
    assert load_settings().connections.names == ["user"]
    Path("vectormigrate.toml").write_text('[connections.here]\ntype = "memory"\n')
    assert load_settings().connections.names == ["here"]
    monkeypatch.setenv("VECTORMIGRATE_CONFIG", str(write(tmp_path)))
    assert load_settings().connections.names == ["prod", "with space"]


def test_settings_without_arguments_read_environment_and_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VECTORMIGRATE_CONFIG", str(write(tmp_path)))
    assert Settings().state == tmp_path / "kept.db"


# -- mistakes in the file


def test_a_file_that_was_named_and_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot read .*missing\.toml.*No such file"):
        load_settings(config=tmp_path / "missing.toml")


def test_a_folder_in_place_of_the_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot read"):
        load_settings(config=tmp_path)


def test_broken_toml_is_reported_with_its_line(tmp_path: Path) -> None:
    text = '[connections.prod]\ntype = "milvus"\nurl = http://db\n'
    assert "connections.toml:3: not valid TOML" in failure(tmp_path, text)


def test_toml_that_ends_too_early_is_reported_with_its_last_line(tmp_path: Path) -> None:
    assert "connections.toml:2: not valid TOML" in failure(tmp_path, '[connections.prod]\ntype = """milvus')


def test_bytes_that_are_no_text_are_reported_with_their_line(tmp_path: Path) -> None:
    path = tmp_path / "connections.toml"
    path.write_bytes(b'[connections.prod]\ntype = "\xff"\n')
    with pytest.raises(ConfigError, match=r"connections\.toml:2: .*UTF-8"):
        load_settings(config=path)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ('[connections.a]\ntype = "milvus"\n\nuri = "x"\n', 4, ["'uri'", "collection, collections, options"]),
        ('[connections.a]\ntype = "m"\n[connection.b]\ntype = "m"\n', 3, ["'connection'", "settings, connections"]),
        ('[settings]\nstat = "x"\n', 2, ["'stat'", "state"]),
        ('[connections]\na.type = "m"\na.uri = "x"\n', 3, ["'uri'"]),
        ('[connections."a b"]\ntype = "m"\n"ur l" = "x"\n', 3, ["'ur l'"]),
    ],
)
def test_an_unknown_key_is_reported_with_its_line_and_the_known_keys(
    tmp_path: Path, text: str, line: int, words: list[str]
) -> None:
    message = failure(tmp_path, text)
    assert f"connections.toml:{line}: unknown key" in message
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ('[connections.a]\ntype = "m"\nurl = 5\n', 3),
        ('[connections]\na = "milvus"\n', 2),
        ("connections = 3\n", 1),
        ('[connections.a]\ntype = "m"\noptions = "x"\n', 3),
        ('[connections.a]\nurl = "m"\n', 1),
    ],
)
def test_a_value_of_the_wrong_kind_is_reported_with_its_line(tmp_path: Path, text: str, line: int) -> None:
    assert f"connections.toml:{line}: " in failure(tmp_path, text)


def test_a_literal_secret_is_not_repeated_by_an_error_about_its_line(tmp_path: Path) -> None:
    assert CANARY not in failure(tmp_path, f'[connections.a]\ntype = "m"\napi_key = "{CANARY}\n')
    assert CANARY not in failure(tmp_path, f'[connections.a]\ntype = "m"\napi_key = ["{CANARY}"]\n')


# -- variables


def test_variables_are_filled_in_everywhere_also_inside_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", CANARY)
    monkeypatch.setenv("SUFFIX", "-z")
    found = resolve_endpoint(settings(tmp_path), "source", connection="prod")
    assert found.api_key == SecretStr(CANARY)
    assert found.options == {"database": "default", "deep": {"list": ["a-z"], "number": 3}}


def test_a_variable_that_is_not_set_is_named_with_connection_and_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUFFIX", "")
    with pytest.raises(ConfigError, match=r"connections\.toml:8: connection 'prod' .*MILVUS_TOKEN.* not set"):
        resolve_endpoint(settings(tmp_path), "source", connection="prod")


def test_a_variable_that_is_not_set_does_not_matter_to_another_connection(tmp_path: Path) -> None:
    found = resolve_endpoint(settings(tmp_path), "source", connection="with space", collection="docs")
    assert (found.type, found.url) == ("qdrant_edge", "./edge")


@pytest.mark.parametrize("wrong", ["${}", "${A B}", "${OPEN", "${1A}"])
def test_something_like_a_variable_is_reported_with_its_line(tmp_path: Path, wrong: str) -> None:
    text = f'[connections.a]\ntype = "m"\nurl = "{wrong}"\n'
    with pytest.raises(ConfigError, match=r"connections\.toml:3: .*\$\{NAME\}"):
        resolve_endpoint(settings(tmp_path, text), "source", connection="a", collection="docs")


def test_two_dollars_write_a_plain_one(tmp_path: Path) -> None:
    text = '[connections.a]\ntype = "m"\nurl = "$${x} $y"\n'
    assert resolve_endpoint(settings(tmp_path, text), "", connection="a", collection="docs").url == "${x} $y"


# -- a secret in the file


@pytest.mark.parametrize(
    ("mode", "key", "warned"),
    [
        (0o644, CANARY, True),
        (0o640, CANARY, True),
        (0o600, CANARY, False),
        (0o644, "${MILVUS_TOKEN}", False),
    ],
)
def test_a_key_in_a_file_that_others_can_read_is_warned_of(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: int, key: str, warned: bool
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", CANARY)
    path = write(tmp_path, f'[connections.a]\ntype = "m"\napi_key = "{key}"\n')
    path.chmod(mode)
    heard: list[str] = []
    found = resolve_endpoint(load_settings(config=path), connection="a", collection="c", warn=heard.append)
    assert found.api_key == SecretStr(CANARY)
    assert bool(heard) is warned
    assert all("connections.toml:3" in text and "chmod 600" in text and CANARY not in text for text in heard)


# -- endpoints from flags


def test_a_typed_key_is_used_and_only_marked_as_given(tmp_path: Path) -> None:
    found = resolve_endpoint(load_settings(), "source", type="milvus", url="http://db", collection="c", api_key=CANARY)
    assert found.api_key == SecretStr(CANARY)
    assert found.api_key_ref == "given"
    assert CANARY not in repr(found)


def test_a_key_may_be_read_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    found = resolve_endpoint(load_settings(), "target", type="milvus", collection="c", api_key="env:MY_KEY")
    assert (found.api_key, found.api_key_ref) == (SecretStr(CANARY), "env:MY_KEY")


@pytest.mark.parametrize("value", [None, ""])
def test_a_key_variable_that_is_not_set_is_an_error(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    if value is not None:
        monkeypatch.setenv("MY_KEY", value)
    with pytest.raises(ConfigError, match=r"MY_KEY.*not set.*request\.target\.api_key"):
        resolve_endpoint(load_settings(), "target", type="milvus", collection="c", api_key="env:MY_KEY")


def test_a_key_is_read_from_a_file_and_only_the_path_is_stored_which_leads_there_from_everywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text(f"{CANARY}\n")
    monkeypatch.chdir(tmp_path)
    found = resolve_endpoint(
        load_settings(), "source", type="milvus", url="http://db", collection="c", api_key="file:key"
    )
    assert (found.api_key, found.api_key_ref) == (SecretStr(CANARY), f"file:{tmp_path / 'key'}")
    stored = endpoint_ref(found, "db")
    assert CANARY not in json.dumps(asdict(stored))
    monkeypatch.chdir("/")
    again = endpoint_from_ref(load_settings(), stored, "source")
    assert (again.api_key, again.api_key_ref) == (found.api_key, found.api_key_ref)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"\xff\xfe", "no text"),
        (b"k" * 70_000, "too large"),
    ],
)
def test_a_file_without_a_key_is_an_error_that_names_it(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ConfigError, match=f"{path}.*{why}"):
        resolve_endpoint(load_settings(), "target", type="milvus", collection="c", api_key=f"file:{path}")


@pytest.mark.parametrize(
    ("side", "name"), [("source", "SOURCE_API_KEY"), ("target", "TARGET_API_KEY"), ("", "API_KEY")]
)
def test_without_flag_the_variable_of_the_side_holds_the_key(
    monkeypatch: pytest.MonkeyPatch, side: Side, name: str
) -> None:
    monkeypatch.setenv(f"VECTORMIGRATE_{name}", CANARY)
    found = resolve_endpoint(load_settings(), side, type="milvus", collection="c")
    assert (found.api_key, found.api_key_ref) == (SecretStr(CANARY), f"env:VECTORMIGRATE_{name}")


def test_a_connections_own_key_goes_before_the_variable_of_the_side_and_after_the_flag(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "own")
    monkeypatch.setenv("SUFFIX", "")
    monkeypatch.setenv("VECTORMIGRATE_SOURCE_API_KEY", "side")
    own = resolve_endpoint(settings(tmp_path), "source", connection="prod")
    assert (own.api_key, own.api_key_ref) == (SecretStr("own"), None)
    typed = resolve_endpoint(settings(tmp_path), "source", connection="prod", api_key="typed")
    assert (typed.api_key, typed.api_key_ref) == (SecretStr("typed"), "given")


def test_a_connection_has_a_collection_of_its_own_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MILVUS_TOKEN", "own")
    monkeypatch.setenv("SUFFIX", "")
    assert resolve_endpoint(settings(tmp_path), "source", connection="prod").collection == "docs"
    assert resolve_endpoint(settings(tmp_path), "source", connection="prod", collection="b").collection == "b"


def test_an_endpoint_needs_a_connection_or_a_type() -> None:
    with pytest.raises(ConfigError, match=r"missing `request\.source\.connection` .* or `request\.source\.type"):
        resolve_endpoint(load_settings(), "source", url="http://db", collection="c")


@pytest.mark.parametrize("more", [{"type": "milvus"}, {"url": "http://x"}])
def test_a_connection_excludes_the_flags_that_it_answers(tmp_path: Path, more: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match=r"either `request\.target\.connection` or `request\.target\..* not both"):
        resolve_endpoint(settings(tmp_path), "target", connection="with space", collection="c", **more)  # pyright: ignore[reportArgumentType]


def test_an_endpoint_needs_a_collection(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing `request\.source\.collection`"):
        resolve_endpoint(settings(tmp_path), "source", connection="with space")


def test_an_unknown_connection_is_reported_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no connection 'prd'.*prod, with space"):
        resolve_endpoint(settings(tmp_path), "source", connection="prd", collection="c")
    with pytest.raises(ConfigError, match=r"no connection 'prd'.*there is no vectormigrate\.toml"):
        resolve_endpoint(load_settings(), "source", connection="prd", collection="c")


@pytest.mark.parametrize("url", [f"http://u:{CANARY}@db:1", f"http://db/x?k={CANARY}", f"http://db/#{CANARY}"])
def test_a_url_with_a_secret_in_it_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(ConfigError, match=r"request\.source\.api_key") as caught:
        resolve_endpoint(load_settings(), "source", type="milvus", url=url, collection="c")
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://u:p@db:19530/x?k=v#f", "http://db:19530/x"),
        ("https://db", "https://db"),
        ("./a@b?c.db", "./a@b?c.db"),
        ("http://u:p@[::1", "http://…"),
        ("", ""),
    ],
)
def test_people_see_a_url_without_user_query_and_fragment(url: str, shown: str) -> None:
    assert safe_url(url) == shown


# -- what is stored, and back


def test_nothing_of_a_connection_is_stored_but_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = '[connections.a]\ntype = "m"\nurl = "http://u:${K}@db"\napi_key = "${K}"\noptions = {p = "${K}"}\n'
    monkeypatch.setenv("K", CANARY)
    endpoint = resolve_endpoint(settings(tmp_path, text), "source", connection="a", collection="c")
    assert CANARY in endpoint.url
    assert CANARY not in repr(endpoint)
    ref = endpoint_ref(endpoint, "db/c")
    assert CANARY not in json.dumps(asdict(ref))
    assert (ref.connection, ref.api_key_ref, ref.type) == ("a", None, "m")
    back = endpoint_from_ref(settings(tmp_path, text), ref, "source")
    assert back == endpoint


def test_a_variable_key_is_found_again_from_its_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", CANARY)
    endpoint = resolve_endpoint(
        load_settings(), "source", type="m", url="http://db", collection="c", api_key="env:MY_KEY", options={"o": 1}
    )
    ref = endpoint_ref(endpoint, "db/c")
    assert CANARY not in json.dumps(asdict(ref))
    assert endpoint_from_ref(load_settings(), ref, "source") == endpoint
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(ConfigError, match=r"MY_KEY.*request\.source\.api_key"):
        endpoint_from_ref(load_settings(), ref, "source")
    assert endpoint_from_ref(load_settings(), ref, "source", "typed").api_key == SecretStr("typed")


def test_a_typed_key_must_be_given_again(monkeypatch: pytest.MonkeyPatch) -> None:
    ref = EndpointRef(type="m", collection="c", url="http://db", api_key_ref="given")
    with pytest.raises(ConfigError, match=r"request\.target\.api_key`, or set VECTORMIGRATE_TARGET_API_KEY"):
        endpoint_from_ref(load_settings(), ref, "target")
    assert endpoint_from_ref(load_settings(), ref, "target", CANARY).api_key == SecretStr(CANARY)
    monkeypatch.setenv("VECTORMIGRATE_TARGET_API_KEY", CANARY)
    assert endpoint_from_ref(load_settings(), ref, "target").api_key == SecretStr(CANARY)


def test_a_connection_that_was_overridden_by_a_typed_key_needs_it_again(tmp_path: Path) -> None:
    found = settings(tmp_path)
    endpoint = resolve_endpoint(found, "target", connection="with space", collection="c", api_key=CANARY)
    ref = endpoint_ref(endpoint, "x")
    with pytest.raises(ConfigError, match=r"request\.target\.api_key"):
        endpoint_from_ref(found, ref, "target")


def test_a_connection_that_is_gone_is_an_error() -> None:
    ref = EndpointRef(type="m", collection="c", connection="gone")
    with pytest.raises(ConfigError, match="no connection 'gone'"):
        endpoint_from_ref(load_settings(), ref, "source")


def test_a_program_may_name_a_connection_only(tmp_path: Path) -> None:
    found = settings(tmp_path)
    bare = Endpoint(connection="with space", collection="c")
    full = complete_endpoint(found, bare)
    assert (full.type, full.url, full.collection) == ("qdrant_edge", "./edge", "c")
    assert complete_endpoint(found, full) is full
    keyed = complete_endpoint(found, Endpoint(connection="with space", collection="c", api_key=SecretStr(CANARY)))
    assert (keyed.api_key, keyed.api_key_ref) == (SecretStr(CANARY), "given")


def test_a_program_that_passes_a_key_or_a_secret_url_stores_neither() -> None:
    ref = endpoint_ref(Endpoint(type="m", url="http://db", collection="c", api_key=SecretStr(CANARY)), "db/c")
    assert ref.api_key_ref == "given"
    with pytest.raises(ConfigError, match="may be secret"):
        endpoint_ref(Endpoint(type="m", url=f"http://u:{CANARY}@db", collection="c"), "db/c")
