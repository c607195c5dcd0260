"""A page of HTML that is complete in itself: it loads nothing, runs nothing, and prints well.

Every value in it is from others (names in a store, features of an event), so every value is escaped.
"""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

from audit.asking.decision.sections import Section
from models.redaction import hide_values

_STYLE = """
body { font: 11pt/1.45 Georgia, "Times New Roman", serif; color: #111 }
body { margin: 2em auto; max-width: 60em; padding: 0 1em }
h1 { font-size: 1.5em } h2 { font-size: 1.15em; border-bottom: 1px solid #999; margin-top: 1.6em }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .2em .8em .2em 0 }
thead th { border-bottom: 1px solid #ccc } tbody th { font-weight: normal; color: #555; width: 13em }
td { overflow-wrap: anywhere } tr { break-inside: avoid } footer { margin-top: 2em; color: #555; font-size: .9em }
@media print { body { margin: 0; max-width: none } h2 { break-after: avoid } }
"""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def html_page(title: str, parts: Sequence[Section], footer: str) -> str:
    """The page as a whole document, UTF-8."""
    body = "\n".join(_section(part) for part in parts)
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n"
        f"<h1>{_text(title)}</h1>\n{body}\n<footer>{_text(footer)}</footer>\n</body>\n</html>\n"
    )


def _section(part: Section) -> str:
    head = _row("th", part.columns)
    head = f"<thead>{head}</thead>\n" if part.columns else ""
    rows = "\n".join(_row("td", row) if part.columns else _pair(row) for row in part.rows)
    return f"<section>\n<h2>{_text(part.title)}</h2>\n<table>\n{head}<tbody>\n{rows}\n</tbody>\n</table>\n</section>"


def _row(tag: str, values: Iterable[Any]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_text(value)}</{tag}>' for value in values)}</tr>"


def _pair(row: Sequence[Any]) -> str:
    name, value = row
    return f'<tr><th scope="row">{_text(name)}</th><td>{_text(value)}</td></tr>'


def _text(value: Any) -> str:
    """The value escaped, without secrets, and without characters that control or reorder the text around them."""
    text = hide_values("" if value is None else str(value))
    return escape("".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text))
