"""The contract of a scorer, one function for each check. A check gets the subject and an empty folder of its own."""

import json
import os
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.admission.admission import Admission
from models.admission.proving import BadOutput, check_output
from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Input
from models.scorers import UnknownScorer, WillNotLoad, installed_kinds, load_scorer
from models.scorers.base import payload_files
from models.serving.cache import LoadFailed, ModelCache, ModelHandle
from models.store.store import ModelStore
from models.testing.expectations import ContractBroken, expect, expect_scores
from models.testing.explaining import (
    check_contributions_add_up,
    check_contributions_explain_differences,
    check_contributions_repeat,
)
from models.testing.memory import check_unloading_frees_memory
from models.testing.subject import GOLDEN, Subject, publish, write_bundle, write_golden

Check: TypeAlias = Callable[[Subject, Path], None]
__all__ = ["CHECKS", "Check", "ContractBroken"]

_THREADS = 8


def check_kind_is_installed(subject: Subject, scratch: Path) -> None:
    """The kind is an entry point of `halflife.scorers`, and its class has the same `kind`."""
    expect(subject.kind in installed_kinds(), f"{subject.kind!r} is not among {', '.join(installed_kinds())}")
    expect(type(subject.scorer).kind == subject.kind, f"{type(subject.scorer).__name__}.kind is another")


def check_library_is_imported_by_load_only(subject: Subject, scratch: Path) -> None:
    """Importing the module of the scorer imports none of the libraries it requires."""
    found = type(subject.scorer)
    program = (
        "import importlib, sys\n"
        "importlib.import_module(sys.argv[1])\n"
        "sys.exit(', '.join(name for name in sys.argv[2:] if name in sys.modules))"
    )
    command = [sys.executable, "-c", program, found.__module__, *found.requires]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(entry or os.getcwd() for entry in sys.path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    expect(not done.stderr.strip(), f"importing {found.__module__} alone imports or says: {done.stderr.strip()}")


def check_length_and_order(subject: Subject, scratch: Path) -> None:
    """One float64 for each row, in the order of the rows; the sample's rows do not all score the same."""
    batch = subject.batch(64)
    scores = _scores(subject, batch)
    expect(len(np.unique(scores)) > 1, "all rows of the sample score the same; expected: 2 different scores or more")
    order = np.random.default_rng(3).permutation(64)
    expect_scores(_scores(subject, batch.take(pa.array(order))), scores[order], subject.tolerance, "rows shuffled")


def check_batch_of_one_equals_batch_of_many(subject: Subject, scratch: Path) -> None:
    """A row's score does not depend on the rows beside it, nor on being a slice of a longer batch."""
    batch = subject.batch(24)
    singles = np.concatenate([_scores(subject, batch.slice(row, 1)) for row in range(24)])
    expect_scores(singles, _scores(subject, batch), subject.tolerance, "rows one by one")


def check_empty_batch(subject: Subject, scratch: Path) -> None:
    """No rows give no scores."""
    _scores(subject, subject.batch(0))


def check_nulls(subject: Subject, scratch: Path) -> None:
    """A null scores as the input's default; without a default it is read if nullable, and otherwise marks its row."""
    for entry in subject.manifest.inputs:
        prepared, unreadable = prepare_inputs(_with_null(subject, entry), subject.manifest.inputs)
        refused = entry.default is None and not entry.nullable
        expect(unreadable.tolist() == [False, refused, False], f"null in {entry.name!r} marks {unreadable.tolist()}")
        if refused:
            continue
        scores = _scores(subject, prepared)
        rows = subject.batch(3)
        if entry.default is not None:
            index = rows.schema.get_field_index(entry.name)
            given = rows.column(index).to_pylist()
            values = pa.array([given[0], entry.default, given[2]], rows.column(index).type)
            rows = rows.set_column(index, rows.schema.field(index), values)
            expect_scores(scores, _scores(subject, rows), subject.tolerance, f"null in {entry.name!r}")
        expect_scores(scores[[0, 2]], _scores(subject, rows)[[0, 2]], subject.tolerance, "rows beside a null")


def check_nan_is_no_score(subject: Subject, scratch: Path) -> None:
    """A model that answers NaN or infinity is refused by admission as `bad_output`, and its scores by the job."""
    _scores(subject, subject.batch(subject.rows.num_rows))
    if subject.make_nan is None:
        return
    folder = scratch / "nan"
    sample = subject.make_nan(folder)
    manifest = write_bundle(subject.kind, folder, sample.manifest)
    scorer = load_scorer(subject.kind, folder, manifest, subject.allow_pickle)
    scores = scorer.score(prepare_inputs(sample.rows, manifest.inputs)[0])
    scorer.close()
    expect(not np.isfinite(scores).any(), f"the bundle of `make_nan` scores {scores.tolist()}; expected: no number")
    write_golden(folder, manifest, sample.rows, [0.5] * sample.rows.num_rows)
    write_bundle(subject.kind, folder, {**sample.manifest, "golden": {"file": GOLDEN, "tolerance": 1.0}})
    verdict = Admission(None, allow_pickle=subject.allow_pickle).check_folder(folder)
    expect(verdict.reason == "bad_output", f"admission says {verdict.reason}: {verdict.detail}; expected: bad_output")


def check_same_batch_scores_the_same(subject: Subject, scratch: Path) -> None:
    """Scoring keeps no state: scores are equal to the last bit, also after another batch."""
    batch = subject.batch(64)
    first = _scores(subject, batch)
    _scores(subject, subject.batch(7))
    expect(bool((_scores(subject, batch) == first).all()), "the same batch scores differently the second time")


def check_threads(subject: Subject, scratch: Path) -> None:
    """Many threads scoring with one scorer each get the scores of their own batch."""
    batches = [subject.batch(rows) for rows in range(1, 5 * _THREADS)]
    wanted = [_scores(subject, batch) for batch in batches]
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(subject.scorer.score, batches))
    for scores, expected in zip(found, wanted, strict=True):
        expect_scores(scores, expected, subject.tolerance, f"{len(expected)} rows, {_THREADS} threads")


