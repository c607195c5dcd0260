"""The time zone of this machine's clock, by its name."""

import os
from pathlib import Path

from schemas.formats.times.time_zones import is_zone

_LINK, _ZONES = Path("/etc/localtime"), "zoneinfo/"


def machine_zone() -> str:
    """The name in IANA's list by `TZ` or `/etc/localtime`; UTC where neither says it."""
    stated = os.environ.get("TZ", "").lstrip(":")
    linked = os.path.realpath(_LINK).partition(_ZONES)[2] if _LINK.exists() else ""
    found = next((name for name in (stated, linked) if name and is_zone(name)), "UTC")
    return "UTC" if found in ("Etc/UTC", "Etc/UCT", "UCT", "Zulu", "Universal") else found
