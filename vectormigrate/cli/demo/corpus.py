"""The demo's text: docstrings of Python's standard library, read from its source files without importing them."""

from __future__ import annotations

import ast
import hashlib
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from vectormigrate.cli.demo.embedding import words
from vectormigrate.model.batch import Metadata

SKIPPED = frozenset({"test", "tests", "idle_test", "site-packages", "dist-packages", "__pycache__", "lib2to3"})
Documented = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Document:
    """One docstring: `name` is the dotted name, `kind` is module, class or function."""

    name: str
    kind: str
    text: str
    metadata: Metadata


def documents(limit: int) -> list[Document]:
    """The first `limit` docstrings, in the order of files and lines; each name once."""
    root = Path(sysconfig.get_paths()["stdlib"])
    seen: set[str] = set()

    def unseen() -> Iterator[Document]:
        for document in _all(root):
            if document.name not in seen:
                seen.add(document.name)
                yield document

    return list(islice(unseen(), limit))


def _all(root: Path) -> Iterator[Document]:
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if SKIPPED.isdisjoint(relative.parts):
            try:
                tree = ast.parse(path.read_text(encoding="utf-8"))
            except (SyntaxError, UnicodeDecodeError):
                continue
            yield from _walk(tree, _module_name(relative), relative, ())


def _module_name(relative: Path) -> str:
    parts = relative.with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _walk(node: Documented, module: str, path: Path, outer: tuple[str, ...]) -> Iterator[Document]:
    text = ast.get_docstring(node)
    if text and len(words(text)) >= 3:
        yield _document(node, text, module, path, outer)
    for child in node.body:
        if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield from _walk(child, module, path, (*outer, child.name))


def _document(node: Documented, text: str, module: str, path: Path, outer: tuple[str, ...]) -> Document:
    name = ".".join((module, *outer))
    kind = "module" if isinstance(node, ast.Module) else "class" if isinstance(node, ast.ClassDef) else "function"
    tokens = text.split()
    line = 1 if isinstance(node, ast.Module) else node.lineno
    metadata: Metadata = {
        "module": module,
        "line": line,
        "kind": kind,
        "summary": text.partition("\n")[0][:200],
        "source": {"file": path.as_posix(), "span": {"first": line, "last": _last_line(node)}},
        "stats": {"words": len(tokens), "mean_word": round(sum(map(len, tokens)) / len(tokens), 3), "weight": 1.0},
        # Beyond 2^53: a tool that passes integers through doubles changes it.
        "checksum": int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1,
        "public": not any(part.startswith("_") for part in outer),
        "deprecated": "deprecated" in text.lower() or None,
    }
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        metadata["parameters"] = [argument.arg for argument in node.args.args]
        metadata["asynchronous"] = isinstance(node, ast.AsyncFunctionDef)
    return Document(name, kind, text, metadata)


def _last_line(node: Documented) -> int:
    last = node.body[-1] if isinstance(node, ast.Module) else node
    return last.end_lineno or 1
