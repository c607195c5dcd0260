"""The smallest change of one feature that would have made another decision, within the range of the version's profile.

Each feature is tried alone, the others stay as the scorer read them. Of a number the values are those where the
training data lay (the edges of its bins in the profile, its least and greatest), and then the border is halved; of a
text or a boolean they are those that the profile, or the manifest, lists. A call of the model tries all features at
once, so that there are at most `MOST_CALLS` of them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from models.bundles.manifest import Input, Manifest, Output
from models.bundles.recorded import recorded_inputs
from models.profiles import CategoricalColumn, Column, NumericColumn
from models.scorers.asking import ask
from models.serving.cache import LoadedModel

MOST_CALLS = 24
"""Calls of the model for one receipt."""
_HALVINGS = MOST_CALLS - 1
_MOST_ROWS = 4096


class Change(NamedTuple):
    """Another value of one feature with what the version answers to it; `size`: the part of the range of the training
    data that it spans, 1 for a value that is no number."""

    feature: str
    was: Any
    value: Any
    score: float
    decision: str | None
    size: float


class Changes(NamedTuple):
    """The smallest change of each feature that has one, the smallest first, and what was tried: the features, and how
    often the model was called; `detail`: why there is none."""

    found: tuple[Change, ...]
    tried: tuple[str, ...]
    calls: int
    detail: str = ""


class _Candidate(NamedTuple):
    """A value that is tried; `side` −1 or 1 of a number: below or above what it was."""

    entry: Input
    value: Any
    side: int


def decision_of(score: float, output: Output, labels: Mapping[float, str]) -> str | None:
    """The decision of a score, as the job makes it: by the threshold, else the label of a class, else none.

    >>> decision_of(0.7, Output("probability", threshold=0.5, positive="late"), {})
    'late'
    """
    if output.threshold is None:
        return labels.get(score) if output.kind == "class" else None
    positive = output.positive or "positive"
    if output.decisions is not None:
        return output.decisions.positive if score >= output.threshold else output.decisions.negative
    return positive if score >= output.threshold else f"not {positive}"


def changes(model: LoadedModel, features: Mapping[str, Any]) -> Changes:
    """The smallest change of each feature alone to another decision than the version makes of these features.

    Raises:
        NotScored, NotRecorded: the version does not answer to them, or to a change of them.
    """
    manifest = model.manifest
    search = _Search(model, features)
    own = search.decision(search.score([features])[0])
    if own is None:
        return Changes((), (), search.calls, "the version makes no decision: it has no threshold and no classes")
    candidates = _candidates(manifest, model.profile.columns if model.profile else (), features)
    if not candidates:
        return Changes((), (), search.calls, "no values are known to try: the version has no profile")
    first = search.nearest(candidates, own)
    found = search.halved(first, own)
    tried = tuple(dict.fromkeys(each.entry.name for each in candidates))
    detail = "" if found else "no change of one feature within the range of the training data makes another decision"
    return Changes(tuple(_smallest(found)), tried, search.calls, detail)


def _smallest(found: Sequence[Change]) -> list[Change]:
    """The smallest change of each feature, the smallest first."""
    best: dict[str, Change] = {}
    for change in sorted(found, key=lambda change: (change.size, change.feature, str(change.value))):
        best.setdefault(change.feature, change)
    return list(best.values())


class _Search:
    """Asks the model, and counts how often."""

    def __init__(self, model: LoadedModel, features: Mapping[str, Any]) -> None:
        self._model, self._features, self._labels = model, features, model.scorer.labels()
        self.calls = 0

    def score(self, rows: Sequence[Mapping[str, Any]]) -> list[float]:
        """The version's answers."""
        self.calls += 1
        found: list[float] = ask(self._model.scorer, recorded_inputs(rows, self._model.manifest.inputs)).tolist()
        return found

    def decision(self, score: float) -> str | None:
        return decision_of(score, self._model.manifest.output, self._labels)

    def _try(self, candidates: Sequence[_Candidate]) -> list[Change]:
        scores = self.score([{**self._features, each.entry.name: each.value} for each in candidates])
        return [self._change(each, score) for each, score in zip(candidates, scores, strict=True)]

    def _change(self, tried: _Candidate, score: float) -> Change:
        name = tried.entry.name
        was = self._features[name]
        size = _share(self._model, name, was, tried.value) if tried.side else 1.0
        return Change(name, was, tried.value, score, self.decision(score), size)

    def nearest(self, candidates: Sequence[_Candidate], own: str) -> list[tuple[Change, Any, _Candidate]]:
        """For each feature, and side of it, the nearest value with another decision, and the last one before it with
        the same."""
        found: dict[tuple[str, int, Any], tuple[Change, Any, _Candidate]] = {}
        before: dict[tuple[str, int, Any], Any] = {}
        for each, change in zip(candidates, self._try(candidates), strict=True):
            side = (each.entry.name, each.side, None if each.side else each.value)
            if side in found:
                continue
            if change.decision not in (own, None):
                found[side] = change, before.get(side, change.was), each
            else:
                before[side] = each.value
        return list(found.values())

    def halved(self, found: Sequence[tuple[Change, Any, _Candidate]], own: str) -> list[Change]:
        """Numbers as near to the border of the decision as halving comes."""
        done = [change for change, _, each in found if not each.side or change.was is None]
        open_ = [(change, inside, each) for change, inside, each in found if each.side and change.was is not None]
        for _ in range(_HALVINGS - 1):
            middles = [
                (at, _middle(inside, change.value, each.entry)) for at, (change, inside, each) in enumerate(open_)
            ]
            wanted = [(at, middle) for at, middle in middles if middle is not None]
            if not wanted:
                break
            tried = self._try([open_[at][2]._replace(value=middle) for at, middle in wanted])
            for (at, middle), change in zip(wanted, tried, strict=True):
                outer, inside, each = open_[at]
                other = change.decision not in (own, None)
                open_[at] = (change, inside, each) if other else (outer, middle, each)
        return [*done, *(change for change, _, _ in open_)]


