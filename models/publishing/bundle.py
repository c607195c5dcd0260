"""A bundle built in a folder of its own: payload, golden records, profile, manifest."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from models.admission.libraries import accept, check_libraries, libraries_of
from models.bundles.folders import manifest_bytes, read_folder_manifest, refuse_links
from models.bundles.manifest import (
    DATA_OF_FORMAT_1,
    FORMAT,
    MANIFEST,
    SIGNATURE,
    Decisions,
    GoldenBy,
    Input,
    Manifest,
    Output,
    OutputKind,
    parse_manifest,
)
from models.publishing.classes import check_positive, labels_of, resolve_output
from models.publishing.description import CannotPublish, FoundModel
from models.publishing.hiding import HASHED_RECORDS, Hiding, hashed_records
from models.publishing.inputs import StatedInput, resolve_inputs
from models.publishing.sample_times import times_of
from models.publishing.trainer import trainer_lines
from models.publishing.training_data.stated import stated_data
from models.publishing.trial import SampleTrial, try_on_sample
from models.redaction import secrets_in
from models.scorers import load_scorer
from schemas.expectations import QUOTE, did_you_mean
from schemas.times import format_time_us

GOLDEN, PROFILE, RECORDS = "golden.jsonl", "profile.json", "records"
NO_PROFILE = "without --sample there is no profile to measure drift from"
NO_SAMPLE = "without --sample there are no golden records to prove its scores by and no profile to measure drift from"


@dataclass(frozen=True, slots=True)
class Statement:
    """What a person states about a model, which overrides the model's files. Null or empty: nothing is stated.

    `decisions`: texts of the two that the threshold makes; `reasons`: by input `{code, positive, negative, suppress}`.
    `trust`: types besides Halflife's own list that the model's file has objects of.
    `accepted`: libraries whose version here may serve the model although another one made it, and the version stated.
    `hiding`: what of persons may not be in the bundle, of a job with `privacy`.
    """

    model: str
    version: str
    created_by: str
    inputs: Sequence[StatedInput] = ()
    output: OutputKind | None = None
    threshold: float | None = None
    positive: str | None = None
    trained_at_us: int | None = None
    code: str | None = None
    decision: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    data: Sequence[str] = ()
    quality: Mapping[str, float] = field(default_factory=dict)
    records: Path | None = None
    tolerance: float | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    accepted: Sequence[tuple[str, str | None]] = ()
    trust: Sequence[str] = ()
    decisions: Decisions | None = None
    reasons: Mapping[str, Any] = field(default_factory=dict)
    hiding: Hiding | None = None
    event_time: str | None = None
    event_time_of_job: str | None = None


class Rows(NamedTuple):
    """What is known about a model's input: a `sample` of it, and the `trainer`'s answers, with the column `score`."""

    sample: pa.Table | None = None
    trainer: pa.Table | None = None

    @property
    def shown(self) -> pa.Table | None:
        """The rows that show which inputs there are, and of which types."""
        return self.trainer if self.sample is None else self.sample


@dataclass(frozen=True, slots=True)
class Built:
    """A complete bundle; `notes` say what was inferred and what is missing, one line each."""

    folder: Path
    manifest: Manifest
    golden_rows: int = 0
    profile_rows: int = 0
    notes: tuple[str, ...] = ()


def copy_bundle(bundle: Path, into: Path) -> Built:
    """A ready bundle (a folder with its `manifest.json`), copied as its manifest lists it, bytes unchanged.

    Raises:
        BundleRefused: it is none.
    """
    manifest = read_folder_manifest(bundle)
    for path in (*manifest.files, SIGNATURE):
        refuse_links(bundle, path)
    named = [path for path in (*manifest.files, MANIFEST, SIGNATURE) if (bundle / path).is_file()]
    _link_or_copy({path: bundle / path for path in named}, into)
    return Built(into, manifest)


def build_bundle(
    found: FoundModel, said: Statement, rows: Rows, into: Path, allow_pickle: bool = False, check: bool = True
) -> Built:
    """Build a bundle in the folder `into` from a recognised model.

    Args:
        found: the model.
        said: what a person states about it.
        rows: the sample, and the trainer's own answers.
        into: an empty folder.
        allow_pickle: whether pickles may be opened.
        check: whether a library whose version differs from the one that made the model is refused here.

    Raises:
        CannotPublish: something is missing that neither the model nor the person states.
        BundleRefused: the manifest is not valid, or the model does not load or score the sample.
    """
    notes: list[str] = []
    _link_or_copy(found.files, into)
    _write_records(said, into)
    document = _document(found, said, rows.shown, notes)
    if any(each.keys() - DATA_OF_FORMAT_1 for each in document["training"].get("data", ())):
        document["format"] = FORMAT
    if said.trust:
        document |= {"trust": sorted(set(said.trust)), "format": FORMAT}
    _add_words(document, said)
    if rows.trainer is not None:
        _write_trainer(document, said, rows.trainer, into)
    _record_libraries(document, said, into, check)
    trial = None if rows.sample is None else _try(document, said, rows.sample, into, allow_pickle)
    if trial is None:
        notes.append(NO_SAMPLE if rows.trainer is None else NO_PROFILE)
    elif said.hiding is not None:
        _note_hidden(said.hiding, trial, rows, notes)
    if trial is not None and trial.unprofiled:
        notes.append(f"no drift is measured of {', '.join(trial.unprofiled)}: vectors and times have no profile")
    if trial is not None:
        notes.extend(_parts_known(trial))
    raw = manifest_bytes(into, document)
    secret = secrets_in(raw.decode())
    if secret:
        raise CannotPublish(f"the manifest would hold the value of {', '.join(secret)}; expected: no secrets")
    manifest = parse_manifest(raw)
    (into / MANIFEST).write_bytes(raw)
    golden_rows = 0 if trial is None else trial.golden_rows
    golden_rows = golden_rows if rows.trainer is None else rows.trainer.num_rows
    return Built(into, manifest, golden_rows, 0 if trial is None else trial.rows, tuple(notes))


def _parts_known(trial: SampleTrial) -> Iterator[str]:
    """What of the sample the profile knows beside its whole."""
    if trial.windows:
        known = ", ".join(f"{number:,} of {length}" for length, number in trial.windows)
        yield f"the profile knows how far windows of the sample were from all of it: {known}"
    else:
        without = f"the sample has no windows of its own: {trial.no_windows}; drift compares a window with all of it"
        yield f"{without}; next: --event_time COLUMN, the times of its events"
    if trial.segments:
        names = [name.partition("=")[0].removesuffix(" is null") for name in trial.segments]
        yield f"segments have a reference of their own by {', '.join(dict.fromkeys(names))}"


def _note_hidden(hiding: Hiding, trial: SampleTrial, rows: Rows, notes: list[str]) -> None:
    """Says what the bundle does not have, and has instead."""
    if hiding.hidden:
        notes.append(f"the profile and golden records have no values of {', '.join(hiding.hidden)}")
    if rows.trainer is None:
        none = "there are no golden records: the model does not score made up rows"
        notes.append("golden records are made up rows: no person has one" if trial.golden else none)


def _add_words(document: dict[str, Any], said: Statement) -> None:
    """The texts of decisions and reasons."""
    if said.decisions is not None:
        if said.threshold is None:
            raise CannotPublish("--decisions without --threshold; expected: the score from which on it is positive")
        document["output"]["decisions"] = asdict(said.decisions)
    names = [entry["name"] for entry in document["inputs"]]
    for name in said.reasons:
        if name not in names:
            hint = did_you_mean(name, names, QUOTE)
            raise CannotPublish(f"reasons of {name!r}, which is not an input; allowed: {', '.join(names)}{hint}")
    if said.reasons:
        document["reasons"] = {name: _without_nulls(dict(texts)) for name, texts in said.reasons.items()}
    if said.decisions is not None or said.reasons:
        document["format"] = FORMAT


def _records_path(said: Statement) -> str | None:
    """Where training records are in the bundle; a name may tell of whom they are."""
    if said.records is None:
        return None
    return f"{RECORDS}/{said.records.name if said.hiding is None else HASHED_RECORDS}"


def _write_records(said: Statement, into: Path) -> None:
    path = _records_path(said)
    if path is None or said.records is None:
        return
    if said.hiding is None:
        _link_or_copy({path: said.records}, into)
        return
    (into / path).parent.mkdir()
    (into / path).write_bytes(hashed_records(said.records, said.hiding))


def _write_trainer(document: dict[str, Any], said: Statement, trainer: pa.Table, into: Path) -> None:
    draft = parse_manifest(manifest_bytes(into, document))
    shown = [] if said.hiding is None else [each.name for each in draft.inputs if each.name in said.hiding.hidden]
    if shown:
        said_of = f"--golden has {', '.join(shown)}, which privacy hides"
        raise CannotPublish(f"{said_of}; next: --sample instead, of which golden records are made up")
    (into / GOLDEN).write_bytes(trainer_lines(trainer, draft.inputs))
    document["golden"] = _golden(said, "trainer")
    document["format"] = FORMAT


def _record_libraries(document: dict[str, Any], said: Statement, into: Path, check: bool) -> None:
    """The versions that made the model according to its files, and which of those here a person accepted."""
    draft = parse_manifest(manifest_bytes(into, document))
    made = libraries_of(into, draft)
    found = {"libraries": made, "accepted_libraries": accept(said.accepted, made)}
    document.update({key: versions for key, versions in found.items() if versions})
    if made or said.accepted:
        document["format"] = FORMAT
    if check:
        check_libraries(into, parse_manifest(manifest_bytes(into, document)))


def _golden(said: Statement, by: GoldenBy) -> dict[str, Any]:
    stated = {"tolerance": said.tolerance, "by": None if by == "publish" else by}
    return {"file": GOLDEN, **_without_nulls(stated)}


def _try(document: dict[str, Any], said: Statement, sample: pa.Table, into: Path, allow_pickle: bool) -> SampleTrial:
    """Profile from the sample, and golden records unless the trainer gave some, written into the bundle and named in
    the document."""
    draft = parse_manifest(manifest_bytes(into, document))
    scorer = load_scorer(draft.scorer, into, draft, allow_pickle, trusting=True)  # the publisher states it
    try:
        if draft.output.kind != "regression":
            check_positive(tuple(scorer.labels().values()), draft.output.positive)
        timed = times_of(sample, said.event_time, said.event_time_of_job)
        trial = try_on_sample(scorer, draft.inputs, draft.output, sample, said.hiding, timed)
    finally:
        scorer.close()
    if "golden" not in document and trial.golden:
        (into / GOLDEN).write_bytes(trial.golden)
        document["golden"] = _golden(said, "publish")
    (into / PROFILE).write_bytes(trial.profile)
    document["profile"] = PROFILE
    if trial.importance:
        document |= {"importance": dict(trial.importance), "format": FORMAT}
    return trial


def _document(found: FoundModel, said: Statement, sample: pa.Table | None, notes: list[str]) -> dict[str, Any]:
    inputs = resolve_inputs(found.description, said.inputs, sample)
    settings = {**found.description.settings, **said.settings}
    labels = labels_of(found.description, said.settings)
    kind = resolve_output(found.description, labels, said.output, said.positive)
    listed = ", ".join(f"{each.name} {each.type}" for each in inputs)
    many = "input" if len(inputs) == 1 else "inputs"
    notes.append(f"scorer {found.scorer}; {len(inputs)} {many}: {listed}")
    if said.output is None:
        why = "as the model says" if kind == found.description.output else f"as --positive {said.positive} says"
        notes.append(f"output {kind}, {why}")
    return {
        "model": said.model,
        "version": said.version,
        "scorer": found.scorer,
        "inputs": [_input(each) for each in inputs],
        "output": _without_nulls(asdict(Output(kind, said.threshold, said.positive))),
        "training": _training(found, said, notes),
        "quality": {**found.provenance.quality, **said.quality},
        "created_by": said.created_by,
        **({"parameters": settings} if settings else {}),
        **({} if said.hiding is None else {"privacy": said.hiding.document(), "format": FORMAT}),
    }


def _training(found: FoundModel, said: Statement, notes: list[str]) -> dict[str, Any]:
    known = found.provenance
    trained_at = None if said.trained_at_us is None else format_time_us(said.trained_at_us)
    if trained_at is None and known.trained_at is None:
        newest = max((file.stat().st_mtime for file in found.files.values()), default=None)
        if newest is None:
            raise CannotPublish("nobody says when the model was trained; expected: --trained_at TIME")
        trained_at = format_time_us(int(newest) * 1_000_000)
        notes.append(f"trained_at {trained_at}, when its newest file was written; next: --trained_at TIME if not")
    return _without_nulls(
        {
            "trained_at": trained_at or known.trained_at,
            "code": said.code or known.code,
            "parameters": {**known.parameters, **said.parameters} or None,
            "hyperparameters": {**known.hyperparameters, **said.hyperparameters} or None,
            "data": [*known.data, *(stated_data(str(text), notes) for text in said.data)] or None,
            "records": _records_path(said),
            "decision": said.decision,
        }
    )


def _input(each: Input) -> dict[str, Any]:
    stated = {"nullable": each.nullable or None, "default": each.default}
    return {"name": each.name, "type": each.type, **_without_nulls(stated)}


def _without_nulls(document: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in document.items() if value is not None}


def _link_or_copy(files: Mapping[str, Path], into: Path) -> None:
    """The files at their paths in the bundle: linked where the disk can, copied otherwise. They are only read."""
    for path, source in files.items():
        target = into / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if not source.is_file():
            raise CannotPublish(f"{source} is not a file; expected: files that can be read")
        try:
            os.link(source.resolve(), target)
        except OSError:
            shutil.copyfile(source, target)
