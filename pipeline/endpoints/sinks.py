"""Sinks of record batches: Avro files, or JSON lines on standard output."""

import json
import uuid
from collections.abc import Callable
from typing import IO, Any

import apache_beam as beam
import pyarrow as pa
from apache_beam.io import fileio
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.value_provider import StaticValueProvider

from pipeline.endpoints.uris import STDOUT, beam_path
from schemas.avro_files import AvroFileWriter
from schemas.records import avsc


class SinkUnwritable(Exception):
    """A sink that cannot be written; the message names its place in the spec, its URI and what is wrong."""


def check_writable(uri: str, place: str) -> None:
    """Creates the sink's folder and a file in it, before the job spends time. Raises `SinkUnwritable`."""
    if uri == STDOUT:
        return
    folder = beam_path(uri)
    probe = FileSystems.join(folder, f".halflife-{uuid.uuid4().hex}")
    try:
        if not FileSystems.exists(folder):
            FileSystems.mkdirs(folder)
        with FileSystems.create(probe) as stream:
            stream.write(b"")
        FileSystems.delete([probe])
    except (OSError, ValueError) as error:  # BeamIOError is an OSError
        reason = " ".join(str(error).split())[:300]
        raise SinkUnwritable(f"{place}: {uri} cannot be written: {reason}") from None


class _AvroSink(fileio.FileSink):
    """Writes batches of one record type as an Avro container file."""

    def __init__(self, record: str) -> None:
        self._record = record

    def open(self, fh: IO[bytes]) -> None:
        self._writer = AvroFileWriter(fh, avsc(self._record))

    def write(self, record: pa.RecordBatch) -> None:
        self._writer.write(record)

    def flush(self) -> None:
        pass  # every batch is written as a whole block


class _Naming:
    """`scores-<run>-00000-of-00002.avro`: files of one run sort together, and runs never overwrite each other."""

    def __init__(self, prefix: str, run_id: str) -> None:
        self._prefix, self._run_id = prefix, run_id

    def __call__(self, window: Any, pane: Any, shard: int, shards: int, compression: Any, destination: Any) -> str:
        return f"{self._prefix}-{self._run_id}-{shard:05d}-of-{shards:05d}.avro"


class _SinkOf:
    def __init__(self, record: str) -> None:
        self._record = record

    def __call__(self, destination: Any) -> _AvroSink:
        return _AvroSink(self._record)


class _PrintFn(beam.DoFn):
    def process(self, batch: pa.RecordBatch) -> None:
        for row in batch.to_pylist():
            print(json.dumps(row, default=str), flush=True)


class WriteRecords(beam.PTransform):
    """Writes batches of `record` to a sink URI: Avro files in that folder, or JSON lines for `stdout:`.

    Input: batches in the record's Arrow schema, any windowing. Files appear when complete, under names that hold
    the run's id.
    """

    def __init__(self, uri: str, record: str, prefix: str, run_id: str) -> None:
        super().__init__()
        self._uri, self._record, self._prefix, self._run_id = uri, record, prefix, run_id

    def expand(self, batches: beam.PCollection[pa.RecordBatch]) -> Any:
        if self._uri == STDOUT:
            return batches | "Print" >> beam.ParDo(_PrintFn())
        folder = beam_path(self._uri)
        together = batches | "OneWindow" >> beam.WindowInto(beam.window.GlobalWindows())
        naming: Callable[..., str] = _Naming(self._prefix, self._run_id)
        return together | "WriteFiles" >> fileio.WriteToFiles(
            path=folder,
            file_naming=naming,
            sink=_SinkOf(self._record),
            temp_directory=StaticValueProvider(str, FileSystems.join(folder, f".writing-{self._run_id}")),
            shards=1,
        )
