"""The scores and receipts that jobs wrote to files, as Arrow tables."""

from collections.abc import Iterator, Sequence
from os import PathLike, fspath
from typing import IO, TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from audit.files.audit import Audit
from audit.files.formats import is_encrypted
from audit.files.segments import SEALED, STATEMENT
from audit.files.tables import conformed, together
from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.origin import origin_of
from pipeline.endpoints.matching import matching_files
from pipeline.endpoints.uris import absolute
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.errors import UnusableData
from schemas.expectations import wants
from schemas.records import arrow_schema
from schemas.validation import SpecError

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys

_ID, _LOCKED = "score_id", "locked"
_SUFFIXES = (".avro", ".parquet")


def read_scores(path: str | PathLike[str], columns: Sequence[str] | None = None) -> pa.Table:
    """The scores in files of a sink, one row for each `score_id`: a retry, or a second run, writes the same again.

    Args:
        path: a folder (`sinks.scores` of a job, Avro or Parquet), a file or a pattern, on any file system that a job
            can write to.
        columns: the fields wanted, of those of the record `Score`; None for all.

    Returns:
        n rows with the fields of the record (docs/records.md), times as timestamp[us, UTC]; `.to_pandas()` makes a
        DataFrame of it.

    Raises:
        NoInput: there are no such files.
        UnusableData: a file has other records, or is damaged.
        SpecError: `columns` has a name that the record does not have.
        OSError: a file cannot be read.
    """
    return _read(path, "Score", columns, "")


def read_receipts(
    path: str | PathLike[str], columns: Sequence[str] | None = None, keys: str | PathLike[str] | None = None
) -> pa.Table:
    """The receipts in files of a sink, one row for each `score_id`.

    Args:
        path: as for `read_scores`; of `sinks.audit`, the folder `receipts` in it is read, and what of it is sealed.
        columns: the fields wanted, of those of the record `Receipt`; None for all.
        keys: of a job with `privacy` the key store, to decrypt them; None where they are in plain, or to read them
            without values.

    Returns:
        n rows with the fields of the record, and where any is encrypted `locked` (string): why its features and reasons
        cannot be read, `erased: …` or `unreadable: …`; null where they can. `features` is a struct with a field for
        each input that any version read, null where the row's version did not; `.flatten()` makes columns
        `features.NAME` of it. Whole numbers, times (in microseconds) and booleans are int64, numbers double, texts
        string, vectors lists of float or double.

    Raises: as `read_scores`; `NoKeyStore` where `keys` has none, `StoreError` where it cannot be read.
    """
    return _read(path, "Receipt", columns, "/receipts", None if keys is None else keys_at(fspath(keys)))


def keys_at(url: str) -> "ReceiptKeys":
    """The key store at a URL. Raises `NoKeyStore` where there is none, `StoreError` where it cannot be read."""
    from audit.files.found.receipt_keys import ReceiptKeys  # few jobs have keys, and it takes a while to import
    from models.privacy.key_store import opened_keys
    from models.store.backends import Backend

    opened_keys(Backend(url))
    return ReceiptKeys(url)


def _read(
    path: str | PathLike[str],
    record: str,
    columns: Sequence[str] | None,
    below: str,
    keys: "ReceiptKeys | None" = None,
) -> pa.Table:
    whole = arrow_schema(record)
    for name in columns or ():
        if name not in whole.names:
            raise SpecError("columns", name, ", ".join(whole.names))
    names = list(whole.names if columns is None else columns)
    schema = pa.schema([whole.field(name) for name in dict.fromkeys([_ID, *names])])
    if below and _is_sealed(fspath(path)):
        stored = _of_sealed(fspath(path))
    else:
        stored = (rows for file in record_files(fspath(path), below) for rows in _pieces(file, record))
    pieces, locked, encrypted = list[pa.RecordBatch](), list[str](), False
    for rows in stored:
        encrypted |= bool(below) and is_encrypted(rows)
        rows, why = _readable(rows, keys) if below else (rows, [""] * rows.num_rows)
        pieces.append(conformed(rows, schema))
        locked += why
    table = together(pieces, schema)
    if encrypted:
        table = table.append_column(_LOCKED, pa.array([why or None for why in locked], pa.string()))
        names.append(_LOCKED)
    ids = table.column(_ID).to_pandas()
    return table.filter(pa.array(~ids.duplicated().to_numpy())).select(names)


def _readable(rows: pa.RecordBatch, keys: "ReceiptKeys | None") -> tuple[pa.RecordBatch, list[str]]:
    """Receipts decrypted where that can be, and of each why it cannot; empty where it can."""
    if not is_encrypted(rows):
        return rows, [""] * rows.num_rows
    from audit.files.found.receipt_keys import readable_receipts

    return readable_receipts(rows, keys)


def _is_sealed(path: str) -> bool:
    """Whether it is an audit of which receipts are sealed: then they no longer lie where jobs write them."""
    try:
        return bool(matching_files(f"{absolute(path).rstrip('/')}/{SEALED}/*/{STATEMENT}"))
    except NoInput:
        return False


def _of_sealed(path: str) -> Iterator[pa.RecordBatch]:
    """The receipts of sealed segments, and those that are not sealed yet."""
    audit = Audit(path)
    yield from audit.whole_columns()
    for file, why in audit.broken.items():
        raise UnusableData(f"{path}/{file} is damaged: {why}; expected: an audit that can be read whole")


def record_files(path: str, below: str = "") -> list[str]:
    """The files of records in a folder, or below it; a file or a pattern is itself. Raises `NoInput`."""
    uri = absolute(path)
    if below:
        try:
            return _records_among(matching_files(uri.rstrip("/") + below), uri)
        except NoInput:
            pass
    return _records_among(matching_files(uri), uri)


def _records_among(files: Sequence[str], uri: str) -> list[str]:
    found = [file for file in files if file.endswith(_SUFFIXES)]
    if not found:
        raise NoInput(f"{uri} has no file of records; {wants('.avro, .parquet')}")
    return found


def _pieces(path: str, record: str) -> Iterator[pa.RecordBatch]:
    origin = origin_of(path)
    if origin is not None and origin.record not in ("", record):
        raise UnusableData(f"{path} has records {origin.record}; expected: {record}")
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        found = _of_parquet(path, stream) if path.endswith(".parquet") else _avro(path, stream)
        for rows in found:
            if _ID not in rows.schema.names:
                raise UnusableData(f"{path} has no {_ID}; expected: records {record}")
            yield rows


def parquet_rows(path: str) -> list[pa.RecordBatch]:
    """The rows of a Parquet file. Raises `UnusableData` where it is damaged."""
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        return list(_of_parquet(path, stream))


def _of_parquet(path: str, stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    try:
        yield from pq.read_table(stream).to_batches()
    except pa.ArrowException as error:
        raise UnusableData(f"{path} is damaged: {error}; expected: a Parquet file") from None


def _avro(path: str, stream: IO[bytes]) -> Iterator[pa.RecordBatch]:
    for block in read_blocks(stream):
        decoded = None if block.error else decode_block(block.data, block.datums, block.schema)
        if decoded is None or decoded.unreadable:
            what = block.error or "a record cannot be read"
            raise UnusableData(f"{path} is damaged at byte {block.offset}: {what}; expected: an Avro container")
        yield decoded.rows
