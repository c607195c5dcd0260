"""`halflife models publish`: a trained model becomes a version in the store."""

import argparse
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple, NoReturn

from rich.console import Console

from models.bundles.manifest import MANIFEST, SIGNATURE
from models.bundles.signing import sign_folder
from models.outages import temporary_folder
from models.publishing.bundle import Built, Rows, Statement, build_bundle, copy_bundle
from models.publishing.description import CannotPublish, Description, FoundModel, Provenance
from models.publishing.inputs import texts_among
from models.publishing.recognise import recognise
from models.publishing.registry import fetch_registered, is_reference
from models.publishing.samples import read_sample
from models.publishing.trainer import read_trainer
from models.scorers import WillNotLoad
from pipeline.command_line.parsing import Arguments
from pipeline.command_line.private_bundles import hiding_of, privacy_text, refuse_plain
from pipeline.command_line.reason_texts import read_reason_texts
from pipeline.commands.models.location import ModelLocation, StatedJob, admission_at, find_location, read_job_spec
from pipeline.commands.models.publish_options import SAID, PublishParser, values
from pipeline.commands.output import Refused, exit_code, print_pairs, refusal_as_json
from pipeline.reporting.printer import note, print_json


def publish(arguments: Arguments) -> int:
    """`halflife models publish PATH`; returns the exit code."""
    parser = PublishParser()
    options = parser.parse_args(arguments)
    return exit_code(lambda: _publish(options), options.verbose)


class _Outcome(NamedTuple):
    """The bundle built, and the verdict on it: None where no check was asked for, else (reason, detail)."""

    built: Built
    refusal: tuple[str, str] | None
    warnings: tuple[str, ...] = ()


class Published(NamedTuple):
    """A version that is in the store: its bundle, the store's URL, and whether it is signed."""

    built: Built
    store: str
    signed: bool


def _publish(options: argparse.Namespace) -> None:
    with refusal_as_json(options.json):
        _report(options, published(options, _progress))


def published(options: argparse.Namespace, progress: Callable[[str], AbstractContextManager[None]]) -> Published:
    """Builds a bundle, tries it, and puts it into the store. `options`: those of `PublishParser`; `progress` surrounds
    long work.

    Raises:
        Refused: admission on this machine refuses it.
        SpecError, StoreError, BundleRefused: the options, the store or the model cannot be used.
    """
    location = find_location(options)
    with temporary_folder("publish") as temporary:
        with progress(f"building {options.path or options.scorer}"):
            try:
                outcome = _built(options, location, temporary)
            except WillNotLoad as refusal:
                _refuse(refusal.reason, str(refusal))
        built = outcome.built
        if outcome.refusal is not None:
            _refuse(*outcome.refusal)
        with progress(f"uploading to {location.store.url}"):
            manifest = location.store.publish_bundle(built.folder)
        signed = (built.folder / SIGNATURE).is_file()
        location.store.record_access(
            "publish", options.by, version=manifest.version, digest=manifest.digest, signed=signed
        )
    return Published(replace(built, notes=(*built.notes, *outcome.warnings)), location.store.url, signed)


def _refuse(reason: str, detail: str) -> NoReturn:
    said = {"published": False, "reason": reason, "detail": detail}
    raise Refused(f"not published: {reason}: {detail}", said)


def _built(options: argparse.Namespace, location: ModelLocation, temporary: Path) -> _Outcome:
    """The bundle, complete and signed, and the verdict of admission on this machine."""
    bundle = temporary / "bundle"
    bundle.mkdir()
    if options.path is not None and (Path(options.path) / MANIFEST).is_file():
        built = _ready(options, bundle)
    else:
        built = _new(options, location, temporary, bundle)
    if options.sign_key is not None:
        sign_folder(bundle, options.sign_key)
    if options.no_check:
        return _Outcome(built, None)
    verdict = admission_at(location, StatedJob(options).columns).check_folder(bundle)
    refusal = None if verdict.reason is None else (verdict.reason, verdict.detail)
    return _Outcome(built, refusal, verdict.warnings)


def _ready(options: argparse.Namespace, bundle: Path) -> Built:
    """A ready bundle states everything itself: options that contradict it are a mistake."""
    for name in SAID:
        if getattr(options, name) not in (None, []):
            raise CannotPublish(f"--{name} cannot be given: {options.path} has a {MANIFEST}; expected: change it there")
    built = copy_bundle(Path(options.path), bundle)
    if hiding_of(options, read_job_spec(options)) is not None:
        refuse_plain(built.manifest)
    if options.version not in (None, built.manifest.version):
        wanted = f"{built.manifest.version!r}, which the bundle's manifest has, or no --version"
        raise CannotPublish(f"--version {options.version!r} is not allowed; expected: {wanted}")
    return built


