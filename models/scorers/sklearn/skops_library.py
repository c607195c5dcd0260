"""skops.io, imported without its own lists of trusted types: to make them it imports all of scikit-learn and searches
every module that is loaded."""

import sys
from functools import cache
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

from models.scorers.sklearn.skops_types import BIT_GENERATORS

_NAME = "skops.io"
_TRUSTED = f"{_NAME}._trusted_types"
_LOCK = Lock()


class _TrustsNothing(ModuleType):
    """In the place of the module with skops' lists: they are empty, but for the one by which skops knows what of
    `numpy.random` is a bit generator."""

    NUMPY_RANDOM_BIT_GENERATOR_TYPE_NAMES = sorted(BIT_GENERATORS)

    def __getattr__(self, name: str) -> list[str]:
        if not name.endswith("_TYPE_NAMES"):
            raise AttributeError(name)
        return []


def skops_io() -> Any:
    """The module `skops.io`, which trusts nothing by default.

    What a file may hold is decided by a list of this project (`models.scorers.sklearn.skops_types`), so this narrows
    what skops trusts. The copy is apart: another who imports skops in this process finds its usual lists.
    """
    with _LOCK:
        return _apart()


@cache
def _apart() -> Any:
    usual = _taken_out()
    sys.modules[_TRUSTED] = _TrustsNothing(_TRUSTED)
    try:
        return import_module(_NAME)
    except (ImportError, AttributeError):  # a skops that keeps its lists in another form
        _taken_out()
        return import_module(_NAME)
    finally:
        _taken_out()
        sys.modules.update(usual)
        if _NAME in usual:
            vars(sys.modules["skops"])["io"] = usual[_NAME]


def _taken_out() -> dict[str, ModuleType]:
    """Makes Python forget the module; returns what of it was imported."""
    vars(sys.modules.get("skops", ModuleType("skops"))).pop("io", None)
    names = [name for name in sys.modules if name == _NAME or name.startswith(f"{_NAME}.")]
    return {name: sys.modules.pop(name) for name in names}
