"""Training sets: the job's own point-in-time features of each flight, and whether it arrived late."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from examples.flights.plan import LATE_MINUTES
from pipeline.command_line.options import parse_run_options
from pipeline.run import prepare
from pipeline.training_set import execute_features
from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks
from schemas.batches import TIME_TYPE
from schemas.times import parse_time_us

LATE, LANDED_AT = "late", "landed_at"
HELD_OUT = 0.2


class NothingToLearn(ValueError):
    """A training set without rows, or with rows of one class only."""


def point_in_time_features(data: Path) -> pa.Table:
    """One row per departure: `event_id`, `event_time`, `subject` and all features of the embedded job.

    This is `halflife features` on the files of `data`: the transforms that will feed the scorer write the training set.
    """
    with tempfile.TemporaryDirectory(prefix="halflife-flights-") as folder:
        settings = [f"events.uri={data}/departures-*.avro", f"sinks.dead_letters={folder}/dead_letters"]
        arguments = ["--out", f"{folder}/rows"]  # no --job: the embedded one
        for setting in settings:
            arguments += ["--set", setting]
        options = parse_run_options(arguments, "features", with_out=True)
        execute_features(prepare(options), f"{folder}/rows", ())
        files = sorted(Path(folder, "rows").glob("*.parquet"))
        return pa.concat_tables([pq.read_table(file) for file in files]).sort_by(
            [("event_time", "ascending"), ("event_id", "ascending")]
        )


def arrivals(data: Path) -> pa.Table:
    """The labels of all arrivals in `data`: `id`, `landed_at`, `arr_delay` (minutes)."""
    return pa.concat_tables(list(_arrival_tables(data)))


def _arrival_tables(data: Path) -> Iterator[pa.Table]:
    for path in sorted(data.glob("arrivals-*.avro")):
        with path.open("rb") as stream:
            for block in read_blocks(stream):
                yield pa.Table.from_batches([decode_block(block.data, block.datums, block.schema).rows])


def labelled(features: pa.Table, labels: pa.Table) -> pa.Table:
    """The flights that have a label, with `landed_at` and `late` (more than 15 minutes)."""
    index = pc.index_in(features["event_id"].combine_chunks(), value_set=labels["id"].combine_chunks())
    rows = features.filter(index.is_valid())
    index = index.drop_null()
    landed_at = labels[LANDED_AT].take(index).cast(TIME_TYPE)
    late = pc.greater(labels["arr_delay"].take(index), LATE_MINUTES)
    return rows.append_column(LANDED_AT, landed_at).append_column(LATE, late)


def known_at(rows: pa.Table, moment: str) -> pa.Table:
    """The rows whose label existed at `moment` (RFC 3339): those that had landed.

    Raises:
        NothingToLearn: there are none, or all of one class.
    """
    known = rows.filter(pc.less(rows[LANDED_AT], pa.scalar(parse_time_us(moment), pa.int64()).cast(TIME_TYPE)))
    classes = pc.unique(known[LATE])
    if len(classes) < 2:
        found = f"{known.num_rows} flights had landed by {moment}, of {len(classes)} classes"
        raise NothingToLearn(f"{found}; expected: flights of both classes")
    return known


def split_in_time(rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The earlier four fifths to fit on, the later fifth to measure quality on; rows are in order of time."""
    cut = int(rows.num_rows * (1 - HELD_OUT))
    return rows.slice(0, cut), rows.slice(cut)


def late_mask(rows: pa.Table) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """The labels as a bool array, shape (n,)."""
    mask: np.ndarray[tuple[int], np.dtype[np.bool_]] = rows[LATE].to_numpy()
    return mask
