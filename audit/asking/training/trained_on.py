"""Which versions were trained on a record or a person: the files of training records in their bundles."""

from collections.abc import Collection, Mapping
from typing import Any, NamedTuple

from audit.asking.sources import missing
from audit.asking.training.counting import count_named
from models.bundles.manifest import Manifest
from models.errors import BundleRefused, StoreError
from models.store.store import ModelStore
from schemas.errors import UnusableData

_MOST_BYTES = 1024 * 1024 * 1024


class TrainedOn(NamedTuple):
    """A version whose file of training records names one of the values that were looked for, in so many records."""

    version: str
    digest: str
    file: str
    records: int

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return self._asdict()


class TrainingRecords(NamedTuple):
    """The versions that were trained on something; `unknown`: why that cannot be said of other versions, by name."""

    versions: tuple[TrainedOn, ...]
    unknown: Mapping[str, str]


class NamedInTraining(NamedTuple):
    """How many training records of a version name an event, and how many its subject (None: it has none)."""

    file: str
    of_event: int
    of_subject: int | None

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return self._asdict()


def trained_on(store: ModelStore, values: Collection[str]) -> TrainingRecords:
    """The versions of a model whose training records name one of these ids or subjects, as a whole value.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    found, unknown, counted = list[TrainedOn](), dict[str, str](), dict[str, int]()
    for version in store.versions():
        try:
            manifest = store.read_manifest(version)
            path = records_file(manifest)
            sha256 = manifest.files[path]  # versions that were trained on the same records have the same file
            if sha256 not in counted:
                counted[sha256] = count_named(read_records(store, manifest), path, values)
        except (BundleRefused, StoreError, UnusableData) as error:
            unknown[version] = missing(error)
            continue
        if counted[sha256]:
            found.append(TrainedOn(version, manifest.digest, path, counted[sha256]))
    return TrainingRecords(tuple(found), unknown)


def named_in_training(
    store: ModelStore, manifest: Manifest, event: Collection[str], subject: Collection[str] | None
) -> NamedInTraining:
    """Whether a version was trained on an event, and on its subject, each by all its names: in plain and hashed.

    Raises:
        UnusableData: its training records are not kept, or cannot be read.
        BundleRefused: the file is not the one that was published.
        StoreUnavailable: the store does not answer.
    """
    path, raw = records_file(manifest), read_records(store, manifest)
    of_subject = None if subject is None else count_named(raw, path, subject)
    return NamedInTraining(path, count_named(raw, path, event), of_subject)


def records_file(manifest: Manifest) -> str:
    """The path of the file of training records in a version's bundle. Raises `UnusableData` where it has none."""
    path = manifest.training.get("records")
    if path is None:
        raise UnusableData("it was published without its training records; next: publish with --records FILE")
    return str(path)


def read_records(store: ModelStore, manifest: Manifest) -> bytes:
    """The file of a version's training records, as it was published. Raises as `named_in_training`."""
    return store.read_file(manifest, records_file(manifest), _MOST_BYTES)
