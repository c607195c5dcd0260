"""Whether a release changes what a score means: another kind of output, or another positive class."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from models.bundles.manifest import Output
from models.errors import BundleRefused
from models.releases.release import Release
from models.scorers.answers import plain_name
from models.store.store import ModelStore

ACCEPTED = "accept_output_change"
"""The evidence of a release that was written although it changes what a score means, or might."""
_SECOND = "1"
Labels = Callable[[str], Sequence[str]]


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What the scores of a version mean; `named` are the labels of its classes as its manifest has them."""

    version: str
    role: str
    output: Output
    named: tuple[str, ...]

    def positive(self, labels: Labels) -> str:
        """The positive class; a null one is the second of two, by its label where that is known, else "1"."""
        if self.output.positive is not None:
            return plain_name(self.output.positive)
        known = self.named or tuple(labels(self.version))
        return plain_name(known[1]) if len(known) == 2 else _SECOND

    def __str__(self) -> str:
        kind, positive = self.output.kind, self.output.positive
        said = "the second class" if positive is None else repr(positive)
        of = "" if kind == "regression" and positive is None else f" (positive: {said})"
        return f"output {kind}{of} of version {self.version!r}, {self.role},"


def output_change(store: ModelStore, draft: Release, before: Release | None, labels: Labels) -> str | None:
    """How the scores of a release's versions differ in meaning among each other, or from those before; None if not.

    Args:
        store: the versions' store.
        draft: the release.
        before: the release that is in force until then; its champion is compared.
        labels: returns the labels of a version's classes, empty if unknown; called only where they can decide.

    Raises:
        StoreError: the store did not answer.
    """
    roles = [(draft.champion, "the champion"), *((each.version, "a challenger") for each in draft.challengers)]
    roles += [(version, "a shadow") for version in draft.shadows]
    if before is not None:
        roles.append((before.champion, f"champion of release {before.sequence}, in force until then"))
    found = [meaning for version, role in roles if (meaning := _meaning(store, version, role)) is not None]
    for other in found[1:]:
        if not _alike(found[0], other, labels):
            return f"{other} is not {found[0]}".removesuffix(",")
    return None


def _meaning(store: ModelStore, version: str, role: str) -> _Meaning | None:
    """None for a version without a valid manifest: no job will let it serve."""
    try:
        manifest = store.read_manifest(version)
    except BundleRefused:
        return None
    stated = manifest.parameters.get("classes")
    named = tuple(map(str, stated)) if isinstance(stated, list) else ()
    return _Meaning(version, role, manifest.output, named)


def _alike(one: _Meaning, other: _Meaning, labels: Labels) -> bool:
    if one.output.kind != other.output.kind:
        return False
    stated = [plain_name(each.output.positive or _SECOND) for each in (one, other)]
    if stated[0] == stated[1] and not (one.named and other.named):
        return True  # whatever the labels of the second classes are, neither manifest names another class
    return one.positive(labels) == other.positive(labels)
