"""Whether the installed packages are those in the lock file."""

import platform
from collections.abc import Iterator, Mapping
from pathlib import Path

from models.distribution import installed_version
from runners.findings import Finding, fail, ok, unchecked, warn
from runners.locks import pins_in

_PYTHON = "3.11"
_BEAM = "apache-beam"
# In a checkout the lock file is beside the packages; in the image, that for workers is in the working directory.
_LOCKS = ("requirements.lock", "requirements-worker.lock")
FOLDERS = (Path(__file__).resolve().parents[2], Path())


def check_environment(folders: tuple[Path, ...] = FOLDERS) -> Iterator[Finding]:
    """Python, Beam, and every other package that is locked and installed here."""
    here = platform.python_version()
    fits = here.startswith(f"{_PYTHON}.")
    yield ok("Python", here) if fits else fail("Python", f"{here}", f"Python {_PYTHON}: the lock is made for it")
    lock = next((folder / name for folder in folders for name in _LOCKS if (folder / name).is_file()), None)
    if lock is None:
        yield unchecked("packages", f"no {_LOCKS[0]} lies beside the package or in this folder", "run it in a checkout")
        return
    yield from _against(pins_in(lock.read_text(encoding="utf-8")))


def _against(pins: Mapping[str, str]) -> Iterator[Finding]:
    found = {name: installed_version(name) for name in pins}
    beam, locked = found.get(_BEAM), pins.get(_BEAM, "nothing")
    if beam == locked:
        yield ok("Beam", f"{beam}, as locked")
    else:
        yield fail("Beam", f"{beam}, but locked is {locked}", f"{_BEAM}=={locked}: coders and state must be the same")
    present = {name: each for name, each in found.items() if each is not None and name != _BEAM}
    other = [f"{name} {each} (locked: {pins[name]})" for name, each in present.items() if each != pins[name]]
    if not other:
        yield ok("packages", f"{len(present)} of {len(pins)} locked packages are here, each as locked")
        return
    shown = ", ".join(other[:5]) + (f" and {len(other) - 5} more" if len(other) > 5 else "")
    yield warn("packages", shown, "make .venv, or pip install --requirement requirements.lock")
