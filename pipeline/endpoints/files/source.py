"""Event files on any Beam file system (local ones without Beam): CSV, Parquet, JSON, Avro, TFRecord, Arrow."""

from collections.abc import Callable, Iterator

from pipeline.endpoints.files.columnar_files import COLUMNAR, read_columns
from pipeline.endpoints.files.csv_files import AS_IT_IS, FileForm
from pipeline.endpoints.files.formats import EventFile, blocks_of
from pipeline.endpoints.files.inflaters import compression_of
from pipeline.endpoints.reading.stored import open_stored
from schemas.formats.csv_rows import Wanted
from schemas.formats.path_columns import path_columns
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec


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
    with open_stored(path) as stream:
        for block in blocks_of(EventFile(stream, compression_of(path), sample), path, format_name, form):
            yield block
            if reached is not None:
                reached(stream.tell())
