"""The files of a sink's folder, each read only once: Avro or Parquet, of a folder or an object store."""

import io
import os
from collections.abc import Iterable, Iterator

import pyarrow as pa
from pyarrow import parquet

from models.errors import one_line
from models.store.backends import Backend
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.errors import UnusableData

_MOST_BYTES = 1024 * 1024 * 1024


class RecordFiles:
    """Reads the files of one sink; those that are added meanwhile are seen by the next look.

    `broken`: why each file was passed over, or a part of it, by its key; `files`: how many were read.

    Args:
        url: a path, or a `file://`, `s3://`, `gs://` or `az://` URL.

    Raises:
        InvalidStoreUrl: no object store can be opened with it.
    """

    def __init__(self, url: str) -> None:
        self._backend = Backend(url)
        self.url = self._backend.url
        self.broken: dict[str, str] = {}
        self._read = set[tuple[str, int]]()

    @property
    def is_there(self) -> bool:
        """Whether the folder exists; of an object store nobody can say."""
        return self._backend.root is None or os.path.isdir(self._backend.root)

    @property
    def files(self) -> int:
        """How many were read."""
        return len(self._read)

    def unread(self) -> Iterator[pa.RecordBatch]:
        """The records of files that were not read yet.

        Raises:
            StoreUnavailable: the store did not answer.
        """
        for key, size in self._backend.list(""):
            if (key, size) in self._read or any(part.startswith(".") for part in key.split("/")):
                continue
            yield from self._records_of(key)
            self._read.add((key, size))

    def _records_of(self, key: str) -> Iterator[pa.RecordBatch]:
        content = self._backend.read(key, _MOST_BYTES) or b""
        try:
            yield from list(_of_parquet(content) if key.endswith(".parquet") else self._avro(key, content))
        except (UnusableData, pa.ArrowException) as error:
            self.broken[key] = one_line(error)

    def _avro(self, key: str, content: bytes) -> Iterator[pa.RecordBatch]:
        for block in read_blocks(io.BytesIO(content)):
            if block.error:
                self.broken[key] = block.error
            else:
                yield decode_block(block.data, block.datums, block.schema).rows


def _of_parquet(content: bytes) -> Iterable[pa.RecordBatch]:
    batches: Iterable[pa.RecordBatch] = parquet.ParquetFile(pa.BufferReader(content)).iter_batches()
    return batches


def plain_column(batch: pa.RecordBatch, name: str) -> list[object]:
    """The values of a column, times in microseconds since 1970; null where an earlier schema does not have it."""
    if name not in batch.schema.names:
        return [None] * batch.num_rows
    column = batch.column(name)
    plain: list[object] = (column.cast(pa.int64()) if pa.types.is_timestamp(column.type) else column).to_pylist()
    return plain