def check_reloading(subject: Subject, scratch: Path) -> None:
    """Loaded again, while the first is still in use, the model scores the same; closing one leaves the other."""
    batch = subject.batch(24)
    scores = _scores(subject, batch)
    again = subject.load()
    expect_scores(again.score(batch), scores, subject.tolerance, "loaded again")
    again.close()
    expect_scores(_scores(subject, batch), scores, subject.tolerance, "after another was closed")


def check_pickling(subject: Subject, scratch: Path) -> None:
    """The handle is sent between processes, before and after loading; a scorer itself need not pickle."""
    manifest = subject.manifest
    url = publish(subject, scratch)
    handle = ModelHandle(url, manifest.model, manifest.version, manifest.digest, subject.allow_pickle)
    try:
        before = pickle.loads(pickle.dumps(handle)).load(ModelCache())
        after = pickle.loads(pickle.dumps(handle)).load(ModelCache())
    except LoadFailed as failure:
        raise ContractBroken(f"{subject.kind}: {failure}") from None
    batch = subject.batch(16)
    expect_scores(after.score(batch), before.score(batch), subject.tolerance, "pickled after loading")
    expect_scores(before.score(batch), _scores(subject, batch), subject.tolerance, "pickled before loading")


def check_wrong_file(subject: Subject, scratch: Path) -> None:
    """A damaged bundle is refused with one line that begins with the kind and says what is wrong."""
    folder = scratch / "spoilt"
    shutil.copytree(subject.folder, folder)
    manifest = subject.spoil(folder, subject.manifest)
    try:
        load_scorer(subject.kind, folder, manifest, subject.allow_pickle)
    except WillNotLoad as refusal:
        said = str(refusal)
        expect(said.startswith(f"{subject.kind}: ") and len(said) > len(subject.kind) + 8, f"it says only {said!r}")
        expect("\n" not in said, f"more than one line: {said!r}")
        return
    raise ContractBroken(f"{subject.kind}: a spoilt bundle loads; expected: WillNotLoad")


