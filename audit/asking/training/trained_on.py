"""Which versions were trained on a record or a person: the files of training records in their bundles."""

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Set
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from audit.asking.sources import missing
from models.bundles.manifest import Manifest
from models.errors import BundleRefused, StoreError
from models.store.store import ModelStore
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.errors import UnusableData
from schemas.expectations import wants

_MOST_BYTES = 1024 * 1024 * 1024
_FEW = 4


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


def count_named(raw: bytes, path: str, values: Collection[str]) -> int:
    """How many records of a file (CSV, lines of text or of JSON, Parquet, Avro, by its name) have one of the values.

    Raises:
        UnusableData: it cannot be read as what its name says.

    >>> count_named(b"event_id,subject\\ne1,ann\\ne2,bob\\n", "records.csv", {"bob", "e1"})
    2
    """
    suffix = path.rpartition(".")[2].lower()
    count = _COUNTERS.get(suffix, _count_text)
    try:
        return count(raw, set(values))
    except (ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
        found = f"the training records in {path} cannot be read: {missing(error)}"
        raise UnusableData(f"{found}; {wants('CSV, lines of text or JSON, Parquet, Avro')}") from None


def _count_rows(rows: Iterable[Iterable[str]], values: Set[str]) -> int:
    return sum(1 for row in rows if any(value in values for value in row))


def _count_text(raw: bytes, values: Set[str]) -> int:
    """Of lines whose cells are separated by a comma, semicolon, tab or bar."""
    if len(values) <= _FEW and not any(_may_be_in(raw, value) for value in values):
        return 0
    first = raw.partition(b"\n")[0].decode("utf-8", "replace")
    separator = max(",;\t|", key=first.count)
    if b'"' not in raw and raw.count(b"\r") == raw.count(b"\r\n"):  # each line is a record as it stands
        with suppress(pa.ArrowException):  # lines of different lengths, or what is no UTF-8
            return _count_plain(raw, first.count(separator) + 1, separator, values)
    rows = csv.reader(io.StringIO(raw.decode("utf-8-sig", "replace")), delimiter=separator)
    return _count_rows(([cell.strip() for cell in row] for row in rows), values)


def _may_be_in(raw: bytes, value: str) -> bool:
    """Whether a cell may have this value; a quote is doubled in CSV, and what is no UTF-8 is read as a replacement."""
    return '"' in value or not value.isprintable() or "\ufffd" in value or value.encode() in raw


def _count_plain(raw: bytes, cells: int, separator: str, values: Set[str]) -> int:
    kinds = dict.fromkeys([f"f{index}" for index in range(cells)], pa.string())
    read = pa_csv.open_csv(
        pa.BufferReader(raw),
        pa_csv.ReadOptions(autogenerate_column_names=True),
        pa_csv.ParseOptions(delimiter=separator, quote_char=False),
        pa_csv.ConvertOptions(column_types=kinds, strings_can_be_null=False),
    )
    trimmed = (
        pa.RecordBatch.from_arrays([pc.utf8_trim_whitespace(each) for each in batch.columns], list(kinds))
        for batch in read
    )
    return sum(_count_batch(batch, values) for batch in trimmed)


def _count_json(raw: bytes, values: Set[str]) -> int:
    return _count_rows(_json_rows(raw), values)


def _json_rows(raw: bytes) -> Iterable[list[str]]:
    text = raw.decode("utf-8-sig")
    lines = text.splitlines() if not text.lstrip().startswith("[") else [text]
    for line in filter(str.strip, lines):
        document = json.loads(line)
        for each in document if isinstance(document, list) else [document]:
            yield list(_values(each))


def _values(document: Any) -> Iterable[str]:
    """All texts and numbers of a JSON document, as texts."""
    if isinstance(document, Mapping):
        document = list(document.values())
    if isinstance(document, list):
        for each in document:
            yield from _values(each)
    elif document is not None:
        yield str(document)


def _count_parquet(raw: bytes, values: Set[str]) -> int:
    return sum(_count_batch(batch, values) for batch in pq.ParquetFile(pa.BufferReader(raw)).iter_batches())


def _count_avro(raw: bytes, values: Set[str]) -> int:
    count = 0
    for block in read_blocks(io.BytesIO(raw)):
        if block.error:
            raise UnusableData(block.error)
        count += _count_batch(decode_block(block.data, block.datums, block.schema).rows, values)
    return count


def _count_batch(batch: pa.RecordBatch, values: Set[str]) -> int:
    named = pa.array(np.zeros(batch.num_rows, np.bool_))
    for column in batch.columns:
        named = pc.or_(named, _is_named(column, values))
    return int(pc.sum(named).as_py() or 0)


def _is_named(column: pa.Array, values: Set[str]) -> pa.Array:
    """For each row whether this column has one of the values; texts and whole numbers without a Python object each."""
    if isinstance(column, pa.DictionaryArray):
        column = column.dictionary_decode()
    kind = column.type
    if pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return pc.is_in(column.cast(pa.large_string()), pa.array(sorted(values), pa.large_string()))
    return pa.array([any(text in values for text in _values([value])) for value in column.to_pylist()], pa.bool_())


_COUNTERS: Mapping[str, Callable[[bytes, Set[str]], int]] = {
    "json": _count_json,
    "jsonl": _count_json,
    "ndjson": _count_json,
    "parquet": _count_parquet,
    "avro": _count_avro,
}
