"""Versions and releases from Python: what `halflife models publish` and `release` do, without their printing."""

import argparse
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from halflife._trust import trusted_types
from models.bundles.manifest import Decisions
from models.outages import temporary_folder
from models.releases.release import Challenger
from pipeline.command_line.parsing import instant
from pipeline.commands.models.event_times import release_time
from pipeline.commands.models.publish import published
from pipeline.commands.models.publish_options import PublishParser, accepted_library, stated_input
from pipeline.commands.models.release import release_parser, released, remarks
from pipeline.reporting.printer import notes_to
from schemas.validation import SpecError

_LOG = logging.getLogger("halflife")
_Read = TypeVar("_Read")
Job: TypeAlias = Mapping[str, Any] | str | PathLike[str]
Rows: TypeAlias = pd.DataFrame | pa.Table | str | PathLike[str]


@dataclass(frozen=True, slots=True)
class PublishedVersion:
    """A version that is in a store. `digest`: the sha256 of its manifest in hex. `golden_records`, `profile_rows`: how
    many rows it was tried on, and its profile is of. `notes`: what was inferred, and what is missing, a line each."""

    name: str
    version: str
    digest: str
    scorer: str
    store: str
    golden_records: int
    profile_rows: int
    signed: bool
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class WrittenRelease:
    """An entry of a timeline. `challengers`: shares (0 to 1) by version. `notes`: remarks, a line each."""

    sequence: int
    effective_from: datetime
    champion: str
    challengers: Mapping[str, float]
    shadows: tuple[str, ...]
    salt: str
    by: str
    reason: str
    notes: tuple[str, ...]


def publish(
    source: Any,
    *,
    store: str | PathLike[str] | None = None,
    name: str | None = None,
    version: str | None = None,
    sample: Rows | None = None,
    golden: Rows | None = None,
    inputs: Mapping[str, str] | None = None,
    output: Literal["probability", "regression", "class"] | None = None,
    threshold: float | None = None,
    positive: str | None = None,
    decisions: Mapping[str, str] | None = None,
    reasons: Mapping[str, Mapping[str, Any]] | str | PathLike[str] | None = None,
    scorer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    tolerance: float | None = None,
    trained_at: datetime | str | None = None,
    quality: Mapping[str, float] | None = None,
    job: Job | None = None,
    trust: Sequence[str] = (),
    check: bool = True,
    by: str | None = None,
    **statements: Any,
) -> PublishedVersion:
    """Puts a trained model into a store as a new, immutable version, as `halflife models publish` does.

    Args:
        source: a scikit-learn estimator, or a path: a model as its tool left it, `models:/NAME@ALIAS` of MLflow, or the
            folder of a ready bundle; None for a `scorer` without files.
        store, name: where the model goes, and its name; those of `job` where they are left out.
        version: the version's name; only a ready bundle has one itself.
        sample: rows with the input columns, as a DataFrame, an Arrow table or a file: they give golden records and the
            profile.
        golden: the trainer's own answers: rows of the inputs with a column `score`.
        inputs: `{"delay": "number", "stops": "integer:nullable", "carrier": "string=AA"}`; what the model and the
            sample say where it is left out.
        output, threshold, positive: what a score is; from which score on a decision is positive; the positive class.
        decisions: the texts of the two decisions, `{"positive": "approved", "negative": "rejected"}`.
        reasons: the words for reasons, `{"delay": {"code": "D1", "positive": "left late", "negative": "left on time"},
            "gate": {"suppress": True}}`, or a YAML file with them.
        scorer, settings: the kind as which it is published, and settings of that kind.
        tolerance: how far golden scores may be off.
        trained_at: when it was trained; a text is an RFC 3339 time.
        quality: metrics of the trainer, such as `{"auc": 0.7}`.
        job: the spec of a job that the model must fit (a mapping or its file).
        trust: full names of types that a scikit-learn model's file has objects of, beyond Halflife's own list, such as
            `["xgboost.sklearn.XGBClassifier", "xgboost.core.Booster"]`; recorded in the manifest. A job opens
            the version only if its `model.trust` lists them too, or its trusted key signed it.
        check: whether it is tried here first, with every check of admission.
        by: who publishes it; this process's user if left out.
        statements: further options of the command by their names: `code`, `parameters`, `hyperparameters`, `data`,
            `records`, `decision`, `created_by`, `tracking_uri`, `accept_library`, `sign_key`, `allow_pickle`,
            `trusted_key`, `max_bytes`, `event_time` (the sample's column of the events' times).

    Raises:
        Refused: it may not serve (`reason`, `detail`); nothing is published.
        SpecError: an argument or the job's spec is wrong.
        StoreError: the store cannot do it, or what the model needs is not stated.
        BundleRefused: the model cannot be read.
    """
    options = PublishParser().parse_args([])
    _state(options, statements)
    with temporary_folder("publish") as folder, notes_to(_LOG.info):
        options.path = None if source is None else _model_file(source, folder)
        options.sample, options.golden = (_rows_file(rows, folder / f"{name}.parquet")
                                          for name, rows in (("sample", sample), ("golden", golden)))  # fmt: skip
        options.inputs = [
            _read("inputs", stated_input, f"{column}:{kind}") for column, kind in (inputs or {}).items()
        ]
        options.store, options.model = _text(store), name
        options.version, options.output, options.threshold, options.positive = version, output, threshold, positive
        options.scorer, options.tolerance, options.job = scorer, tolerance, _job(job)
        options.decisions = None if decisions is None else _decisions(decisions)
        options.reasons = _words_file(reasons, folder / "reasons.yaml")
        options.settings_of_kind, options.quality = _pairs(settings), list((quality or {}).items())
        options.trained_at = None if trained_at is None else _read("trained_at", instant, _moment(trained_at))
        options.no_check, options.by, options.trust = not check, by or options.by, trusted_types(trust)
        done = published(options, lambda what: nullcontext())
    manifest, built = done.built.manifest, done.built
    return PublishedVersion(
        manifest.model,
        manifest.version,
        manifest.digest,
        manifest.scorer,
        done.store,
        built.golden_rows,
        built.profile_rows,
        done.signed,
        built.notes,
    )


