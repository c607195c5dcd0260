"""Patterns of file names, as Beam's file systems read them."""

import re

_TOKEN = re.compile(r"(\*\*|\*|\?|\[!?+\]?+[^\]]*+\])")
_WILD = {"**": ".*", "*": r"[^/\\]*", "?": "."}


def translated(pattern: str) -> re.Pattern[str]:
    """The regular expression of a pattern, as `FileSystem.translate_pattern` of Beam makes it: `*` and `[…]` within a
    name, `**` for any number of folders, `?` for one character. A bracket that does not close is itself.

    Raises:
        ValueError: it has a set of characters that is none, such as `[z-a]`.

    >>> bool(translated("2026-*/[!x]?.json").match("2026-11/ab.json"))
    True
    """
    pieces = enumerate(_TOKEN.split(pattern))  # every second one is a token
    whole = "".join(_translated(piece) if index % 2 else re.escape(piece) for index, piece in pieces)
    try:
        return re.compile(rf"(?ms){whole}\Z")
    except re.error as problem:
        raise ValueError(f"it is no pattern of file names: {problem.msg}") from None


def _translated(token: str) -> str:
    if token in _WILD:
        return _WILD[token]
    inner = token[1:-1].replace("\\", "\\\\")
    if inner.startswith("!"):
        inner = f"^{inner[1:]}"
    elif inner.startswith("^"):
        inner = f"\\{inner}"
    return f"[{inner}]"
