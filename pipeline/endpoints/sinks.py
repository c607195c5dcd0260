"""Sinks of record batches: Avro or Parquet files, services, or JSON lines on standard output."""

import logging
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, Protocol

import apache_beam as beam
import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystems import FileSystems
from ulid import ULID

from models.errors import one_line
from pipeline.endpoints.errors import SinkUnwritable
from pipeline.endpoints.files.opening import look_at_folder, make_folder
from pipeline.endpoints.files.origin import RunOrigin
from pipeline.endpoints.files.partial_files import finished, held_path, partial_path, remove_leftovers_once
from pipeline.endpoints.printing import PrintRecords
from pipeline.endpoints.services import service_of
from pipeline.endpoints.uris import STDOUT, beam_path
from pipeline.reporting import durable
from schemas.avro.files import AvroFileWriter
from schemas.problems import Problems
from schemas.records import avsc

_LOG = logging.getLogger(__name__)
_ROWS_PER_FILE = 5_000_000


def check_writable(uri: str, spec_path: str, record: str = "") -> None:
    """Opens a sink for a record before the job spends time: creates a folder, or the table of a service.

    Raises:
        SinkUnwritable: it cannot be written.
        SpecError: the URI says something that is not allowed.
    """
    service = service_of(uri, spec_path)
    if service is not None:
        service.check(uri, spec_path, record)
    elif uri != STDOUT:
        make_folder(uri, spec_path)


def check_all_writable(sinks: Iterable[tuple[str, str, str]]) -> None:
    """As `check_writable` for each sink (path in the spec, URI, record); one error names all that cannot be written.

    Raises:
        SinkUnwritable, SpecError: as `check_writable`; a wrong spec goes first.
    """
    problems, unwritable = Problems(), list[str]()
    for spec_path, uri, record in sinks:
        try:
            with problems.gathered():
                check_writable(uri, spec_path, record)
        except SinkUnwritable as error:
            unwritable.append(str(error))
    problems.check()
    if unwritable:
        raise SinkUnwritable("; ".join(dict.fromkeys(unwritable)))


def look_at(uri: str, spec_path: str, record: str) -> str:
    """The finding about a writable sink; nothing is created, and nothing is left behind.

    Raises:
        SinkUnwritable: it cannot be written.
        SpecError: the URI says something that is not allowed.
    """
    service = service_of(uri, spec_path)
    if service is not None:
        return service.look(uri, spec_path, record)
    return "standard output" if uri == STDOUT else look_at_folder(uri, spec_path)


class BatchWriter(Protocol):
    """Writes batches to an open file."""

    def write(self, batch: pa.RecordBatch) -> None: ...
    def close(self) -> None: ...


class FileFormat(Protocol):
    """Makes writers of one kind of file; picklable. `suffix` is the end of the files' names; `final`: the path that the
    file will have."""

    suffix: str

    def open(self, stream: IO[bytes], final: str) -> BatchWriter: ...


class AvroFormat:
    """Avro container files of one record, with the job and run that wrote them."""

    suffix = ".avro"

    def __init__(self, record: str, origin: RunOrigin) -> None:
        self._record, self._origin = record, origin

    def open(self, stream: IO[bytes], final: str) -> BatchWriter:
        return AvroFileWriter(stream, avsc(self._record), metadata=self._origin.metadata())


class PreparedFormat:
    """Avro files of receipts in a folder of an audit, that are segments as they stand once they are sealed."""

    suffix = ".avro"

    def __init__(self, origin: RunOrigin) -> None:
        self._origin = origin

    def open(self, stream: IO[bytes], final: str) -> BatchWriter:
        from audit.sealing.prepared import PreparingWriter

        path = Path(final)
        return PreparingWriter(stream, path.parent.parent, path.name, avsc("Receipt"), self._origin.metadata())


class ParquetFormat:
    """Parquet files in the schema of the first batch, a row group per batch, with the job and run that wrote them."""

    suffix = ".parquet"

    def __init__(self, origin: RunOrigin) -> None:
        self._origin = origin

    def open(self, stream: IO[bytes], final: str) -> BatchWriter:
        return _ParquetWriter(stream, self._origin)


class _ParquetWriter:
    def __init__(self, stream: IO[bytes], origin: RunOrigin) -> None:
        self._stream, self._origin = stream, origin
        self._writer: pq.ParquetWriter | None = None

    def write(self, batch: pa.RecordBatch) -> None:
        if self._writer is None:
            schema = batch.schema.with_metadata({**(batch.schema.metadata or {}), **self._origin.metadata()})
            self._writer = pq.ParquetWriter(self._stream, schema, compression="zstd")
        self._writer.write_batch(batch)

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()


@contextmanager
def _named(path: str) -> Iterator[None]:
    """The system's error for a full disk does not name the file; `SinkUnwritable` does."""
    try:
        yield
    except OSError as error:
        raise SinkUnwritable(f"{path} cannot be written: {one_line(error)}") from None


