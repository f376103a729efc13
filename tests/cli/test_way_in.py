"""The first hour: what there is, what it can be told, and errors that say whose they are and what to do."""

from __future__ import annotations

import stat
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from tests.cli.collections import ends, seed
from tests.cli.process import Shell
from vectormigrate import registry
from vectormigrate.cli.hints import hints
from vectormigrate.cli.init import TEXT
from vectormigrate.config.settings import Endpoint, Settings, endpoint_from_ref, endpoint_ref, resolve_endpoint
from vectormigrate.engine.connect import end_of, open_ends
from vectormigrate.errors import AdapterError, CollectionNotFound, End, VectorMigrateError, near
from vectormigrate.model.plan import RunOptions
from vectormigrate.service.options import PLACE, option_lines

ENGINE = "qdrant_edge"
DEAD = "http://127.0.0.1:1"
QDRANT = [
    "--source-type",
    "qdrant",
    "--source-url",
    DEAD,
    "--source-option",
    "grpc_port=2",
    "--source-collection",
    "docs",
]


def kinds(kind: type[AdapterError] = AdapterError) -> Iterator[type[AdapterError]]:
    """Every error of a database."""
    yield kind
    for below in kind.__subclasses__():
        yield from kinds(below)


@pytest.mark.parametrize("kind", list(kinds()), ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("connection", [None, "prod"])
def test_every_error_of_a_database_names_side_and_place_and_a_way_out(
    kind: type[AdapterError], connection: str | None
) -> None:
    error = kind("no", adapter="qdrant", operation="open")
    assert hints(error)
    error.end = End(side="source", type="qdrant", place=DEAD, collection="docs", connection=connection, key="env:K")
    assert str(error).startswith("source, ")
    shown = [str(error), *hints(error)]
    assert "qdrant:open: no" in shown[0]
    assert any(DEAD in line for line in shown)
    assert (connection or DEAD) in shown[0]
    assert len(shown) > 1


MEANT: list[tuple[list[str], list[str]]] = [
    (["--source-type", "qdrnat", "--source-url", "x", "--source-collection", "docs"], ["did you mean 'qdrant'?"]),
    (["--source-type", "milvus-lite", "--source-url", "x", "--source-collection", "docs"], ["of type 'milvus'"]),
    (["--source", "prd"], ["no connection 'prd'", "vectormigrate.toml", "did you mean 'prod'?"]),
    ([*QDRANT, "--source-option", "timeot=3"], ["source: ", "did you mean 'timeout'?", "options qdrant"]),
    (
        ["--source-type", "qdrant", "--source-url", "127.0.0.1:6333", "--source-collection", "docs"],
        ["source: ", "did you mean http://127.0.0.1:6333?"],
    ),
    (QDRANT, [f"source, qdrant at '{DEAD}'", f"doctor --type qdrant --url {DEAD}"]),
    (
        ["--source", "prod", "--source-collection", "docs"],
        ["source, connection 'prod'", f"'prod' is qdrant at '{DEAD}'", "vectormigrate doctor prod"],
    ),
    (ends(index="dcos")[:6], ["source, qdrant_edge at", "did you mean 'docs'?", "vectormigrate collections"]),
    ([*ends()[:6], "--exclude", "tittle"], ["did you mean 'title'?"]),
    ([*ends()[:6], "--vector", "txt"], ["did you mean 'text'?"]),
    ([*ends()[:6], "--namespace", "x"], ["no namespace 'x'"]),
    ([*ends()[:6], "--accept-loss", "null-value"], ["did you mean 'null-values'?"]),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    folder = tmp_path_factory.mktemp("way-in")
    seed(folder / "source", "docs", 20)
    (folder / "vectormigrate.toml").write_text(
        f'[connections.prod]\ntype = "qdrant"\nurl = "{DEAD}"\n[connections.prod.options]\ngrpc_port = 2\n'
        '[connections.edge]\ntype = "qdrant-edge"\nurl = "source"\n'
    )
    return Shell(folder)


@pytest.mark.parametrize(("arguments", "words"), MEANT, ids=[" ".join(words)[:50] for _, words in MEANT])
def test_a_mistake_is_answered_with_what_was_meant(world: Shell, arguments: list[str], words: list[str]) -> None:
    ended = world.run("migrate", "meant", *arguments, *ends()[6:])
    assert ended.code in (1, 2, 4)
    for word in words:
        assert word in ended.err, ended.err
    assert "Value error" not in ended.err
    assert len(ended.err.splitlines()[0]) < 700
    assert not (world.folder / "target").exists()


def test_a_refused_loss_is_explained_and_the_target_takes_the_name_of_the_source(world: Shell) -> None:
    target = ["--target-type", "pinecone", "--target-api-key", "nobody", "--target-url", DEAD]
    refused = world.run("migrate", "named", *ends()[:6], "--exclude", "title", *ends()[6:8], "--target-url", "named")
    assert refused.code == 0, refused.err
    assert world.run("status", "named", "--json").document["target"].endswith("/docs")
    assert f"target, pinecone at '{DEAD}'" in world.run("migrate", "n", *ends()[:6], *target).err
    missing = world.run("status", "n1").err
    assert "no migration 'n1'" in missing
    assert "state.db" in missing
    assert "did you mean 'm'?" not in missing
    assert "did you mean 'mm'" not in world.run("status", "mmm").err


def test_the_losses_of_an_error_carry_their_meaning_and_count() -> None:
    from vectormigrate.errors import LossNotAccepted
    from vectormigrate.model.plan import Loss, Outcome

    loss = Loss(name="vector-field:terms", outcome=Outcome.LOSSY, count=12_000, detail="Weaviate holds no sparse one")
    error = LossNotAccepted({loss.name: loss.told()})
    assert "Weaviate holds no sparse one: 12,000 records" in str(error)
    assert "--dry-run" in hints(error)[0]


@pytest.mark.parametrize("name", registry.offered())
def test_every_option_of_every_database_has_a_meaning(name: str) -> None:
    lines = {line.name: line for line in option_lines(name)}
    assert set(lines) == set(registry.load(name).config.model_fields) - set(PLACE)
    for line in lines.values():
        assert line.meaning, f"{name}.{line.name}: say in the docstring of the configuration what it is"
        assert line.value, line


def test_options_are_listed_for_every_database_and_memory_is_not_offered(world: Shell) -> None:
    text = world.run("options").out
    for word in ("grpc_port", "index_kind", "activate_tenants", "count_by_scan", "optimize"):
        assert word in text
    assert {line["type"] for line in world.run("options", "qdrant", "--json").document["options"]} == {"qdrant"}
    for command in (["options"], ["doctor"], ["migrate", "--help"], ["schema", "recommend", "--help"]):
        text = " ".join(world.run(*command).out.split()).replace("costs the server memory", "")
        assert "memory" not in text.split(), command
    wide = Shell(world.folder, {"COLUMNS": "200"}).run("migrate", "--help").out
    assert "pinecone, qdrant, weaviate, milvus" in wide


def test_an_option_beside_a_connection_wins_and_is_remembered(world: Shell) -> None:
    settings = Settings(config=world.folder / "vectormigrate.toml", state=world.folder / "s.db")
    given = resolve_endpoint(settings, "source", connection="prod", collection="docs", options={"grpc_port": 9})
    assert given.options == {"grpc_port": 9}
    ref = endpoint_ref(given, "x")
    assert (ref.connection, ref.options) == ("prod", {"grpc_port": 9})
    assert endpoint_from_ref(settings, ref, "source").options == {"grpc_port": 9}
    plain = resolve_endpoint(settings, "source", connection="prod", collection="docs")
    assert (plain.options, endpoint_ref(plain, "x").options) == ({"grpc_port": 2}, {})
    ended = world.run("migrate", "inline", "--source", "prod", "--source-url", "http://elsewhere", *ends()[6:])
    assert "--source or --source-url" in ended.err


def test_init_makes_a_file_that_is_valid_once_its_comments_are_taken_away(shell: Shell) -> None:
    assert shell.run("init").code == 0
    path = shell.folder / "vectormigrate.toml"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert shell.run("doctor", "--json").document["ok"]
    assert "exists" in shell.run("init").err
    lines = TEXT.splitlines()[3:]
    data = tomllib.loads("\n".join(line.removeprefix("# ") for line in lines))
    assert {item["type"] for item in data["connections"].values()} == set(registry.offered())
    path.write_text("\n".join(line.removeprefix("# ") for line in lines))
    for name, item in data["connections"].items():
        registry.load(item["type"]).config(
            url=item.get("url", "https://api.pinecone.io"), collection="Docs", **item.get("options", {})
        )
        assert name in Settings(config=path).connections.names


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        ("status ", "m"),
        ("migrate x --source ", "prod"),
        ("migrate x --source-type q", "qdrant"),
        ("migrate x --accept-loss null", "null-values"),
        ("options p", "pinecone"),
        ("doctor e", "edge"),
    ],
)
def test_the_shell_completes_values(world: Shell, words: str, wanted: str) -> None:
    if wanted == "m":
        world.run("migrate", "m", *ends()[:6], *ends()[6:8], "--target-url", "completed")
    count = len(words.split()) if words.endswith(" ") else len(words.split()) - 1
    more = {
        "_VECTORMIGRATE_COMPLETE": "complete_bash",
        "COMP_WORDS": f"vectormigrate {words}",
        "COMP_CWORD": str(count + 1),
    }
    ended = Shell(world.folder, more).run()
    assert wanted in ended.out.split()


@pytest.mark.anyio
async def test_an_error_belongs_to_the_side_that_it_came_from(tmp_path: Path) -> None:
    source = Endpoint(type=ENGINE, url=str(tmp_path / "a"), collection="a", side="source")
    target = Endpoint(type=ENGINE, url=str(tmp_path / "b"), collection="b", side="target", api_key=SecretStr("hidden"))
    async with open_ends(source, target, RunOptions(), lambda _: None) as both:
        for end, where in ((both.source, source), (both.target, target)):
            with pytest.raises(CollectionNotFound) as caught:
                await end.describe()
            assert caught.value.end == end_of(where)
    with pytest.raises(VectorMigrateError) as failed:
        async with open_ends(source, target, RunOptions(), lambda _: None) as both:
            await both.target.describe()
    assert str(failed.value).startswith("target, qdrant_edge at ")
    assert "hidden" not in repr(failed.value.__dict__)


def test_near_names_ignore_case_and_dashes() -> None:
    assert near("Docs-New", ["docs_new", "other"]) == ["docs_new"]
    assert near("zzz", ["docs"]) == []