def _new(options: argparse.Namespace, location: ModelLocation, temporary: Path, bundle: Path) -> Built:
    if options.version is None:
        raise CannotPublish("--version is missing; expected: a name that the store does not have yet")
    found = _found(options, location, temporary)
    texts = texts_among(found.description, options.inputs)
    rows = Rows(
        None if options.sample is None else read_sample(options.sample, texts),
        None if options.golden is None else read_trainer(options.golden, texts),
    )
    check = not options.no_check
    return build_bundle(found, _statement(options, location), rows, bundle, location.allow_pickle, check)


def _found(options: argparse.Namespace, location: ModelLocation, temporary: Path) -> FoundModel:
    if options.path is None:
        if options.scorer is None:
            raise CannotPublish("PATH is missing; expected: a model, or --scorer KIND for a kind without files")
        return FoundModel(options.scorer, {}, Description())
    path, provenance = Path(options.path), Provenance()
    if is_reference(options.path):
        (temporary / "registry").mkdir()
        path, provenance = fetch_registered(options.path, options.tracking_uri, temporary / "registry")
    settings = {**values(options.settings_of_kind), **({"trust": tuple(options.trust)} if options.trust else {})}
    found = recognise(path, options.scorer, location.allow_pickle, settings)
    if provenance == Provenance():
        return found
    return FoundModel(found.scorer, found.files, found.description, provenance)


def _one_file(path: Path | None) -> Path | None:
    """The file of training records: in a folder, as `halflife features` writes one, its only file."""
    if path is None or not path.is_dir():
        return path
    files = sorted(each for each in path.iterdir() if each.is_file() and not each.name.startswith("."))
    if len(files) != 1:
        named = f": {', '.join(each.name for each in files[:3])}" if files else ""
        raise CannotPublish(f"--records {path} has {len(files)} files{named}; expected: a file, or a folder with one")
    return files[0]


def _statement(options: argparse.Namespace, location: ModelLocation) -> Statement:
    if options.event_time is not None and options.sample is None:
        raise CannotPublish(f"--event_time {options.event_time!r} is not allowed; expected: --sample FILE beside it")
    spec = read_job_spec(options)
    return Statement(
        model=location.store.model,
        version=options.version,
        created_by=options.created_by or options.by,
        inputs=options.inputs,
        output=options.output,
        threshold=options.threshold,
        positive=options.positive,
        trained_at_us=options.trained_at,
        code=options.code,
        decision=options.decision,
        trust=tuple(options.trust),
        parameters=values(options.parameters),
        hyperparameters=values(options.hyperparameters),
        data=options.data,
        quality=dict(options.quality),
        records=_one_file(options.records),
        tolerance=options.tolerance,
        settings=values(options.settings_of_kind),
        accepted=options.accept_library,
        decisions=options.decisions,
        reasons={} if options.reasons is None else read_reason_texts(options.reasons),
        hiding=hiding_of(options, spec),
        event_time=options.event_time,
        event_time_of_job=spec.get("events", {}).get("event_time"),
    )


def _report(options: argparse.Namespace, done: Published) -> None:
    built, manifest = done.built, done.built.manifest
    if options.json:
        print_json(
            {
                "published": True,
                "model": manifest.model,
                "version": manifest.version,
                "digest": manifest.digest,
                "scorer": manifest.scorer,
                "store": done.store,
                "files": len(manifest.files),
                "golden_records": built.golden_rows,
                "profile_rows": built.profile_rows,
                "signed": done.signed,
                "privacy": None if manifest.privacy is None else asdict(manifest.privacy),
                "checked": not options.no_check,
                "notes": list(built.notes),
            }
        )
        return
    print_pairs(
        [
            ("published", f"{manifest.model} {manifest.version} in {done.store}"),
            ("digest", manifest.digest),
            ("golden records", built.golden_rows or None),
            ("profile of", f"{built.profile_rows} rows" if built.profile_rows else None),
            ("signed", "yes" if done.signed else "no"),
            ("privacy", privacy_text(manifest)),
            ("checked", "no: --no_check" if options.no_check else "admitted here"),
        ]
    )
    for line in built.notes:
        note(line)


@contextmanager
def _progress(what: str) -> Iterator[None]:
    """A spinner during long work, on a terminal only."""
    console = Console(stderr=True)
    if console.is_terminal:
        with console.status(what):
            yield
    else:
        yield
