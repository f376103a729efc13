"""Builds the documentation site into .docs/site, with strict links.

    pip install -e '.[docs]'
    python .docs/build.py             # zensical
    python .docs/build.py mkdocs      # mkdocs-material reads the same configuration

The pages are those of examples/guide. Next to the site it puts every page's Markdown, and `llms.txt`, a list of them.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
GUIDE = HERE.parent / "examples" / "guide"
PAGES = HERE / "pages"
SITE = HERE / "site"
NAV = re.compile(r"^ +- (?:([^:\n]+):|(\S+\.md))$", re.MULTILINE)


def summary(page: Path) -> tuple[str, str]:
    """The title of a page and the first sentence below it."""
    title, _, text = page.read_text(encoding="utf-8").removeprefix("# ").partition("\n")
    plain = re.sub(r"<!--.*?-->|^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    first = " ".join(re.split(r"\n\s*\n", plain.strip())[0].split())
    return title, re.sub(r"\[([^\]]+)\]\([^)]+\)", r"\1", first.partition(". ")[0].rstrip(".") + ".")


def llms() -> str:
    """The pages for programs that read, in the order of the navigation."""
    lines = ["# vectormigrate", "", f"> {summary(GUIDE / 'index.md')[1]}"]
    navigation = (HERE / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    for section, page in NAV.findall("\n" + navigation):
        if section:
            lines += ["", f"## {section}", ""]
        else:
            title, text = summary(GUIDE / page)
            lines.append(f"- [{title}]({page}): {text}")
    return "\n".join(lines) + "\n"


def build(generator: str = "zensical") -> None:
    """Build cold: a warm cache may hide a broken link."""
    for folder in (SITE, PAGES, HERE / ".cache"):
        shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(GUIDE, PAGES)
    command = [sys.executable, "-m", generator, "build", "--strict"]
    subprocess.run([*command, "--config-file", str(HERE / "mkdocs.yml")], cwd=HERE, check=True)
    for page in GUIDE.rglob("*.md"):
        copy = SITE / page.relative_to(GUIDE)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(page, copy)
    (SITE / "llms.txt").write_text(llms(), encoding="utf-8")


if __name__ == "__main__":
    build(*sys.argv[1:])
