"""Event files on any Beam file system: Avro containers, JSON lines, TFRecord."""

from collections.abc import Iterator

import apache_beam as beam
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.endpoints.files.formats import EventFile, blocks_of
from pipeline.endpoints.files.inflaters import compression_of
from schemas.formats.raw import RawBlock


def read_file(path: str, format_name: str, sample: bool = False) -> Iterator[RawBlock]:
    """The raw blocks of one file; a `sample` may end early. Damage is returned as blocks with `error`.

    Raises:
        OSError: it cannot be opened or read.
    """
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        yield from blocks_of(EventFile(stream, compression_of(path), sample), path, format_name)


class _ReadFn(beam.DoFn):
    def __init__(self, format_name: str) -> None:
        self._format = format_name

    def process(self, path: str) -> Iterator[RawBlock]:
        yield from read_file(path, self._format)


class ReadFiles(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[RawBlock]]):
    """Reads files as raw blocks. Input: the pipeline's begin. Output: `RawBlock`, bounded, global window.

    Files are the unit of parallel work: one is read by one worker, a block or record at a time.
    """

    def __init__(self, paths: list[str], format_name: str) -> None:
        super().__init__()
        self._paths, self._format = list(paths), format_name

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        read = beam.ParDo(_ReadFn(self._format)).with_output_types(RawBlock)
        paths = begin | "Files" >> beam.Create(self._paths) | "Spread" >> beam.Reshuffle()
        blocks: beam.PCollection[RawBlock] = paths | "Read" >> read
        return blocks
