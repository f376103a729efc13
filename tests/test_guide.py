"""The guide in examples/guide: its commands run, its names exist, its links lead somewhere, nothing public is missing.

A `bash` block runs, in one folder per page, with the connections `prod` (60 records) and `new` (empty). An `sh` block
is for other servers than a test has: only its flags, extras and modules are checked.
"""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import tomllib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import typer

from tests.cli.collections import seed
from tests.pairs_table import table, written
from vectormigrate import Settings, VectorMigrateError, registry
from vectormigrate.cli.errors import guarded
from vectormigrate.cli.main import app
from vectormigrate.cli.verbs_serve import SERVER_KEYS
from vectormigrate.mapping.losses import EFFECTS

ROOT = Path(__file__).parent.parent
GUIDE = ROOT / "examples" / "guide"
PAGES = sorted(GUIDE.rglob("*.md"))
TEXTS = {page: page.read_text(encoding="utf-8") for page in [ROOT / "README.md", *PAGES]}
CONNECTIONS = """
[connections.prod]
type = "qdrant_edge"
url = "./prod"
[connections.new]
type = "qdrant_edge"
url = "./new"
"""
ELSEWHERE = {"claude", "python3"}
"""Programs in `sh` blocks that are not ours."""


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", TEXTS[page], re.MULTILINE | re.DOTALL)


def pages_with(language: str) -> list[Path]:
    return [page for page in PAGES if blocks(page, language)]


def commands(block: str) -> Iterator[list[str]]:
    """The commands of a shell block as words."""
    for line in block.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        while "&&" in words:
            yield words[: words.index("&&")]
            words = words[words.index("&&") + 1 :]
        if words:
            yield words


def vectormigrate(*words: str) -> int:
    """Run a command line in this process."""
    main = partial(typer.main.get_command(app).main, prog_name="vectormigrate", standalone_mode=False)
    return guarded(partial(main, args=list(words)), as_json=False)


def flags(words: list[str]) -> set[str]:
    """The flags of the command that these words begin with."""
    command: Any = typer.main.get_command(app)
    for word in words:
        if not getattr(command, "commands", {}):
            break
        command = command.commands[word]
    return {flag for item in command.params for flag in (*item.opts, *item.secondary_opts)}


@pytest.fixture(scope="module")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("guide")
    seed(folder / "prod", "docs", 60)
    return folder


