"""The house rules that a machine can check."""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import get_type_hints

import typer

from vectormigrate import registry
from vectormigrate.adapter import Capabilities, Source, Target
from vectormigrate.mapping.limits import STORED

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "vectormigrate"
DATABASES = registry.offered()
TOP_LEVEL = {"pyproject.toml", "vectormigrate", "tests", "examples", "README.md", "LICENSE"}
ROOMS = {
    *("__init__.py", "__main__.py", "py.typed", "errors.py", "figures.py", "registry.py"),
    *("model", "config", "adapter", "adapters", "mapping", "state", "engine", "advice", "validation", "capture"),
    *("service", "server", "cli"),
}
"""A new module at the top is a drawer that nobody finds again: it belongs into one of these."""


def sources(*excluded: str) -> list[Path]:
    files = [path for path in PACKAGE.rglob("*.py") if path.relative_to(PACKAGE).parts[0] not in excluded]
    assert files
    return files


def test_modules_import_only_what_lies_below_them() -> None:
    # In a process of its own: it switches off every logger that exists.
    code = "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


def test_the_package_has_these_rooms_and_no_others() -> None:
    assert {path.name for path in PACKAGE.iterdir()} - {"__pycache__"} == ROOMS


def test_no_two_modules_and_no_two_folders_of_a_room_import_each_other() -> None:
    imports = {name: imported(path) for name, path in MODULES.items()}
    assert circles(imports) == []
    for room in sorted({".".join(name.split(".")[:2]) for name in MODULES if name.count(".") > 2}):
        folders: dict[str, set[str]] = {}
        for name, others in imports.items():
            if name.startswith(f"{room}.") and name != room:
                own = name.split(".")[2]
                there = {other.split(".")[2] for other in others if other.startswith(f"{room}.")}
                folders.setdefault(own, set()).update(there - {own})
        if room != "vectormigrate.adapters":  # the folders of databases never import each other (import-linter)
            assert circles(folders) == [], room


def test_a_circle_is_found_however_long_it_is() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"a"}, "d": {"a"}}) == [["a", "b", "c"]]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


MODULES = {name_of(path): path for path in PACKAGE.rglob("*.py")}


def imported(path: Path) -> set[str]:
    """The modules of ours that a module imports, at the top, in a function or for its types only."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in MODULES else node.module for name in inner}
    return (found & MODULES.keys()) - {name_of(path)}


def circles(imports: dict[str, set[str]]) -> list[list[str]]:
    """Groups of names that reach each other."""
    reach = {name: set(others) for name, others in imports.items()}
    while True:
        longer = {
            name: others | {far for near in others for far in reach.get(near, ())} for name, others in reach.items()
        }
        if longer == reach:
            break
        reach = longer
    groups = {
        tuple(sorted(other for other in others if name in reach.get(other, ())))
        for name, others in reach.items()
        if name in others
    }
    return sorted(map(list, groups))


def test_nothing_above_the_adapters_decides_by_the_name_of_a_database() -> None:
    pattern = re.compile(rf"""(==|!=|\bcase\b|\bin\b)\s*\(?["']({"|".join(DATABASES)})""")
    for path in sources("adapters", "cli"):
        assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_a_verb_of_the_contract_is_declared_in_the_contract_the_adapters_and_the_retry_wrapper_only() -> None:
    verbs = {name for role in (Source, Target) for name, value in vars(role).items() if inspect.isfunction(value)}
    verbs = {name for name in verbs if not name.startswith("_")}
    assert {"scan", "counts", "upsert", "make_namespaces"} <= verbs
    declared: set[str] = set()
    for path in sources("adapters", "service"):  # the verbs of the service are those of people
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in (item for item in ast.walk(tree) if isinstance(item, ast.ClassDef)):
            names = {item.name for item in node.body if isinstance(item, ast.AsyncFunctionDef)}
            if len(names & verbs) > 2:
                declared.add(f"{path.relative_to(PACKAGE)}:{node.name}")
    retry = {f"engine/retry.py:Retrying{role}" for role in ("Source", "Target")}
    assert declared == {f"adapter/contract.py:{role}" for role in ("Source", "Target")} | retry


def test_every_field_of_the_capabilities_is_read_above_the_adapters() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources("adapters", "adapter"))
    unread = [
        f"{group.name}.{item.name}"
        for group in fields(Capabilities)
        for item in fields(get_type_hints(Capabilities)[group.name])
        if not re.search(rf"\.{group.name}\.{item.name}\b", code)
    ]
    assert unread == []


def test_encoding_reads_of_the_capabilities_only_what_a_plan_keeps() -> None:
    groups = "|".join(item.name for item in fields(Capabilities))
    pattern = re.compile(rf"limits\.({groups})\.(\w+)")
    read = {
        match.groups()
        for path in sources("adapters", "adapter")
        if "limits.py" not in path.name
        for match in pattern.finditer(path.read_text(encoding="utf-8"))
    }
    assert ("metadata", "int_range") in read
    assert read <= set(STORED.values())


def test_no_module_above_the_adapters_is_named_after_a_database() -> None:
    named = {path for path in sources("adapters") if set(path.stem.split("_")) & set(DATABASES)}
    assert named == set()


