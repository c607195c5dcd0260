"""The location of the model that a verb works on: its store, and what a job spec says about it."""

import argparse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from models.admission.admission import Admission
from models.bundles.signing import read_public_key
from models.errors import BundleRefused, StoreError
from models.store.backends import InvalidStoreUrl
from models.store.store import ModelStore
from pipeline.reporting.model_presence import absent_model
from pipeline.reporting.printer import note
from pipeline.spec.environment import JOB, STORE, said_as
from pipeline.spec.job import with_defaults
from pipeline.spec.reading import read_spec
from schemas.errors import HalflifeError
from schemas.expectations import did_you_mean, with_hint
from schemas.times import parse_duration_us
from schemas.validation import MISSING, SpecError

if TYPE_CHECKING:
    from pipeline.prepared import TypedJob


@dataclass(frozen=True, slots=True)
class ModelLocation:
    """The store of one model, and the job's settings for it (the defaults without a job, whose name is then null)."""

    store: ModelStore
    poll_us: int
    allow_pickle: bool
    trusted_key: str | None
    max_bytes: int
    admission_timeout_s: float
    job: str | None = None
    trust: tuple[str, ...] = ()


def read_job_spec(options: argparse.Namespace) -> Mapping[str, Any]:
    """The spec of `--job`; empty without one. Raises `SpecError`."""
    if options.job is None:
        if options.settings:
            raise SpecError("--set", options.settings[0], "only together with --job")
        return {}
    document, problems = read_spec(options.job, options.settings)
    problems.check()
    return document


def refuse_absent(options: argparse.Namespace, store: ModelStore) -> None:
    """For a verb that found nothing of a model: its name, or the store's, may be misspelt.

    Raises:
        SpecError: the store has no such model, or none at all.
    """
    of_store = said_as("--store", STORE, options.store) if options.store else "model.store"
    paths = of_store, "--model" if options.model else "model.name"
    absent = absent_model(store, *paths)
    if absent is not None:
        raise absent


def check_version_known(store: ModelStore, version: str, spec_path: str) -> None:
    """Raises `SpecError` for a version that the store does not have, with the nearest that it has."""
    known = store.versions()
    if version in known:
        return
    hint = did_you_mean(version, known)
    there = ", ".join(known[:20]) or "none yet; next: halflife models publish"
    raise SpecError(spec_path, version, f"a version of {store.model} in {store.url}: {there}{hint}")


@contextmanager
def versions_meant(store: ModelStore, *versions: str) -> Iterator[None]:
    """Within it an error about a version that the store does not have also names the nearest that it has."""
    try:
        yield
    except (BundleRefused, StoreError) as error:
        with suppress(StoreError):  # the error itself counts, not that of the look at what there is
            known = store.versions()
            absent = next((version for version in versions if version not in known), None)
            if absent is not None:
                error.args = (with_hint(str(error), did_you_mean(absent, known)),)
        raise


def find_location(options: argparse.Namespace) -> ModelLocation:
    """The model's location that `--store` and `--model`, or `--job`, name.

    Raises:
        SpecError: neither is given, or the job spec is wrong.
        StoreError: the URL, the name or the trusted key is not allowed.
    """
    spec = read_job_spec(options)
    model = with_defaults(spec, "model")
    store, name = options.store or model.get("store"), options.model or model.get("name")
    for option, value, variables in (("--store", store, f"{STORE} or {JOB}"), ("--model", name, JOB)):
        if value is None:
            where = f"or {variables} in the environment"
            raise SpecError(option, MISSING, f"a value, or --job FILE to take it from, {where}")
    if str(store).startswith("memory:"):
        raise InvalidStoreUrl(f"store {store!r} ends with this process; expected: a path, s3://, gs:// or az:// URL")
    key = getattr(options, "trusted_key", None) or model.get("trusted_key")
    return ModelLocation(
        store=ModelStore(str(store), str(name)),
        poll_us=parse_duration_us(model["poll"]),
        allow_pickle=getattr(options, "allow_pickle", False) or model["allow_pickle"],
        trusted_key=None if key is None else read_public_key(key),
        max_bytes=getattr(options, "max_bytes", None) or model["max_bytes"],
        admission_timeout_s=parse_duration_us(model["admission_timeout"]) / 1e6,
        job=spec.get("job"),
        trust=(*getattr(options, "trust", ()), *model.get("trust", ())),
    )


def admission_at(location: ModelLocation, columns: dict[str, str] | None) -> Admission:
    """The admission that a job with this model does."""
    return Admission(
        location.store,
        columns,
        location.allow_pickle,
        location.max_bytes,
        location.trusted_key,
        timeout_s=location.admission_timeout_s,
        job=location.job,
        trust=location.trust,
    )


def folder_admission(options: argparse.Namespace, columns: dict[str, str] | None) -> Admission:
    """The admission of a folder; no store is needed for it."""
    model = with_defaults(read_job_spec(options), "model")
    key = options.trusted_key or model.get("trusted_key")
    return Admission(
        None,
        columns,
        options.allow_pickle or model["allow_pickle"],
        options.max_bytes or model["max_bytes"],
        None if key is None else read_public_key(key),
        timeout_s=parse_duration_us(model["admission_timeout"]) / 1e6,
        trust=(*options.trust, *model.get("trust", ())),
    )


class StatedJob:
    """The job of `--job`. Its input is opened only for who asks, and only once: that costs time, and what is guessed of
    it is told."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._job, self._settings = options.job, tuple(options.settings)

    @property
    def stated(self) -> bool:
        """Whether there is one."""
        return self._job is not None

    @cached_property
    def _found(self) -> "TypedJob | HalflifeError":
        from pipeline.command_line.options import RunOptions
        from pipeline.prepared import open_if_arrived

        return open_if_arrived(RunOptions(self._job, self._settings, None, False, False, None, ()))

    @property
    def opened(self) -> "TypedJob":
        """The job as its input shows it.

        Raises:
            SpecError: the spec is wrong.
            NoInput, OSError: the input cannot be read, or does not show a type that the spec leaves open.
        """
        if isinstance(self._found, HalflifeError):
            raise self._found
        return self._found

    @cached_property
    def columns(self) -> dict[str, str] | None:
        """The columns that it offers a model, with their types; None without a job, and where none of its events is
        there yet, which is said. Raises as `opened` otherwise."""
        if not self.stated:
            return None
        if isinstance(self._found, HalflifeError):
            found = str(self._found).partition("; expected")[0]
            note(f"warning: {found}, so inputs are not compared with the columns of the job; it does that when it runs")
            return None
        from transforms.releases.offered_columns import columns_of

        return columns_of(self._found.job)
