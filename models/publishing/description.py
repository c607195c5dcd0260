"""What a model's own files say about it; whatever they do not say is None or empty."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from models.bundles.manifest import OutputKind
from models.errors import StoreError
from schemas.columns import ColumnKind


class CannotPublish(StoreError):
    """The given files are not a model, or the statements about it are incomplete or contradictory."""


@dataclass(frozen=True, slots=True)
class FoundInput:
    """An input that the format names."""

    name: str
    type: ColumnKind | None = None
    nullable: bool | None = None


@dataclass(frozen=True, slots=True)
class Description:
    """What the format says: named inputs, or how many there are (`width`), and the output.

    `labels`: of the classes in the model's order, as text; empty where the files hold none. `probabilities`: whether a
    classifier can say how likely a class is. `settings`: of the scorer's kind, where the files state them. Two
    descriptions are equal if the models read and answer alike.
    """

    inputs: tuple[FoundInput, ...] = ()
    width: int | None = None
    output: OutputKind | None = None
    labels: tuple[str, ...] = field(default=(), compare=False)
    probabilities: bool = field(default=True, compare=False)
    settings: Mapping[str, Any] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a model comes from, as the manifest's `training` and `quality` say it."""

    trained_at: str | None = None
    code: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    data: tuple[Mapping[str, Any], ...] = ()
    quality: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FoundModel:
    """A recognised model: its scorer, its files by their path in the bundle, and what they say."""

    scorer: str
    files: Mapping[str, Path]
    description: Description
    provenance: Provenance = Provenance()
