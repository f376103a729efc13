"""The table of outcomes in the guide: what its marker asks for, and a way to write it again.

python -m tests.pairs_table milvus pinecone qdrant weaviate --also qdrant_edge
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from vectormigrate.advice.fidelity import markdown

PAGE = Path(__file__).parent.parent / "examples" / "guide" / "pairs.md"
COMMAND = "vectormigrate schema table "
BLOCK = re.compile(rf"<!-- {COMMAND}(.*?) -->\n(.*?)<!-- end of the table -->\n", re.DOTALL)


def table(arguments: Sequence[str]) -> str:
    """What `vectormigrate schema table` prints for these arguments."""
    types = list(arguments)
    also = [types.pop(types.index("--also") + 1) for _ in range(types.count("--also"))]
    return markdown([name for name in types if name != "--also"], also)


def written() -> tuple[list[str], str]:
    """The arguments in the page's marker, and the text below it."""
    (found,) = BLOCK.findall(PAGE.read_text(encoding="utf-8"))
    return shlex.split(found[0]), found[1]


def write(arguments: Sequence[str]) -> None:
    """Put the table for these arguments into the page."""
    block = f"<!-- {COMMAND}{shlex.join(arguments)} -->\n{table(arguments)}<!-- end of the table -->\n"
    PAGE.write_text(BLOCK.sub(lambda _: block, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:] or written()[0])
