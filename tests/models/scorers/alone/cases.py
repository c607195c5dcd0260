"""What one entry of the contract is, and where all of them are found."""

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

Record: TypeAlias = Mapping[str, Any]
"""An event's values by column: int, float, bool, str or None."""


@dataclass(frozen=True)
class Model:
    """A model whose payload was written into the bundle's folder.

    Attributes:
        manifest: `inputs`, `output`, `parameters` as the manifest has them.
        truth: the library's own answer for one record alone; it raises where the record has none.
        seen: ordinary records, 3 or more, of which not all have the same answer.
        unseen: further values of a column, beside those that each type is tried with.
        tolerance: the greatest difference that is rounding, relative to answers beyond 1.
    """

    manifest: Mapping[str, Any]
    truth: Callable[[Record], float]
    seen: Sequence[Record]
    unseen: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    tolerance: float = 1e-6


@dataclass(frozen=True)
class Case:
    """One model of one kind. `make` trains it and writes the payload; `fixtures` name what must be up before."""

    kind: str
    name: str
    make: Callable[[Path], Model]
    allow_pickle: bool = False
    fixtures: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """As pytest and the command show it: `xgboost:binary`."""
        return f"{self.kind}:{self.name}"


def all_cases() -> list[Case]:
    """The `CASES` of every module in `tests/models/scorers/alone/kinds/`, in the order of their labels."""
    folder = Path(__file__).with_name("kinds")
    modules = [
        importlib.import_module(f"tests.models.scorers.alone.kinds.{each.name}")
        for each in pkgutil.iter_modules([str(folder)])
    ]
    return sorted((case for module in modules for case in module.CASES), key=lambda case: case.label)
