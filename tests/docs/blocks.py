"""Code blocks of a page, in their order, each with the text before it."""

import re
from pathlib import Path
from typing import NamedTuple

_BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_SAVED = re.compile(r"[Ss]ave this as `([\w.]+)`")


class Block(NamedTuple):
    """`language` after the fence; `saved_as`: the file that the text before it names, empty where it names none."""

    language: str
    text: str
    saved_as: str


def blocks_of(page: Path) -> list[Block]:
    """Every fenced block of a page."""
    text, found, end = page.read_text("utf-8"), [], 0
    for block in _BLOCK.finditer(text):
        names = _SAVED.findall(text, end, block.start())
        found.append(Block(block[1], block[2], names[-1] if names else ""))
        end = block.end()
    return found
