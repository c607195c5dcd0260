"""Columns of the records that runs wrote to files, read back as Arrow tables."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.records import arrow_schema


def read_columns(paths: Sequence[str], record: str, names: Sequence[str]) -> pa.Table:
    """The named columns of the files' records, all in memory.

    Args:
        paths: Avro or Parquet files of the record, on any Beam file system.
        record: one of `schemas.records.RECORDS`.
        names: of its columns.

    Raises:
        OSError: a file cannot be read, or is damaged.
    """
    whole = arrow_schema(record)
    schema = pa.schema([whole.field(name) for name in names])
    tables = [_read(path, schema) for path in paths]
    return pa.concat_tables([schema.empty_table(), *tables]).combine_chunks()


def _read(path: str, schema: pa.Schema) -> pa.Table:
    with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
        if path.endswith(".parquet"):
            try:
                return pq.read_table(stream, columns=schema.names).select(schema.names).cast(schema)
            except pa.ArrowException as error:
                raise OSError(f"{path} cannot be read: {error}") from None
        found = []
        for block in read_blocks(stream):
            decoded = None if block.error else decode_block(block.data, block.datums, block.schema)
            if decoded is None or decoded.unreadable:
                raise OSError(f"{path} is damaged at byte {block.offset}: {block.error or 'a record cannot be read'}")
            found.append(pa.table(decoded.rows.select(schema.names)).cast(schema))
    return pa.concat_tables([schema.empty_table(), *found])
