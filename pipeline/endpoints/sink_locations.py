"""Which locations sinks may have: outside the models of the store, each in a folder of its own, with a name that has no
blanks at its ends."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pipeline.endpoints.bigquery import address as bigquery
from pipeline.endpoints.kafka import address as kafka
from pipeline.endpoints.pubsub import address as pubsub
from pipeline.endpoints.uris import FILE_SCHEMES, STDOUT, beam_path, check_scheme, location, scheme_of
from pipeline.spec.expansion import section_of
from pipeline.spec.sinks import sink_uris, uris_of
from schemas.validation import SpecError

SCHEMES = (*FILE_SCHEMES, kafka.SCHEME, pubsub.SCHEME, bigquery.SCHEME)
SEALED_IN = ("file", "s3", "gs", "az")
"""Where an audit can be sealed: with a conditional create."""
_AUDIT = "sinks.audit"
# Of two in one folder the error names the one that comes later here.
_ORDER = (_AUDIT, "sinks.scores", "sinks.drift", "sinks.quality", "sinks.dead_letters", "--out")
# What makes a folder of a store a model.
_OF_MODELS = frozenset({"versions", "releases"})


def audit_uris(audit: str) -> tuple[str, str]:
    """Where receipts and model events go: below the audit's folder, or topics that begin with its name."""
    if audit == STDOUT:
        return audit, audit
    of_files = scheme_of(audit) in FILE_SCHEMES  # a question mark is part of a folder's name
    base, question, options = (audit, "", "") if of_files else audit.partition("?")
    receipts, models = (f"{base}/{name}{question}{options}" for name in ("receipts", "models"))
    return receipts, models


def audit_folders(audits: Iterable[str]) -> tuple[str, ...]:
    """Where audits are that can be sealed: in folders and object stores."""
    return tuple(audit for audit in audits if scheme_of(audit) in SEALED_IN)


def sink_errors(document: Mapping[str, Any], sound: Callable[[str], bool]) -> Iterator[SpecError]:
    """What is wrong with the locations of the sinks in the sound parts of a document."""
    model = document["model"] if all(sound(f"model.{key}") for key in ("store", "name")) else {}
    yield from _location_errors({path: uri for path, uri in sink_uris(document).items() if sound(path)}, model)
    if sound("audit.seal.in_job") and sound(_AUDIT):
        yield from _sealing_errors(document)


def _sealing_errors(document: Mapping[str, Any]) -> Iterator[SpecError]:
    """A job that seals its audit itself has one in files."""
    seal = section_of(section_of(document, "audit"), "seal")
    audits = uris_of(section_of(document, "sinks").get("audit"))
    if seal.get("in_job") is True and not audit_folders(audits):
        expected = f"sinks.audit in a folder or an object store ({', '.join(SEALED_IN)})"
        yield SpecError("audit.seal.in_job", True, expected)


def check_training_folder(document: Mapping[str, Any], out: str) -> None:
    """Raises `SpecError` where a training set may not be written to this folder; `document` is valid."""
    for error in _location_errors({**sink_uris(document), "--out": out}, document["model"]):
        if error.path == "--out":
            raise error
    check_scheme(out, "--out")


def _location_errors(sinks: Mapping[str, str], model: Mapping[str, Any]) -> Iterator[SpecError]:
    """`sinks`: the URI of each, by its path in the spec; `model`: that section, or nothing where it is unsound."""
    taken: dict[str, str] = {}
    for spec_path, uri in sorted(sinks.items(), key=lambda sink: _ORDER.index(_sink_of(sink[0]))):
        if uri.strip() != uri or (path := beam_path(uri).rstrip("/")).strip() != path:
            yield SpecError(spec_path, uri, "a name without leading or trailing spaces")
            continue
        if scheme_of(uri) not in FILE_SCHEMES:
            continue
        folders = [location(each) for each in (audit_uris(uri) if _sink_of(spec_path) == _AUDIT else (uri,))]
        if {"store", "name"} <= model.keys() and any(_is_of_store(each, model) for each in (location(uri), *folders)):
            yield SpecError(spec_path, uri, f"a folder outside the model store {model['store']}")
            continue
        owners = [taken.setdefault(each, spec_path) for each in folders]
        others = [owner for owner in owners if owner != spec_path]
        if others:
            why = "in one folder their files would be mixed"
            yield SpecError(spec_path, uri, f"another folder than that of {others[0]} ({why})")


def _sink_of(spec_path: str) -> str:
    """The sink that a path is of: of a list too."""
    return spec_path.partition("[")[0]


def _is_of_store(folder: str, model: Mapping[str, Any]) -> bool:
    """Whether a location is that of a store or within one of its models; other folders beside these are not of it."""
    store = location(model["store"])
    if folder == store:
        return True
    inner = folder.removeprefix(store.rstrip("/") + "/")
    if inner == folder:
        return False
    name, *rest = inner.split("/")
    if name == model["name"] or (rest and rest[0] in _OF_MODELS):
        return True
    return scheme_of(store) == "file" and any(Path(store, name, each).is_dir() for each in _OF_MODELS)