@pytest.fixture
def folder(seeded: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory as the guide assumes it."""
    shutil.copytree(seeded / "prod", tmp_path / "prod")
    (tmp_path / "new").mkdir()
    (tmp_path / "vectormigrate.toml").write_text(CONNECTIONS)
    (tmp_path / "vectormigrate.toml").chmod(0o600)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("VECTORMIGRATE_STATE", str(tmp_path / "state.db"))
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("page", pages_with("bash"), ids=name)
@pytest.mark.usefixtures("folder")
def test_the_commands_of_a_page_run(page: Path) -> None:
    for block in blocks(page, "bash"):
        for program, *words in commands(block):
            assert program == "vectormigrate", f"a block of other programs is marked sh: {program}"
            assert vectormigrate(*words) == 0, words


@pytest.mark.parametrize("page", pages_with("sh"), ids=name)
def test_the_flags_extras_and_modules_in_commands_for_other_servers_exist(page: Path) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    for block in blocks(page, "sh"):
        for program, *words in commands(block):
            match Path(program).name, words:
                case "vectormigrate", _:
                    assert {word for word in words if word.startswith("--")} <= flags(words), words
                case "pip", ["install", what]:
                    assert {*re.findall(r"[a-z-]+", what.partition("[")[2])} <= {*extras}, what
                case "python", ["-m", module, *_]:
                    assert importlib.util.find_spec(module), module
                case "python", [script]:
                    assert (ROOT / script).exists(), script
                case "curl", _:
                    (call,) = [json.loads(word) for word in words if word.startswith('{"jsonrpc"')]
                    assert call["method"] in tools()
                case other, _:
                    assert other in ELSEWHERE, other


@pytest.mark.parametrize("page", pages_with("python"), ids=name)
def test_the_python_of_a_page_runs(folder: Path, page: Path) -> None:
    for block in blocks(page, "python"):
        exec(compile(block, name(page), "exec"), {"__name__": "__main__"})


@pytest.mark.parametrize("page", pages_with("toml"), ids=name)
def test_the_connections_files_of_a_page_are_valid(folder: Path, page: Path) -> None:
    for block in blocks(page, "toml"):
        (folder / "checked.toml").write_text(block)
        read = Settings(config=folder / "checked.toml").connections
        assert {*read.server} <= {*SERVER_KEYS}
        for entry in read.data.get("connections", {}).values():
            assert {*entry.get("options", {})} <= {*registry.load(entry["type"]).config.model_fields}


def test_the_json_in_the_guide_is_json() -> None:
    for page in pages_with("json"):
        for block in blocks(page, "json"):
            json.loads(block)


def slugs(text: str) -> set[str]:
    """The anchors of a page's headings."""
    heads = re.findall(r"^#+ (.*)", text, re.MULTILINE)
    return {re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", head).strip().lower()) for head in heads}


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_every_link_leads_to_a_file_and_a_heading(page: Path) -> None:
    for link in re.findall(r"\]\(([^):]+)\)", TEXTS[page]):
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in slugs(TEXTS[target]), link


BANNED = r"\b(says?|said|tells?|told|go(es)? on|beside|anew|mend(s|ed|ing)?)\b"


@pytest.mark.parametrize("page", TEXTS, ids=name)
def test_a_page_uses_the_standard_words(page: Path) -> None:
    assert [match[0] for match in re.finditer(BANNED, TEXTS[page], re.IGNORECASE)] == []


def test_every_page_can_be_reached_from_the_first_one() -> None:
    linked = {(GUIDE / link).resolve() for link in re.findall(r"\]\(([^):#]+)\)", TEXTS[GUIDE / "index.md"])}
    assert linked | {GUIDE / "index.md"} == {*PAGES}


def test_the_site_and_its_list_for_programs_hold_every_page() -> None:
    listed = re.findall(r"\]\((\S+\.md)\)", script("build").llms())
    assert sorted(listed) == sorted(str(page.relative_to(GUIDE)) for page in PAGES)


@pytest.mark.skipif(importlib.util.find_spec("zensical") is None, reason="needs the extra docs")
def test_the_site_builds_with_strict_links() -> None:
    script("build").build()
    assert (ROOT / ".docs" / "site" / "index.html").exists()


def test_the_tables_of_outcomes_are_those_of_the_planner() -> None:
    arguments, text = written()
    assert text == table(arguments), "write it again with: python -m tests.pairs_table"


# What the pages that are made from the code may not miss.


def script(stem: str) -> ModuleType:
    """A module of .docs."""
    spec = importlib.util.spec_from_file_location(stem, ROOT / ".docs" / f"{stem}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tools() -> set[str]:
    from vectormigrate.server.app import build

    return {*build(Settings(config=None)).tools}


def test_the_pages_made_from_the_code_are_up_to_date() -> None:
    stale = [
        name(path) for path, text in script("reference").generated().items() if path.read_text(encoding="utf-8") != text
    ]
    assert stale == [], "write them again with: python .docs/reference.py"


def errors(kind: type[VectorMigrateError]) -> Iterator[type[VectorMigrateError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == kind.__module__:
            yield from errors(child)


def literals(*pages: str) -> set[str]:
    """What these pages, or all, show as code."""
    shown = [TEXTS[GUIDE / page] for page in pages] or [TEXTS[page] for page in PAGES]
    return {*re.findall(r"`([^`\n]+)`", "\n".join(shown))}


def test_every_error_has_a_way_out_and_an_exit_code() -> None:
    kinds = [*errors(VectorMigrateError)]
    assert {kind.__name__ for kind in kinds} <= literals("troubleshooting.md")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", TEXTS[GUIDE / "reference/exit-codes.md"], re.M)}
    assert documented == {kind.exit_code for kind in kinds} | {0}


def test_the_architecture_page_shows_every_room() -> None:
    rooms = {path.parent.name for path in (ROOT / "vectormigrate").glob("*/__init__.py")}
    assert rooms <= literals("architecture.md")


def test_every_tool_is_explained_by_hand_and_in_the_reference() -> None:
    assert tools() <= literals("mcp.md")
    assert {f"## {tool}" for tool in tools()} <= {*TEXTS[GUIDE / "reference/tools.md"].splitlines()}


def test_every_loss_option_metric_and_verb_is_on_a_page() -> None:
    shown = {literal.removesuffix(":…") for literal in literals()}
    assert {*EFFECTS} <= shown
    for type_name in registry.offered():
        assert {*registry.load(type_name).config.model_fields} <= shown, type_name
    dashboard = (ROOT / "examples" / "grafana-dashboard.json").read_text(encoding="utf-8")
    series = {re.sub(r"_(bucket|sum|count)$", "", found) for found in re.findall(r"vectormigrate_\w+", dashboard)}
    assert series <= shown
    verbs = {f"## vectormigrate {verb}" for verb in leaves(typer.main.get_command(app))}
    assert verbs <= {*TEXTS[GUIDE / "reference/commands.md"].splitlines()}


def leaves(command: object, path: str = "") -> Iterator[str]:
    children = getattr(command, "commands", {})
    for child, inner in children.items():
        yield from leaves(inner, f"{path} {child}")
    if not children:
        yield path.strip()


def test_every_file_of_an_adapter_has_its_role_on_the_page_and_every_role_is_some_file() -> None:
    text = TEXTS[GUIDE / "adding-a-database.md"]
    table = re.findall(r"^\| (`.*`) \| (.+) \|$", text, re.MULTILINE)
    own = text[text.index("What only one database needs") : text.index("A folder in a folder")]
    named = [name for names, _ in table for name in re.findall(r"`(\w+)`", names)]
    named += re.findall(r"`(\w+)`", own)
    adapters = ROOT / "vectormigrate" / "adapters"
    files = {path.stem for path in adapters.rglob("*.py")} - {"__init__"}
    assert sorted(named) == sorted(files)
    assert len({role for _, role in table}) == len(table)