class _OpenFile:
    """A file under a hidden name until it is complete. Raises `SinkUnwritable`."""

    def __init__(self, folder: str, name: str, file_format: FileFormat, held: bool = False) -> None:
        self._final = held_path(folder, name) if held else FileSystems.join(folder, name)
        self.rows = 0
        with _named(self._final):
            self._partial = partial_path(folder, name)
            self._stream = FileSystems.create(self._partial, mime_type="application/octet-stream")
            try:
                self._writer = file_format.open(self._stream, self._final)
            except OSError:
                self.discard()
                raise

    def write(self, batch: pa.RecordBatch) -> None:
        with _named(self._final):
            self._writer.write(batch)
        self.rows += batch.num_rows

    def close(self) -> None:
        """As `publish`."""
        self.publish()

    def publish(self) -> None:
        with _named(self._final):
            self._writer.close()
            durable.sync(self._stream)
            self._stream.close()
            durable.rename(self._partial, self._final)
        finished(self._partial)

    def discard(self) -> None:
        """Deletes the file, even where its buffer can no longer be written: it must not occupy a full disk."""
        with suppress(OSError):
            self._stream.close()
        try:
            durable.delete(self._partial)
            finished(self._partial)
        except OSError as error:  # the bundle has failed already, for a reason of its own
            _LOG.warning("%s is left over: %s", self._partial, one_line(error))


@contextmanager
def written_file(uri: str, prefix: str, file_format: FileFormat) -> Iterator[BatchWriter]:
    """A file in a folder, `<prefix>-<ulid><suffix>`, written without a pipeline; it appears when the block has ended,
    and not at all where the block raises. Raises `SinkUnwritable`."""
    opened = _OpenFile(beam_path(uri), f"{prefix}-{str(ULID()).lower()}{file_format.suffix}", file_format)
    try:
        yield opened
    except BaseException:
        opened.discard()
        raise
    opened.publish()


class _WriteFn(beam.DoFn):
    """Encodes and compresses in a thread of its own, one batch at a time, while the step before continues."""

    def __init__(self, folder: str, file_format: FileFormat, prefix: str, held: bool = False) -> None:
        self._folder, self._format, self._prefix, self._held = folder, file_format, prefix, held
        self._file: _OpenFile | None = None
        self._writing: Future[None] | None = None

    def setup(self) -> None:
        remove_leftovers_once(self._folder)
        self._thread = ThreadPoolExecutor(1, f"write-{self._prefix}")

    def process(self, batch: pa.RecordBatch) -> None:
        if batch.num_rows == 0:
            return
        if self._file is None:
            name = f"{self._prefix}-{str(ULID()).lower()}{self._format.suffix}"
            self._file = _OpenFile(self._folder, name, self._format, self._held)
        self._finish_writing()  # at most one batch waits: memory stays bounded, an error is raised at the next batch
        self._writing = self._thread.submit(self._file.write, batch)
        if self._file.rows >= _ROWS_PER_FILE:
            self._publish()

    def finish_bundle(self) -> None:
        self._publish()

    def _finish_writing(self) -> None:
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def _publish(self) -> None:
        self._finish_writing()
        if self._file is not None:
            self._file.publish()
            self._file = None

    def teardown(self) -> None:
        self._thread.shutdown()
        if self._file is not None:  # a bundle that failed: its rows are written again by the retry
            self._file.discard()


class WriteBatches(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Writes batches as files in a folder, named `<prefix>-<ulid><suffix>`; a file appears when it is complete.

    Input: batches in the schema of the format, any windowing. A bundle's batches share files, which appear before the
    bundle is committed: a bundle that is retried after that writes its records again (records carry ids to tell).
    `held`: the files stay hidden until the run is committed (`pipeline.endpoints.only_new`).
    Own code, because Beam's `WriteToFiles` adds six stages per sink (four seconds a run on DirectRunner) and writes
    only one pane per window.
    """

    def __init__(self, uri: str, file_format: FileFormat, prefix: str, held: bool = False) -> None:
        super().__init__()
        self._folder, self._format, self._prefix, self._held = beam_path(uri), file_format, prefix, held

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        return batches | "Write" >> beam.ParDo(_WriteFn(self._folder, self._format, self._prefix, self._held))


class WriteRecords(beam.PTransform[beam.PCollection[pa.RecordBatch], Any]):
    """Writes batches of a record to a sink URI: files in that folder, a service, or JSON lines for `stdout:`.

    Input: batches in the record's Arrow schema, any windowing. Files are named `<prefix>-<run>-<ulid>`. `format_name`:
    `avro`, or `parquet` for records whose columns Parquet has types for (all but Receipt, whose features may be numbers
    and texts). `prepared`: they are receipts in a local folder of an audit, which is sealed when the run ends.
    """

    def __init__(
        self, uri: str, record: str, prefix: str, origin: RunOrigin, format_name: str = "avro", held: bool = False,
        prepared: bool = False,
    ) -> None:  # fmt: skip
        super().__init__()
        self._held = held
        self._uri, self._record, self._prefix = uri, record, f"{prefix}-{origin.run}"
        of_parquet, origin = format_name == "parquet", origin._replace(record=record)
        self._format: FileFormat = ParquetFormat(origin) if of_parquet else AvroFormat(record, origin)
        self._format = PreparedFormat(origin) if prepared else self._format

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        if self._uri == STDOUT:
            return batches | "Lines" >> PrintRecords()
        service = service_of(self._uri, "sinks")
        if service is not None:
            return batches | service.label >> service.write(self._uri, self._record)
        return batches | "Files" >> WriteBatches(self._uri, self._format, self._prefix, self._held)
