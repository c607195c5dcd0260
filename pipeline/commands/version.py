"""Which Halflife this is."""

import platform
from importlib.metadata import PackageNotFoundError, version

_DISTRIBUTION = "halflife-beam"
_SHOWN = ("apache-beam", "pyarrow")


def version_line() -> str:
    """Halflife's version and those of what decides how it behaves; nothing is imported for it."""
    versions = ", ".join(f"{name} {_version(name)}" for name in _SHOWN)
    return f"halflife {_version(_DISTRIBUTION)} ({versions}, Python {platform.python_version()})"


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # its sources are on Python's path, uninstalled
        return "of unknown version"
