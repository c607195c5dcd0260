"""The drift statistics of one run, read back for what the demos print."""

from pathlib import Path

import pyarrow as pa

from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.records import arrow_schema


def statistics_of(folder: Path, run: str) -> pa.Table:
    """All DriftStatistic records of a run, from the folder of its sink; no rows where it wrote none."""
    batches: list[pa.RecordBatch] = []
    for path in sorted(folder.glob(f"drift-{run}-*.avro")):
        with path.open("rb") as stream:
            batches.extend(decode_block(block.data, block.datums, block.schema).rows for block in read_blocks(stream))
    return pa.Table.from_batches(batches) if batches else arrow_schema("DriftStatistic").empty_table()
