"""Tables in Markdown, and texts of schemas in the form in which the pages of this folder have them."""

import re
from collections.abc import Iterable, Sequence

_CITED = re.compile(r"docs/([\w/-]+)\.md(#[\w-]+)?")


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are Markdown already.

    >>> print(table(["a", "b"], [["1", "x | y"]]))
    | a | b |
    |---|---|
    | 1 | x \\| y |
    """
    lines = [list(header), *map(list, rows)]
    cells = [[cell.replace("|", "\\|").replace("\n", " ") for cell in line] for line in lines]
    ruled = ["| " + " | ".join(line) + " |" for line in cells]
    return "\n".join([ruled[0], "|" + "---|" * len(header), *ruled[1:]])


def linked(text: str) -> str:
    """A text in which pages of `docs/` are named, with links to them.

    >>> linked("see docs/input.md#values")
    'see [input](input.md#values)'
    """
    return _CITED.sub(lambda found: f"[{found[1]}]({found[1]}.md{found[2] or ''})", text)
