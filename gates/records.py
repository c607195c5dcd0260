"""The records of quality that a job wrote to a folder or an object store, as far as gates need them."""

import io
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import parquet

from models.errors import one_line
from models.store.backends import Backend
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.errors import UnusableData

_FIELDS = (
    *("window_start", "window_end", "pane", "version", "role", "metric", "value", "n", "events", "label_coverage"),
    *("against", "variance", "n_effective"),
)
_MOST_BYTES = 1024 * 1024 * 1024


class QualityRow(NamedTuple):
    """A record of quality of all events of a window; times in microseconds since 1970. Fields as of the record."""

    window_start: int
    window_end: int
    pane: int
    version: str
    role: str
    metric: str
    value: float | None
    n: int
    events: int
    label_coverage: float | None
    against: str | None
    variance: float | None
    n_effective: float | None

    @property
    def key(self) -> tuple[object, ...]:
        """What of several records counts only once."""
        return self.window_start, self.window_end, self.version, self.role, self.metric, self.against


class QualityRecords:
    """Reads the files of `sinks.quality`, each only once; files that are added meanwhile are seen by the next look.

    `broken`: why each file was passed over, or a part of it, by its key.

    Args:
        url: a path, or a `file://`, `s3://`, `gs://` or `az://` URL.
        model: whose records.

    Raises:
        InvalidStoreUrl: no object store can be opened with it.
    """

    def __init__(self, url: str, model: str) -> None:
        self._backend = Backend(url)
        self.url, self._model = self._backend.url, model
        self.broken: dict[str, str] = {}
        self._read = set[tuple[str, int]]()
        self._latest = dict[tuple[object, ...], QualityRow]()

    def latest(self) -> list[QualityRow]:
        """The records of all events (no segments), of each the one that counts the most: panes accumulate.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        for key, size in self._backend.list(""):
            if (key, size) in self._read or any(part.startswith(".") for part in key.split("/")):
                continue
            for row in self._rows_of(key):
                known = self._latest.get(row.key)
                if known is None or _turn(row) >= _turn(known):
                    self._latest[row.key] = row
            self._read.add((key, size))
        return list(self._latest.values())

    def _rows_of(self, key: str) -> Iterator[QualityRow]:
        content = self._backend.read(key, _MOST_BYTES) or b""
        try:
            batches = list(_of_parquet(content) if key.endswith(".parquet") else self._avro(key, content))
        except (UnusableData, pa.ArrowException) as error:
            self.broken[key] = one_line(error)
            return
        for batch in batches:
            yield from _of_model(batch, self._model)

    def _avro(self, key: str, content: bytes) -> Iterator[pa.RecordBatch]:
        for block in read_blocks(io.BytesIO(content)):
            if block.error:
                self.broken[key] = block.error
            else:
                yield decode_block(block.data, block.datums, block.schema).rows


def _of_parquet(content: bytes) -> Iterable[pa.RecordBatch]:
    batches: Iterable[pa.RecordBatch] = parquet.ParquetFile(pa.BufferReader(content)).iter_batches()
    return batches


def _turn(row: QualityRow) -> tuple[int, int, int]:
    return row.events, row.n, row.pane


def _of_model(batch: pa.RecordBatch, model: str) -> list[QualityRow]:
    if not {"model", "segment", "window_start", "metric"} <= set(batch.schema.names):
        return []
    whole = pc.and_(pc.equal(batch["model"], model), pc.equal(batch["segment"], ""))
    wanted = batch.filter(whole)
    columns = [_plain(wanted, name) for name in _FIELDS]
    return [QualityRow(*row) for row in zip(*columns, strict=True)]


def _plain(batch: pa.RecordBatch, name: str) -> list[object]:
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    column = batch.column(name)
    plain: list[object] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return plain
