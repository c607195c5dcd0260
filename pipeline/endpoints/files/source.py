"""Event files on any Beam file system: CSV, Parquet, JSON, Avro containers, TFRecord, Arrow."""

import sys
from collections.abc import Callable, Iterator
from functools import partial

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.endpoints.files.columnar_files import COLUMNAR, read_columns
from pipeline.endpoints.files.csv_files import AS_IT_IS, FileForm
from pipeline.endpoints.files.formats import EventFile, blocks_of
from pipeline.endpoints.files.inflaters import compression_of
from schemas.formats.csv_rows import Wanted
from schemas.formats.path_columns import path_columns
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from transforms.flow import tally


def form_of(spec: EventsSpec) -> FileForm:
    """How a job reads its files."""
    subject = [spec.subject] if spec.subject else []
    return FileForm(spec.csv, Wanted((spec.event_id, spec.event_time, *subject), spec.decoded))


def read_file(
    path: str,
    format_name: str,
    form: FileForm = AS_IT_IS,
    sample: bool = False,
    reached: Callable[[int], None] | None = None,
) -> Iterator[RawBlock]:
    """The raw blocks of one file; a `sample` may end early. Damage is returned as blocks with `error`. `reached` is
    told the offset that the reading has come to.

    Raises:
        OSError: it cannot be opened or read.
    """
    of_path = path_columns(path)
    blocks = _blocks(path, format_name, form, sample, reached)
    yield from (block._replace(of_path=of_path) for block in blocks) if of_path else blocks


def _blocks(
    path: str, format_name: str, form: FileForm, sample: bool, reached: Callable[[int], None] | None
) -> Iterator[RawBlock]:
    if format_name in COLUMNAR:
        yield from read_columns(path, format_name, form, sample)
        return
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        for block in blocks_of(EventFile(stream, compression_of(path), sample), path, format_name, form):
            yield block
            if reached is not None:
                reached(stream.tell())


class _ReadFn(beam.DoFn):
    def __init__(self, format_name: str, form: FileForm) -> None:
        self._format, self._form = format_name, form

    def process(self, path: str) -> Iterator[RawBlock]:
        yield from read_file(path, self._format, self._form, reached=partial(tally.reached, path))
        tally.reached(path, sys.maxsize)


class ReadFiles(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[RawBlock]]):
    """Reads files as raw blocks. Input: the pipeline's begin. Output: `RawBlock`, bounded, global window.

    Files are the unit of parallel work: one is read by one worker, a block or record at a time.
    """

    def __init__(self, paths: list[str], format_name: str, form: FileForm) -> None:
        super().__init__()
        self._paths, self._format, self._form = list(paths), format_name, form

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        read = beam.ParDo(_ReadFn(self._format, self._form)).with_output_types(RawBlock)
        paths = begin | "Files" >> beam.Create(self._paths) | "Spread" >> beam.Reshuffle()
        blocks: beam.PCollection[RawBlock] = paths | "Read" >> read
        return blocks
