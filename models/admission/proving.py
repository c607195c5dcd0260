"""The checks of a bundle on disk: it loads, reads what the job has, and scores its golden records as recorded."""

import json
import math
import reprlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from models.bundles.inputs import check_inputs, prepare_inputs
from models.bundles.manifest import Input, Manifest, Output
from models.errors import BundleRefused, StoreError, one_line
from models.profiles import MAX_PROFILE_BYTES, SCORE, InvalidProfile, Profile, observe, parse_profile
from models.scorers import NotReady, PartlyScored, Scorer, WillNotLoad, load_scorer
from models.scorers.asking import WrongAnswer, check_shape, faults_of
from schemas.columns import ARROW_TYPES
from schemas.expectations import wants
from schemas.validation import Absent


class GoldenMismatch(BundleRefused):
    """The golden records do not score as recorded, or cannot be read."""

    reason: ClassVar[str] = "golden_mismatch"


class BadOutput(BundleRefused):
    """The model answers with NaN, the wrong number of values, or a probability outside [0, 1]."""

    reason: ClassVar[str] = "bad_output"


@dataclass(frozen=True, slots=True)
class GoldenRecords:
    """n recorded examples: `batch` ready for `Scorer.score`, `scores` float64 of shape (n,)."""

    batch: pa.RecordBatch
    scores: npt.NDArray[np.float64]