def release(
    champion: str,
    *,
    store: str | PathLike[str] | None = None,
    name: str | None = None,
    challengers: Mapping[str, float] | None = None,
    shadows: Sequence[str] = (),
    effective_from: datetime | str | None = None,
    split_on: str | None = None,
    salt: str | None = None,
    reason: str = "",
    evidence: str = "",
    job: Job | None = None,
    trust: Sequence[str] = (),
    check: bool = True,
    accept_output_change: bool = False,
    allow_pickle: bool = False,
    by: str | None = None,
) -> WrittenRelease:
    """Decides which versions serve from a time on, as `halflife models release` does.

    Args:
        champion: the version that answers.
        store, name: the model's store and name; those of `job` where they are left out.
        challengers: versions that answer for a share of the events, such as `{"v2": 0.1}`.
        shadows: versions that are scored and never returned.
        effective_from: the event time from which it serves: a time (of a zone), `"2013-03-01"`, an RFC 3339 text,
            `"now"`, or `"first-event"` of `job`; now and two polls if left out, so that every worker knows it in time.
        split_on, salt: what events are split by between champion and challengers, and with what salt.
        reason, evidence: why, and a link or an id that supports it.
        job: the spec of the job that the versions must fit (a mapping or its file).
        trust: full names of types besides Halflife's own list that this trial may make, as `model.trust` of `job`.
        check: whether the versions are tried here first.
        accept_output_change: release versions although their output or positive class differs.
        allow_pickle: open pickles, which can run any code, for that trial.
        by: who decides it; this process's user if left out.

    Raises:
        Refused: a version may not serve, or scores would change their meaning; nothing is written.
        SpecError: an argument or the job's spec is wrong.
        StoreError: the store cannot do it, or does not have a version.
    """
    options = release_parser().parse_args([f"--champion={champion}"])
    options.store, options.model, options.job = _text(store), name, _job(job)
    options.challengers = [Challenger(version, float(share)) for version, share in (challengers or {}).items()]
    options.shadows, options.split_on, options.salt = list(shadows), split_on, salt
    if effective_from is not None:
        options.effective_from = _read("effective_from", release_time, _moment(effective_from))
    options.trust = trusted_types(trust)
    options.reason, options.evidence, options.by = reason, evidence, by or options.by
    options.no_check, options.accept_output_change, options.allow_pickle = not check, accept_output_change, allow_pickle
    with notes_to(_LOG.info):
        written, more = released(options)
    return WrittenRelease(
        written.sequence,
        datetime.fromtimestamp(written.effective_from_us / 1e6, UTC),
        written.champion,
        {each.version: each.share for each in written.challengers},
        written.shadows,
        written.salt,
        written.by,
        written.reason,
        tuple(remarks(written, more)),
    )


