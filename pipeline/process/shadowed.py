"""Whether another folder is found first under the names of our packages. Imports none of them, since they may not be
found."""

import importlib.util
import sys
from pathlib import Path

_ROOMS = ("schemas", "models", "audit", "gates", "transforms", "runners")


def refuse_if_shadowed() -> None:
    """Exits with 2 and one line where a user's own folder or module has the name of one of our packages."""
    ours = Path(__file__).resolve().parents[2]
    for room in _ROOMS:
        found = _found(room)
        if found is not None and found.parent != ours:
            print(
                f"halflife: {found} hides Halflife's own package {room!r} ({ours / room}); expected: no folder or "
                f"module of that name on Python's path; next: take its folder off PYTHONPATH, or call `halflife run` "
                "where `python -m` looked in the working directory first",
                file=sys.stderr,
            )
            sys.exit(2)


def _found(room: str) -> Path | None:
    """The folder or file that `import room` would take."""
    spec = importlib.util.find_spec(room)
    if spec is None:
        return None
    folders = list(spec.submodule_search_locations or ()) or [spec.origin or ""]
    return Path(folders[0]).resolve()
