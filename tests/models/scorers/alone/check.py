"""Scores a case's records in many batches as the job does, and compares each answer with the truth."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from models.admission.admission import Admission
from models.admission.proving import prove
from models.bundles.manifest import Input, Manifest
from models.serving.cache import LoadedModel
from models.testing.subject import write_bundle
from tests.models.scorers.alone.cases import Case, Model, Record
from tests.models.scorers.alone.records import TYPES, batch_of, fits, paired_records, single_records
from transforms.scoring.scoring import score_rows


class Form(NamedTuple):
    """How much is tried: which records, how many shuffled orders, whether also every type of Arrow."""

    records: Callable[[Model, Sequence[Input]], Iterator[Record]]
    orders: int
    every_type: bool


sampled = Form(single_records, 1, False)
full = Form(paired_records, 5, True)


class Difference(NamedTuple):
    """A record whose answer is not the truth; `found` and `truth` are the score, or why there is none."""

    record: Record
    batch: str
    found: float | str
    truth: float | str

    def __str__(self) -> str:
        shown = {name: value if len(str(value)) < 60 else f"{str(value)[:20]}…" for name, value in self.record.items()}
        return f"{shown} in {self.batch}: {self.found}; expected: {self.truth}"


class _Trial(NamedTuple):
    """A loaded model, records, and the truth of each."""

    loaded: LoadedModel
    model: Model
    records: Sequence[Record]
    truths: Sequence[float | str]


def differences(case: Case, folder: Path, form: Form = sampled) -> list[Difference]:
    """All answers of a case's model that are not its library's for that record alone.

    Raises:
        AssertionError: admission refuses the bundle, or the ordinary records cannot tell one answer from another.
    """
    model = case.make(folder)
    manifest = write_bundle(case.kind, folder, model.manifest)
    verdict = Admission(None, allow_pickle=case.allow_pickle).check_folder(folder)
    assert verdict.admitted, f"{case.label} is refused: {verdict.reason}: {verdict.detail}"
    loaded = LoadedModel(manifest, prove(folder, manifest, None, case.allow_pickle), 0.0, 0)
    known: dict[tuple[Any, ...], float | str] = {}
    try:
        assert len({_truth(model, manifest, record) for record in model.seen}) > 1, "expected: 2 different answers"
        return [
            each
            for number, types in enumerate(_types(manifest.inputs, form.every_type))
            for records in [(single_records if number else form.records)(model, manifest.inputs)]
            for each in _compared(_trial(loaded, model, types, records, known), types, form.orders)
        ]
    finally:
        loaded.scorer.close()


def _trial(
    loaded: LoadedModel,
    model: Model,
    types: Mapping[str, pa.DataType],
    made: Iterator[Record],
    known: dict[Any, float | str],
) -> _Trial:
    """The records that columns of these types can hold, and the truth of each, asked for once."""
    inputs = loaded.manifest.inputs
    records = [each for each in made if all(fits(each[name], kind) for name, kind in types.items())]
    truths = []
    for record in records:
        key = tuple((type(record[each.name]), str(record[each.name])) for each in inputs)
        if key not in known:
            known[key] = _truth(model, loaded.manifest, record)
        truths.append(known[key])
    return _Trial(loaded, model, records, truths)


def _truth(model: Model, manifest: Manifest, record: Record) -> float | str:
    """The library's answer for the record alone; a text, why there must be none."""
    read: dict[str, Any] = {}
    for each in manifest.inputs:
        value = each.default if record[each.name] is None else record[each.name]
        if value is None and not each.nullable:
            return f"a letter: null in {each.name}"
        read[each.name] = value
    try:
        answer = model.truth(read)
    except Exception as problem:  # whatever the library raises: it has no answer
        return f"a letter: {type(problem).__name__}: {' '.join(str(problem).split())[:200]}"
    return answer if math.isfinite(answer) else f"a letter: the library answers {answer}"


def _types(inputs: Sequence[Input], every_type: bool) -> Iterator[dict[str, pa.DataType]]:
    """A type of Arrow for each column: the plain one, and each column's others in turn."""
    plain = {each.name: TYPES[each.type][0] for each in inputs}
    yield plain
    for each in inputs if every_type else ():
        for other in TYPES[each.type][1:]:
            yield {**plain, each.name: other}


def _compared(trial: _Trial, types: Mapping[str, pa.DataType], orders: int) -> Iterator[Difference]:
    for name, indexes in _batches(trial.records, orders):
        rows = batch_of([trial.records[index] for index in indexes], trial.loaded.manifest.inputs, types)
        for index, found in zip(indexes, _answers(trial.loaded, rows), strict=True):
            if not _same(found, trial.truths[index], trial.model.tolerance):
                yield Difference(trial.records[index], name, found, trial.truths[index])


def _batches(records: Sequence[Record], orders: int) -> Iterator[tuple[str, list[int]]]:
    """Batches by the indexes of their records: of 1, of 2, all, shuffled, without nulls, with nulls only."""
    count = len(records)
    yield from (("a batch of 1", [index]) for index in range(count))
    yield from (
        ("a batch of 2", [index, (index + count // 2) % count]) for index in range(0, count if count > 1 else 0)
    )
    yield "a batch of all", list(range(count))
    for seed in range(orders):
        yield "a shuffled batch", np.random.default_rng(seed).permutation(count).tolist()
    nulls = [index for index in range(count) if None in records[index].values()]
    yield "a batch with nulls only", nulls
    yield "a batch without nulls", sorted(set(range(count)) - set(nulls))


def _answers(loaded: LoadedModel, rows: pa.RecordBatch) -> list[float | str]:
    scored = score_rows(loaded, rows)
    answers: list[float | str] = ["neither scored nor a letter"] * rows.num_rows
    for row, score in zip(scored.rows.tolist(), scored.scores.tolist(), strict=True):
        answers[row] = score
    for row, (error, detail) in zip(scored.failed_rows.tolist(), scored.failures, strict=True):
        answers[row] = f"a letter: {error}: {detail}"
    return answers


def _same(found: float | str, truth: float | str, tolerance: float) -> bool:
    if isinstance(found, str) or isinstance(truth, str):
        return isinstance(found, str) and isinstance(truth, str) and found.startswith("a letter")
    return abs(found - truth) <= tolerance * max(1.0, abs(truth))
