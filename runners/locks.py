"""The versions that a file of pinned requirements pins."""

import re

_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;#]+)", re.MULTILINE)


def pins_in(text: str) -> dict[str, str]:
    """Version by package of each line `name==version`; other lines, and text after the version, are ignored."""
    return dict(_PIN.findall(text))