def _state(options: argparse.Namespace, statements: Mapping[str, Any]) -> None:
    for option, value in statements.items():
        if option not in _STATEMENTS:
            raise SpecError("publish", option, ", ".join(_STATEMENTS))
        setattr(options, option, _STATEMENTS[option](value))


def _model_file(source: Any, folder: Path) -> str:
    if isinstance(source, str | PathLike):
        return str(source)
    if not type(source).__module__.startswith("sklearn."):
        kind = f"{type(source).__module__}.{type(source).__qualname__}"
        raise SpecError("source", kind, "a path, or an estimator of scikit-learn; others are saved with their own tool")
    import skops.io

    file = folder / "model.skops"
    skops.io.dump(source, file)
    return str(file)


def _rows_file(rows: Rows | None, file: Path) -> Path | None:
    if rows is None:
        return None
    if isinstance(rows, str | PathLike):
        return Path(rows)
    table = pa.Table.from_pandas(rows, preserve_index=False) if isinstance(rows, pd.DataFrame) else rows
    pq.write_table(table, file)
    return file


def _decisions(texts: Mapping[str, str]) -> Decisions:
    if set(texts) != {"positive", "negative"}:
        raise SpecError("decisions", json.dumps(dict(texts)), '{"positive": text, "negative": text}')
    return Decisions(texts["positive"], texts["negative"])


def _words_file(reasons: Mapping[str, Any] | str | PathLike[str] | None, file: Path) -> Path | None:
    if reasons is None or isinstance(reasons, str | PathLike):
        return None if reasons is None else Path(reasons)
    file.write_text(json.dumps({name: dict(words) for name, words in reasons.items()}), encoding="utf-8")
    return file


def _pairs(values: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """As the command line has them: each value as JSON."""
    return [(name, json.dumps(value)) for name, value in (values or {}).items()]


def _read(argument: str, parse: Callable[[str], _Read], text: str) -> _Read:
    """What a parser of the command line makes of a text. Raises `SpecError` with its message."""
    try:
        return parse(text)
    except argparse.ArgumentTypeError as error:
        raise SpecError(argument, text, str(error).partition("; ")[2].partition(": ")[2] or "another value") from None


def _moment(at: datetime | str) -> str:
    if isinstance(at, str):
        return at
    if at.tzinfo is None:
        raise SpecError("datetime", at.isoformat(), "a time with a zone, such as datetime.now(UTC)")
    return at.astimezone(UTC).isoformat()


def _text(store: str | PathLike[str] | None) -> str | None:
    return None if store is None else str(store)


def _job(job: Job | None) -> Mapping[str, Any] | str | None:
    return job if job is None or isinstance(job, Mapping) else str(job)


def _libraries(named: Sequence[str]) -> list[tuple[str, str | None]]:
    return [_read("accept_library", accepted_library, each) for each in named]


_STATEMENTS: Mapping[str, Callable[[Any], Any]] = {
    "code": str,
    "parameters": _pairs,
    "hyperparameters": _pairs,
    "data": list,
    "records": Path,
    "decision": str,
    "event_time": str,
    "created_by": str,
    "tracking_uri": str,
    "accept_library": _libraries,
    "sign_key": Path,
    "allow_pickle": bool,
    "trusted_key": str,
    "max_bytes": int,
}
