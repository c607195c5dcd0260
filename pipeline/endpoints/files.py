"""Event files on any Beam file system: Avro containers, JSON lines, TFRecord."""

import io
import struct
from collections.abc import Callable, Iterator
from typing import IO

import apache_beam as beam
from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems
from apache_beam.io.tfrecordio import _TFRecordUtil

from pipeline.endpoints.uris import beam_path
from pipeline.saying import on_one_line
from schemas.avro_files import read_blocks
from schemas.raw import RawBlock

_JSON_BYTES = 4 * 1024 * 1024
_EXAMPLES = 4096
# Length and its checksum; with the checksum of the data behind it.
_TFRECORD_HEAD, _TFRECORD_FRAME = 12, 16


class NoInput(Exception):
    """No file matches, or the files cannot be listed; the message names the URI."""


def matching_files(uri: str) -> list[str]:
    """The files that match, sorted by name.

    Raises:
        NoInput: there are none, or they cannot be listed.
    """
    try:
        found = FileSystems.match([beam_path(uri)])[0].metadata_list
    except (BeamIOError, ValueError, OSError) as error:
        raise NoInput(f"{uri} cannot be listed: {on_one_line(error)}") from None
    if not found:
        raise NoInput(f"no file matches {uri}")
    return sorted(metadata.path for metadata in found)


def read_file(path: str, format_name: str) -> Iterator[RawBlock]:
    """The raw blocks of one file. Raises `OSError` if it cannot be opened; damage comes as blocks with `error`."""
    with FileSystems.open(path) as stream:
        yield from _READERS[format_name](stream, path)


def _read_avro(stream: IO[bytes], path: str) -> Iterator[RawBlock]:
    for block in read_blocks(stream):
        source = f"{path}@{block.offset}"
        yield RawBlock(source, block.schema, block.datums, block.data, error=block.error, parts=block.parts)


def _read_json(stream: IO[bytes], path: str) -> Iterator[RawBlock]:
    rest, offset = b"", 0
    while chunk := stream.read(_JSON_BYTES):
        data = rest + chunk
        end = data.rfind(b"\n") + 1
        if end:
            yield RawBlock(f"{path}@{offset}", data=data[:end])
        rest, offset = data[end:], offset + end
    if rest:
        yield RawBlock(f"{path}@{offset}", data=rest)


def _read_tfrecord(stream: IO[bytes], path: str) -> Iterator[RawBlock]:
    """Framing of TFRecord is a length and a checksum per record: it is read record by record."""
    content = io.BytesIO(stream.read())
    records: list[bytes] = []
    while True:
        start = content.tell()
        try:
            record = _TFRecordUtil.read_record(content)
        except (ValueError, OverflowError) as error:
            content.seek(start)
            damaged = content.read(_intact_frame(content))
            yield RawBlock(f"{path}@{start}", data=damaged, error=f"TFRecord is damaged: {str(error)[:200]}")
            continue
        if record is None:
            break
        records.append(record)
        if len(records) == _EXAMPLES:
            yield RawBlock(path, records=tuple(records))
            records = []
    if records:
        yield RawBlock(path, records=tuple(records))


def _intact_frame(content: io.BytesIO) -> int:
    """Bytes of the record at the position of `content` where its length has a good checksum, else −1: all the rest."""
    rest = content.getbuffer()[content.tell() :]
    if len(rest) < _TFRECORD_HEAD:
        return -1
    length, checksum = struct.unpack("<QI", rest[:_TFRECORD_HEAD])
    if _TFRecordUtil._masked_crc32c(bytes(rest[:8])) != checksum or length + _TFRECORD_FRAME > len(rest):
        return -1
    return int(length) + _TFRECORD_FRAME


_READERS: dict[str, Callable[[IO[bytes], str], Iterator[RawBlock]]] = {
    "avro": _read_avro,
    "json": _read_json,
    "tfexample": _read_tfrecord,
}


class _ReadFn(beam.DoFn):
    def __init__(self, format_name: str) -> None:
        self._format = format_name

    def process(self, path: str) -> Iterator[RawBlock]:
        yield from read_file(path, self._format)


class ReadFiles(beam.PTransform[beam.pvalue.PBegin, beam.PCollection[RawBlock]]):
    """Reads files as raw blocks. Input: the pipeline's begin. Output: `RawBlock`, bounded, global window.

    Files are the unit of parallel work and of memory: one is read by one worker, Avro and TFRecord as a whole.
    """

    def __init__(self, paths: list[str], format_name: str) -> None:
        super().__init__()
        self._paths, self._format = list(paths), format_name

    def expand(self, begin: beam.pvalue.PBegin) -> beam.PCollection[RawBlock]:
        read = beam.ParDo(_ReadFn(self._format)).with_output_types(RawBlock)
        paths = begin | "Files" >> beam.Create(self._paths) | "Spread" >> beam.Reshuffle()
        blocks: beam.PCollection[RawBlock] = paths | "Read" >> read
        return blocks
