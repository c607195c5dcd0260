"""Which versions were trained on a record or a person: the files of training records in their bundles."""

import csv
import io
import json
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, NamedTuple

import pyarrow as pa
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


def trained_on(store: ModelStore, values: Collection[str]) -> TrainingRecords:
    """The versions of a model whose training records name one of these ids or subjects, as a whole value.

    Raises:
        StoreUnavailable: the store does not answer.
    """
    found, unknown = list[TrainedOn](), dict[str, str]()
    for version in store.versions():
        try:
            manifest = store.read_manifest(version)
            path = manifest.training.get("records")
            if path is None:
                unknown[version] = "it was published without its training records; next: publish with --records FILE"
                continue
            count = _count(store, manifest, path, values)
        except (BundleRefused, StoreError, UnusableData) as error:
            unknown[version] = missing(error)
            continue
        if count:
            found.append(TrainedOn(version, manifest.digest, path, count))
    return TrainingRecords(tuple(found), unknown)


def _count(store: ModelStore, manifest: Manifest, path: str, values: Collection[str]) -> int:
    raw = store.read_file(manifest, path, _MOST_BYTES)
    return count_named(raw, path, values)


def count_named(raw: bytes, path: str, values: Collection[str]) -> int:
    """How many records of a file (CSV, lines of text or of JSON, Parquet, Avro, by its name) have one of the values.

    Raises:
        UnusableData: it cannot be read as what its name says.

    >>> count_named(b"event_id,subject\\ne1,ann\\ne2,bob\\n", "records.csv", {"bob", "e1"})
    2
    """
    suffix = path.rpartition(".")[2].lower()
    rows = _READERS.get(suffix, _text_rows)
    wanted = set(values)
    try:
        return sum(1 for row in rows(raw) if any(value in wanted for value in row))
    except (ValueError, csv.Error, pa.ArrowException, RecursionError) as error:
        found = f"the training records in {path} cannot be read: {missing(error)}"
        raise UnusableData(f"{found}; {wants('CSV, lines of text or JSON, Parquet, Avro')}") from None


def _text_rows(raw: bytes) -> Iterable[list[str]]:
    """The cells of lines that hold one of the values at all; what separates cells is a comma, semicolon, tab or bar."""
    text = raw.decode("utf-8-sig", "replace")
    first = text.partition("\n")[0]
    separator = max(",;\t|", key=first.count)
    return ([cell.strip() for cell in row] for row in csv.reader(io.StringIO(text), delimiter=separator))


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


def _parquet_rows(raw: bytes) -> Iterable[list[str]]:
    for batch in pq.ParquetFile(pa.BufferReader(raw)).iter_batches():
        yield from _batch_rows(batch)


def _avro_rows(raw: bytes) -> Iterable[list[str]]:
    for block in read_blocks(io.BytesIO(raw)):
        if block.error:
            raise UnusableData(block.error)
        yield from _batch_rows(decode_block(block.data, block.datums, block.schema).rows)


def _batch_rows(batch: pa.RecordBatch) -> Iterable[list[str]]:
    return (list(_values(list(row.values()))) for row in batch.to_pylist())


_READERS: Mapping[str, Callable[[bytes], Iterable[list[str]]]] = {
    "json": _json_rows,
    "jsonl": _json_rows,
    "ndjson": _json_rows,
    "parquet": _parquet_rows,
    "avro": _avro_rows,
}