def _middle(inside: Any, outside: Any, entry: Input) -> Any:
    """A value between two, None where there is none."""
    if entry.type == "integer":
        middle: Any = (int(inside) + int(outside)) // 2
    else:
        middle = inside + (outside - inside) / 2
    return None if middle in (inside, outside) else middle


def _candidates(manifest: Manifest, profile: Sequence[Column], features: Mapping[str, Any]) -> list[_Candidate]:
    """The values to try of each feature, in the order away from what it was."""
    columns = {column.name: column for column in profile}
    found = list[_Candidate]()
    for entry in manifest.inputs:
        values = _VALUES.get(entry.type, _nothing)(manifest, entry, columns.get(entry.name), features[entry.name])
        if len(found) + len(values) <= _MOST_ROWS:
            found += values
    return found


def _numbers(manifest: Manifest, entry: Input, column: Column | None, was: Any) -> list[_Candidate]:
    if not isinstance(column, NumericColumn) or column.min is None or column.max is None:
        return []
    whole = int if entry.type == "integer" else float
    ends = (column.min, column.max)
    values = sorted({whole(value) for value in (*column.edges, *ends) if column.min <= value <= column.max})
    if was is None:
        return [_Candidate(entry, value, 1) for value in values]
    above = [_Candidate(entry, value, 1) for value in values if value > was]
    return above + [_Candidate(entry, value, -1) for value in reversed(values) if value < was]


def _texts(manifest: Manifest, entry: Input, column: Column | None, was: Any) -> list[_Candidate]:
    listed = column.values if isinstance(column, CategoricalColumn) else ()
    terms = manifest.linear.categories.get(entry.name, {}) if manifest.linear else {}
    return [_Candidate(entry, value, 0) for value in dict.fromkeys((*listed, *terms)) if value != was]


def _booleans(manifest: Manifest, entry: Input, column: Column | None, was: Any) -> list[_Candidate]:
    return [_Candidate(entry, value, 0) for value in (0, 1) if value != was]


def _nothing(manifest: Manifest, entry: Input, column: Column | None, was: Any) -> list[_Candidate]:
    """Of a vector or a time no single change means anything."""
    return []


_VALUES: Mapping[str, Callable[[Manifest, Input, Column | None, Any], list[_Candidate]]] = {
    "number": _numbers,
    "integer": _numbers,
    "string": _texts,
    "boolean": _booleans,
}


def _share(model: LoadedModel, name: str, was: Any, value: Any) -> float:
    """The part of the range of the training data between two values; 1 where it was null."""
    column = next((each for each in (model.profile.columns if model.profile else ()) if each.name == name), None)
    if was is None or not isinstance(column, NumericColumn) or column.min is None or column.max is None:
        return 1.0
    width = column.max - column.min
    return abs(value - was) / width if width > 0 else 1.0
