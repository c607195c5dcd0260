"""ReadFiles: the step of a graph that reads event files."""

import sys
from collections.abc import Iterator
from functools import partial

import apache_beam as beam

from pipeline.endpoints.files.csv_files import FileForm
from pipeline.endpoints.files.source import read_file
from schemas.formats.raw import RawBlock
from transforms.flow import tally


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