def check_absent_file(subject: Subject, scratch: Path) -> None:
    """A manifest that lists no payload is refused, whatever is in the folder: only listed files are verified."""
    if not payload_files(subject.manifest):
        return
    try:
        load_scorer(subject.kind, subject.folder, replace(subject.manifest, files={}), subject.allow_pickle)
    except WillNotLoad:
        return
    raise ContractBroken(f"{subject.kind}: loads files that its manifest does not list; expected: WillNotLoad")


def check_absent_library(subject: Subject, scratch: Path) -> None:
    """Where a library is absent the kind counts as not installed: its class names the modules that it needs."""
    found = type(subject.scorer)
    required = found.requires
    found.requires = (*required, "no_such_library")
    try:
        subject.load()
    except UnknownScorer as refusal:
        expect("no_such_library" in str(refusal), f"it says only {str(refusal)!r}")
        return
    finally:
        found.requires = required
    raise ContractBroken(f"{subject.kind}: loads without the modules in `requires`; expected: UnknownScorer")


def check_admission(subject: Subject, scratch: Path) -> None:
    """The bundle is admitted from a folder and from a store; with a golden score that is wrong it is not."""
    store = ModelStore(publish(subject, scratch), subject.manifest.model)
    admission = Admission(store, subject.columns, subject.allow_pickle)
    for verdict in (admission.check_folder(subject.folder), admission.check_version(subject.manifest.version)):
        expect(verdict.admitted, f"refused as {verdict.reason}: {verdict.detail}")
    folder = scratch / "wrong"
    shutil.copytree(subject.folder, folder)
    wrong = subject.scorer.score(subject.batch(5)) + 0.25 + 2 * subject.tolerance
    write_golden(folder, subject.manifest, subject.rows.slice(0, 5), wrong.tolist())
    golden = {"file": GOLDEN, "tolerance": subject.tolerance}
    write_bundle(subject.kind, folder, {**json.loads(subject.manifest.raw), "golden": golden})
    verdict = Admission(None, allow_pickle=subject.allow_pickle).check_folder(folder)
    expect(verdict.reason == "golden_mismatch", f"a wrong golden score gives {verdict.reason}: {verdict.detail}")


def _scores(subject: Subject, batch: pa.RecordBatch) -> npt.NDArray[np.float64]:
    """The shared scorer's answer, which must be one score for each row."""
    scores = subject.scorer.score(batch)
    try:
        check_output(scores, batch.num_rows, subject.manifest.output)
    except BadOutput as refusal:
        raise ContractBroken(f"{subject.kind}: {refusal}") from None
    return scores


def _with_null(subject: Subject, entry: Input) -> pa.RecordBatch:
    """Three rows of the job's columns, the second with a null in one of them."""
    rows = subject.rows.take(pa.array([0, 1, 2]))
    index = rows.schema.get_field_index(entry.name)
    values = pa.array([rows.column(index)[0].as_py(), None, rows.column(index)[2].as_py()], rows.column(index).type)
    return rows.set_column(index, rows.schema.field(index), values)


CHECKS: tuple[Check, ...] = (
    check_kind_is_installed,
    check_library_is_imported_by_load_only,
    check_length_and_order,
    check_batch_of_one_equals_batch_of_many,
    check_empty_batch,
    check_nulls,
    check_nan_is_no_score,
    check_same_batch_scores_the_same,
    check_threads,
    check_reloading,
    check_pickling,
    check_contributions_add_up,
    check_contributions_explain_differences,
    check_contributions_repeat,
    check_unloading_frees_memory,
    check_wrong_file,
    check_absent_file,
    check_absent_library,
    check_admission,
)