def test_command_lines_flags_and_tools_are_named_by_the_front_ends_only() -> None:
    # Below them a text names a Remedy (errors.py), which each front end words.
    found = [
        f"{path.relative_to(ROOT)}:{line}: {text!r}"
        for path in sources("cli", "server")
        for line, text in front_end_words(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_word_of_a_front_end_is_found_in_each_of_its_forms() -> None:
    code = """
'''vectormigrate list, --overwrite'''
a = "see: vectormigrate list"
b = f"more than --max-rejects {n} allows"
c = f"give --{side}-type"
d = "then wait_migration(migration_id=1)"
e = {"list_collections", "-- a comment in SQL", ":root{--ink:#1d2330}", "records that vectormigrate wrote"}
f = [envoy, "--log-path", path]
"""
    assert sorted(line for line, _ in front_end_words(code)) == [3, 4, 5, 6]


@cache
def words_of_front_ends() -> re.Pattern[str]:
    from vectormigrate.cli.main import app
    from vectormigrate.config.settings import Settings
    from vectormigrate.server.app import build

    commands = "|".join(getattr(typer.main.get_command(app), "commands"))  # noqa: B009
    tools = "|".join(build(Settings(config=None)).tools)
    # The name of a tool alone may be a vendor's call; in a sentence it is ours.
    return re.compile(rf"vectormigrate ({commands})\b|(?<![\w-])--([a-z]|$)|\s({tools})\b|\b({tools})[(\s]")


def front_end_words(code: str) -> list[tuple[int, str]]:
    """Texts with a command line, a flag or a tool. Docstrings, the style sheet with its variables, and the arguments of
    another program (a list) are none."""
    tree = ast.parse(code)
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    docs |= {id(item) for node in ast.walk(tree) if isinstance(node, ast.List) for item in node.elts}
    return [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs
        if node.value != "--" and ":root{" not in node.value and words_of_front_ends().search(node.value)
    ]


def test_no_function_is_about_a_pair_of_databases() -> None:
    names = "|".join(DATABASES)
    pattern = re.compile(rf"({names})_to_({names})")
    for path in sources():
        assert not pattern.search(path.read_text(encoding="utf-8")), path


def test_only_the_state_package_and_the_journal_use_sqlite() -> None:
    pattern = re.compile(r"^\s*(import|from) (aiosqlite|sqlite3)", re.MULTILINE)
    journal = PACKAGE / "capture" / "journal"
    for path in sources("state"):
        assert path.is_relative_to(journal) or not pattern.search(path.read_text(encoding="utf-8")), path


def test_what_is_live_reads_one_clock_which_a_simulation_can_move() -> None:
    clocks = re.compile(r"\btime\.(monotonic|time|perf_counter)|\bloop\.time\(|^import time", re.MULTILINE)
    for path in sorted((PACKAGE / "capture").rglob("*.py")):
        assert not clocks.search(path.read_text()), path


def test_no_module_is_longer_than_600_lines() -> None:
    for path in [*sources(), *(ROOT / "tests").rglob("*.py")]:
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 600, path


def test_looking_at_every_adapter_loads_no_vendor_package() -> None:
    code = (
        "import sys; from vectormigrate import registry; [registry.load(name) for name in registry.names()]; "
        "print([m for m in ('pymilvus', 'milvus_lite', 'qdrant_edge', 'grpc') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_module_says_what_it_is_for() -> None:
    for path in sources():
        assert path.read_text(encoding="utf-8").startswith('"""'), path


def test_nothing_shared_is_read_before_an_await_and_written_after_it() -> None:
    # `self.n = self.n + await f()` loses what another task adds meanwhile, in this form and in that of `+=`.
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sources()
        for line in stale_updates(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_a_stale_update_is_recognised_in_each_of_its_forms() -> None:
    code = """
async def f(self, shared):
    nonlocal total
    self.n += await g()
    self.n = self.n + await g()
    shared["k"] = shared.get("k", 0) + len(await g())
    total += await g()
    mine = 0
    mine += await g()
    self.n = await g()
"""
    assert stale_updates(code) == [4, 5, 6, 7]


def stale_updates(code: str) -> list[int]:
    """Lines that take the old value of something shared, await, and then store a value made from the old one."""
    tree = ast.parse(code)
    outer = {name for node in ast.walk(tree) if isinstance(node, ast.Nonlocal | ast.Global) for name in node.names}
    lines: set[int] = set()
    for node in ast.walk(tree):
        if not isinstance(node, ast.AugAssign | ast.Assign):
            continue
        if not any(isinstance(part, ast.Await) for part in ast.walk(node.value)):
            continue
        targets = [node.target] if isinstance(node, ast.AugAssign) else node.targets
        lines |= {node.lineno for target in targets if _shared(target, outer) and _reads(node, target)}
    return sorted(lines)


def _shared(target: ast.expr, outer: set[str]) -> bool:
    return isinstance(target, ast.Attribute | ast.Subscript) or (isinstance(target, ast.Name) and target.id in outer)


def _reads(node: ast.AugAssign | ast.Assign, target: ast.expr) -> bool:
    if isinstance(node, ast.AugAssign):
        return True
    place = target.value if isinstance(target, ast.Subscript) else target
    return any(ast.unparse(part) == ast.unparse(place) for part in ast.walk(node.value) if isinstance(part, ast.expr))