@contextmanager
def refused_as(refusal: Callable[[str], BundleRefused]) -> Iterator[None]:
    """Turns whatever a check raises into a refusal: a bundle is untrusted, and so are the libraries that read it.

    Raises:
        BundleRefused: the check's own, else `refusal` with the error in one line.
        StoreError: the store or the local disk failed; raised as it is.
        KeyboardInterrupt: the user interrupted the process.
    """
    try:
        yield
    except (BundleRefused, StoreError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a panic of a Rust library, and `sys.exit` in a pickle, are no `Exception`
        raise refusal(one_line(error)) from error


def prove(
    folder: Path,
    manifest: Manifest,
    columns: Mapping[str, str] | None = None,
    allow_pickle: bool = False,
    loaded: Callable[[Scorer], object] = lambda scorer: None,
    trusting: bool = False,
) -> Scorer:
    """Load a bundle whose files are verified, and try it; the scorer returned is warm.

    Every file that the job will read is read here: the model, the profile, the golden records.

    A bundle without golden records is only tried with an empty batch: its expected answers are not known.

    Args:
        folder: the bundle.
        manifest: its manifest.
        columns: the job's columns (name → kind); None skips this check.
        allow_pickle: whether pickles may be opened.
        trusting: whether the types that the manifest names under `trust` may be made: admission has decided so.
        loaded: called with the scorer as soon as it is loaded, before it scores.

    Raises:
        BundleRefused: UnknownScorer, WillNotLoad, WrongInputs, InvalidProfile, GoldenMismatch or BadOutput.
    """
    with refused_as(WillNotLoad):
        scorer = load_scorer(manifest.scorer, folder, manifest, allow_pickle, trusting)
    try:
        loaded(scorer)
        if columns is not None:
            check_inputs(manifest.inputs, columns)
        with refused_as(GoldenMismatch):
            records = read_golden(folder, manifest)
        with refused_as(_no_profile):
            check_profile(read_profile(folder, manifest), records)
        with refused_as(GoldenMismatch):
            check_golden(scorer, manifest, records)
    except BaseException:
        scorer.close()
        raise
    return scorer


def read_profile(folder: Path, manifest: Manifest) -> Profile | None:
    """The reference profile of a bundle; None where its manifest names none.

    Raises:
        InvalidProfile: the file is not a valid profile.
    """
    if manifest.profile is None:
        return None
    path = folder / manifest.profile
    if path.stat().st_size > MAX_PROFILE_BYTES:
        raise InvalidProfile("profile", Absent(f"{path.stat().st_size} bytes"), f"at most {MAX_PROFILE_BYTES} bytes")
    return replace(parse_profile(path.read_bytes()), importance=manifest.importance)


def check_profile(profile: Profile | None, records: GoldenRecords) -> None:
    """Count the golden records on the profile's cells, as drift will count events; lets errors pass."""
    if profile is not None:
        inputs = dict(zip(records.batch.schema.names, records.batch.columns, strict=True))
        observe(profile, pa.RecordBatch.from_pydict({**inputs, SCORE: records.scores}))


def _no_profile(detail: str) -> InvalidProfile:
    return InvalidProfile("profile", Absent(detail), "a profile that values can be counted on")


def check_golden(scorer: Scorer, manifest: Manifest, records: GoldenRecords) -> None:
    """Score the golden records and compare.

    Raises:
        BadOutput: an answer is not a valid score.
        GoldenMismatch: scoring fails, or a score differs by more than the tolerance.
        NotReady: the model's server does not answer.
    """
    try:
        scores = scorer.score(records.batch)
    except PartlyScored as error:
        if error.unavailable:
            raise NotReady(f"{manifest.scorer}: {error}") from None
        raise GoldenMismatch(f"golden records cannot be scored: {error}") from None
    except Exception as error:
        # A model is untrusted: if it raises anything on its own golden records it is refused.
        raise GoldenMismatch(f"golden records cannot be scored: {one_line(error)}") from error
    check_output(scores, len(records.scores), manifest.output)
    if manifest.golden is None:
        return
    differences = np.abs(scores - records.scores)
    worst = int(np.argmax(differences))
    if differences[worst] > manifest.golden.tolerance:
        raise GoldenMismatch(
            f"{manifest.golden.file} line {worst + 1}: score {scores[worst]:.12g}; "
            f"expected: {records.scores[worst]:.12g} within {manifest.golden.tolerance:g}"
        )


def check_output(scores: object, rows: int, output: Output) -> None:
    """Check that a scorer's answer is `rows` finite float64 values, in [0, 1] for a probability.

    Raises:
        BadOutput: it is not.
    """
    try:
        check_shape(scores, rows)
    except WrongAnswer as wrong:
        raise BadOutput(str(wrong)) from None
    assert isinstance(scores, np.ndarray)  # `check_shape` has checked it
    faults = faults_of(scores, output)
    if faults:
        first, limits = min(faults), "a probability from 0 to 1" if output.kind == "probability" else "a finite number"
        raise BadOutput(f"score {scores[first]:.12g} of record {first + 1}; {wants(limits)}")


def read_golden(folder: Path, manifest: Manifest) -> GoldenRecords:
    """The golden records of a bundle: JSON lines `{"inputs": {name: value}, "score": number}`.

    A bundle without the file has none, which gives n = 0.

    Raises:
        GoldenMismatch: the file says something else, naming the line.
    """
    if manifest.golden is None:
        return GoldenRecords(_batch([], manifest.inputs, "golden"), np.empty(0, dtype=np.float64))
    file = manifest.golden.file
    rows, scores = [], []
    for number, line in enumerate((folder / file).read_bytes().splitlines(), start=1):
        inputs, score = _record(line, manifest.inputs, f"{file} line {number}")
        rows.append(inputs)
        scores.append(score)
    if not rows:
        raise GoldenMismatch(f"{file} is empty; expected: one record or more")
    return GoldenRecords(_batch(rows, manifest.inputs, file), np.array(scores, dtype=np.float64))


def _record(line: bytes, inputs: tuple[Input, ...], location: str) -> tuple[dict[str, Any], float]:
    try:
        record = json.loads(line.decode("utf-8"))
        json.dumps(record, ensure_ascii=False).encode()  # a lone surrogate passes the parser, but nothing after it
    except (ValueError, RecursionError) as error:
        raise GoldenMismatch(f"{location}: {one_line(error)}; expected: JSON in UTF-8") from None
    if not isinstance(record, dict) or set(record) != {"inputs", "score"} or not isinstance(record["inputs"], dict):
        raise GoldenMismatch(f"{location} is not allowed; expected: {{'inputs': {{name: value}}, 'score': number}}")
    score = record["score"]
    if not _finite(score):
        raise GoldenMismatch(f"{location}: score {reprlib.repr(score)} is not allowed; expected: a finite number")
    names = {entry.name for entry in inputs}
    for name in sorted(names ^ set(record["inputs"])):
        problem = "has no input" if name in names else "has an unknown input"
        raise GoldenMismatch(f"{location} {problem} {name!r}; expected: exactly {', '.join(sorted(names))}")
    return record["inputs"], float(score)


def _finite(score: object) -> bool:
    if isinstance(score, bool) or not isinstance(score, (int, float)):
        return False
    try:
        return math.isfinite(score)
    except OverflowError:  # an integer too large for a float
        return False


def _batch(rows: list[dict[str, Any]], inputs: tuple[Input, ...], file: str) -> pa.RecordBatch:
    columns = []
    for entry in inputs:
        try:
            columns.append(pa.array([row[entry.name] for row in rows], ARROW_TYPES[entry.type]))
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
            raise GoldenMismatch(f"{file}: input {entry.name!r}: {one_line(error)}; expected: {entry.type}") from None
    batch = pa.RecordBatch.from_arrays(columns, names=[entry.name for entry in inputs])
    prepared, unreadable = prepare_inputs(batch, inputs)
    if unreadable.any():
        line = int(np.argmax(unreadable)) + 1
        raise GoldenMismatch(f"{file} line {line}: null in an input that may not be null; expected: a value")
    return prepared
