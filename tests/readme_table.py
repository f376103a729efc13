"""The table of outcomes in the README: what its marker says it is, and a way to write it anew.

python -m tests.readme_table milvus pinecone qdrant weaviate --also qdrant_edge
"""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from vectormigrate.engine.outcomes import markdown

README = Path(__file__).parent.parent / "README.md"
COMMAND = "vectormigrate schema table "
BLOCK = re.compile(rf"<!-- {COMMAND}(.*?) -->\n(.*?)<!-- end of the table -->\n", re.DOTALL)


def table(arguments: Sequence[str]) -> str:
    """What `vectormigrate schema table` prints for these arguments."""
    types = list(arguments)
    also = [types.pop(types.index("--also") + 1) for _ in range(types.count("--also"))]
    return markdown([name for name in types if name != "--also"], also)


def written() -> tuple[list[str], str]:
    """The arguments in the README's marker, and what stands below it."""
    (found,) = BLOCK.findall(README.read_text(encoding="utf-8"))
    return shlex.split(found[0]), found[1]


def write(arguments: Sequence[str]) -> None:
    """Put the table for these arguments into the README."""
    block = f"<!-- {COMMAND}{shlex.join(arguments)} -->\n{table(arguments)}<!-- end of the table -->\n"
    README.write_text(BLOCK.sub(lambda _: block, README.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1:] or written()[0])
