"""What the tests of the documentation know of its pages: which there are, their headings, and what they refer to."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

from tests.packaging.sources import FOLDERS

ROOT = Path(__file__).resolve().parents[2]
SOURCES = (*FOLDERS, "docs")
# History names pages as they were called then.
HISTORY = ROOT / "CHANGELOG.md"
_CODE = re.compile(r"^( *)(```|~~~).*?^\1\2 *$", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(.+?)(?: +#+)?$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)(?: \"[^\"]*\")?\)")
# A page by its path from the root: `docs/flink.md`, `docs/flink.md#topics`, `docs/design.md §7`, `README.md, Limits`.
_CITED = re.compile(
    r"(?<![\w/.<>…-])(?P<page>(?:docs/|runners/|benchmarks/|examples/)[\w./-]*?\.md|README\.md)"
    r"(?:#(?P<anchor>[\w-]+)|,? §(?P<section>\d+)|, (?P<heading>[A-Z]\w+))?"
)
_OURS = rf"(?<![\w/.<>~…-])(?:{'|'.join(SOURCES)})/"
_FILE = re.compile(rf"{_OURS}[\w./*-]+\.(?:py|json|yaml|avsc|xml|java|conf|properties|go)\b|(?<=`){_OURS}[\w/-]*(?=`)")
_LETTERS_OF_ANCHORS = re.compile(r"[^\w\- ]")


class Reference(NamedTuple):
    """What a line refers to: a page and, unless empty, an anchor in it, or the beginning of a heading."""

    source: Path
    line: int
    page: Path
    anchor: str = ""
    heading: str = ""

    def __str__(self) -> str:
        target = f"#{self.anchor}" if self.anchor else f", {self.heading}" if self.heading else ""
        return f"{self.source.relative_to(ROOT)}:{self.line} refers to {self.page}{target}"


def pages() -> list[Path]:
    """Every page of the checkout, sorted."""
    found = [*ROOT.glob("*.md"), *(page for folder in SOURCES for page in (ROOT / folder).rglob("*.md"))]
    return sorted(page for page in found if not _is_hidden(page))


def sources() -> list[Path]:
    """Every file that people read and that may name a page, pages among them, sorted."""
    kinds = ("*.py", "*.yaml", "*.json", "*.java", "*.xml", "*.avsc", "Dockerfile", "*.toml")
    found = {*pages(), ROOT / "Makefile", ROOT / "setup.py", ROOT / "pyproject.toml"} - {HISTORY}
    found |= {path for folder in SOURCES for kind in kinds for path in (ROOT / folder).rglob(kind)}
    return sorted(path for path in found if not _is_hidden(path))


def _is_hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(ROOT).parts)


def links_of(page: Path) -> list[Reference]:
    """The links of a page to files of this project."""
    return list(_links(page, _without_code(page.read_text("utf-8"))))


def _links(page: Path, text: str) -> Iterator[Reference]:
    for found in _LINK.finditer(text):
        target, _, anchor = found[1].partition("#")
        if "://" not in found[1] and not found[1].startswith("mailto:"):
            path = (page.parent / target).resolve() if target else page
            yield Reference(page, _line(text, found.start()), path, anchor)


def citations_of(source: Path) -> list[Reference]:
    """The pages that a file names by their paths from the root of the checkout."""
    text = source.read_text("utf-8")
    found = []
    for one in _CITED.finditer(text):
        # A README that stands alone is the one beside the page, or the project's.
        beside = source.parent / one["page"]
        page = beside if source.suffix == ".md" and "/" not in one["page"] and beside.exists() else ROOT / one["page"]
        heading = f"{one['section']}." if one["section"] else one["heading"] or ""
        found.append(Reference(source, _line(text, one.start()), page, one["anchor"] or "", heading))
    return found


def absent_files(source: Path) -> list[str]:
    """The files and folders that a text names by their paths, from the root or from its own folder, and that are not
    there; `*` in one stands for any name."""
    named = sorted(set(_FILE.findall(source.read_text("utf-8"))))
    return [name for name in named if not any(ROOT.glob(name)) and not any(source.parent.glob(name))]


def sections_without_a_page(source: Path) -> list[str]:
    """The lines that refer to a section (`§ 7`) of something else than a page of this project."""
    lines = source.read_text("utf-8").splitlines()
    found = [(number, line) for number, line in enumerate(lines, 1) if "§" in _CITED.sub("", line)]
    return [f"{source.relative_to(ROOT)}:{number} {line.strip()}" for number, line in found]


def is_there(reference: Reference) -> bool:
    """Whether the file exists, and has the anchor or heading."""
    if not reference.page.exists():
        return False
    if reference.heading:
        return any(heading.startswith(reference.heading) for heading in headings(reference.page))
    return not reference.anchor or reference.anchor in anchors(reference.page)


@cache
def headings(page: Path) -> tuple[str, ...]:
    """The headings of a page in their order."""
    return tuple(_HEADING.findall(_without_code(page.read_text("utf-8"))))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to a page's headings; of equal ones the second ends in -1."""
    seen: dict[str, int] = {}
    names = []
    for heading in headings(page):
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = _LETTERS_OF_ANCHORS.sub("", shown.lower()).replace(" ", "-")
        names.append(f"{name}-{seen[name]}" if name in seen else name)
        seen[name] = seen.get(name, 0) + 1
    return frozenset(names)


def _without_code(text: str) -> str:
    """The text with the same lines, those of code blocks empty."""
    return _CODE.sub(lambda found: "\n" * found[0].count("\n"), text)


def _line(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1
