"""The limit: one process without Beam that reads, featurises, scores and writes in columns.

It may do what no job can: hold the whole input in memory, know that nothing is late, load only one model, check
nothing. Reading, scoring and writing use the job's libraries (`pyruhvro`, scikit-learn, zstandard Avro).
"""

import glob
import hashlib
import json
import time
from collections.abc import Iterator
from pathlib import Path

import fastavro
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyruhvro
import skops.io
from sklearn.base import ClassifierMixin

from benchmarks import workload as wl
from schemas.avro.datums import zigzag_varint
from schemas.avro.files import AvroFileWriter
from schemas.avro.record_datums import without_bytes
from schemas.batches import TIME_TYPE
from schemas.records import FEATURE_VALUE_TYPE, FEATURES_TYPE, arrow_schema

CHUNK = 32_768
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def run(workload: wl.Workload) -> wl.Times:
    """Scores the workload's events into `out/scores` and `out/receipts`, one Avro file each."""
    model = _load_model(workload.skops)
    first_event_at = time.time()
    events = read_events(sorted(glob.glob(workload.events)))
    inputs = features(events)
    _write(workload, events, inputs, model)
    return wl.Times(first_event_at, time.time())


def _load_model(path: str) -> ClassifierMixin:
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def read_events(paths: list[str]) -> pa.RecordBatch:
    """All records of the files as one batch."""
    batches = [batch for path in paths for batch in _read_file(path)]
    return pa.Table.from_batches(batches).combine_chunks().to_batches()[0]


def _read_file(path: str) -> Iterator[pa.RecordBatch]:
    """One batch per container block: one datum of `{"rows": array<record>}` without its framing."""
    with open(path, "rb") as stream:
        reader = fastavro.block_reader(stream)
        row = json.loads(without_bytes(reader.metadata["avro.schema"]))
        rows = {"name": "rows", "type": {"type": "array", "items": row}}
        schema = json.dumps({"type": "record", "name": "Block", "fields": [rows]})
        for block in reader:
            datum = zigzag_varint(block.num_records) + block.bytes_.getvalue() + b"\0"  # type: ignore[attr-defined]  # not in the stubs
            decoded = pyruhvro.deserialize_array([datum], schema)
            yield pa.RecordBatch.from_struct_array(decoded.column(0).values)


def features(events: pa.RecordBatch) -> Floats:
    """The model's inputs in the order of `FEATURES`, shape (n, features), defaults filled in."""
    hours: Integers = events.column("departed_at").cast(pa.int64()).to_numpy() // wl.HOUR_US
    hours = hours - hours.min() + 1
    values: Floats = events.column(wl.VALUE).to_numpy(zero_copy_only=False)
    matrix = np.empty((events.num_rows, len(wl.FEATURES)))
    for index, name in enumerate(wl.PLAIN):
        matrix[:, index] = events.column(name).to_numpy(zero_copy_only=False)
    np.nan_to_num(matrix[:, : len(wl.PLAIN)], copy=False, nan=wl.DEFAULT)
    for index, key in enumerate(wl.KEYS):
        start = len(wl.PLAIN) + index * len(wl.PER_KEY)
        matrix[:, start : start + len(wl.PER_KEY)] = _hour_before(events.column(key), hours, values)
    return matrix


def _hour_before(keys: pa.Array, hours: Integers, values: Floats) -> Floats:
    """Count, mean and maximum over each row's key in the hour before the row's own, shape (n, 3).

    `hours` counts from 1, so that every row's hour before has a cell of the grid of keys × hours.
    """
    codes = keys.dictionary_encode()
    width = int(hours.max()) + 1
    cells = codes.indices.to_numpy().astype(np.int64) * width + hours
    size = len(codes.dictionary) * width
    known = ~np.isnan(values)
    count = np.bincount(cells, minlength=size)
    valued = np.bincount(cells[known], minlength=size)
    total = np.bincount(cells[known], weights=values[known], minlength=size)
    top = np.full(size, -np.inf)
    np.maximum.at(top, cells[known], values[known])
    empty = valued == 0
    mean = np.where(empty, wl.DEFAULT, total / np.maximum(valued, 1))
    top[empty] = wl.DEFAULT
    before = cells - 1
    return np.column_stack((count[before], mean[before], top[before]))


def _write(workload: wl.Workload, events: pa.RecordBatch, features: Floats, model: ClassifierMixin) -> None:
    """Scores chunk by chunk and appends each chunk to both files."""
    out = Path(workload.out)
    for name in ("scores", "receipts"):
        (out / name).mkdir(parents=True)
    with (
        open(out / "scores" / "part-0.avro", "wb") as scores,
        open(out / "receipts" / "part-0.avro", "wb") as receipts,
    ):
        score_file = AvroFileWriter(scores, wl.avro_schema("Score"))
        receipt_file = AvroFileWriter(receipts, wl.avro_schema("Receipt"))
        for start in range(0, events.num_rows, CHUNK):
            chunk, inputs = events.slice(start, CHUNK), features[start : start + CHUNK]
            began = time.perf_counter()
            answers = model.predict_proba(inputs)[:, 1]
            latency_us = int((time.perf_counter() - began) * 1e6)
            score = _score_columns(workload, chunk, answers)
            score_file.write(_batch("Score", score))
            receipt_file.write(_batch("Receipt", score | _receipt_columns(workload, inputs, latency_us)))


def _batch(record: str, columns: dict[str, pa.Array]) -> pa.RecordBatch:
    """The columns in the record's order; those whose values are not known here are null."""
    schema, rows = arrow_schema(record), len(columns["score"])
    arrays = [columns[field.name] if field.name in columns else pa.nulls(rows, field.type) for field in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _score_columns(workload: wl.Workload, events: pa.RecordBatch, answers: Floats) -> dict[str, pa.Array]:
    rows = events.num_rows
    reasons = arrow_schema("Score").field("reasons").type
    offsets = pa.array(np.zeros(rows + 1, np.int32))
    no_reasons = pa.ListArray.from_arrays(offsets, pa.array([], reasons.value_type), type=reasons)
    now = pa.scalar(time.time_ns() // 1000, TIME_TYPE)
    event_ids = events.column("id")
    return {
        "score_id": _score_ids(event_ids, f"|{workload.digest}|{wl.ROLE}|{workload.definitions}".encode()),
        "event_id": event_ids,
        "event_time": events.column("departed_at"),
        "subject": events.column("tailnum"),
        "model": pa.repeat(workload.model, rows),
        "version": pa.repeat(workload.version, rows),
        "release": pa.repeat(workload.release, rows),
        "role": pa.repeat(wl.ROLE, rows),
        "score": pa.array(answers),
        "decision": pa.nulls(rows, pa.string()),
        "late": pa.repeat(False, rows),
        "reasons": no_reasons,
        "scored_at": pa.repeat(now, rows),
    }


def _score_ids(event_ids: pa.Array, tail: bytes) -> pa.Array:
    """First 32 hex digits of the SHA-256 of each id and `tail`."""
    sha256 = hashlib.sha256
    hashes = b"".join([sha256(event_id + tail).digest() for event_id in event_ids.cast(pa.binary()).to_pylist()])
    shortened = np.frombuffer(hashes, np.uint8).reshape(-1, 32)[:, :16].tobytes().hex().encode()
    starts = np.arange(0, len(shortened) + 1, 32, dtype=np.int32)
    return pa.StringArray.from_buffers(len(event_ids), pa.py_buffer(starts), pa.py_buffer(shortened))


def _receipt_columns(workload: wl.Workload, inputs: Floats, latency_us: int) -> dict[str, pa.Array]:
    rows, width = inputs.shape
    cells = rows * width
    names = pa.DictionaryArray.from_arrays(np.tile(np.arange(width, dtype=np.int32), rows), list(wl.FEATURES))
    numbers = {"number": pa.array(inputs.ravel())}
    children = [numbers.get(field.name, pa.nulls(cells, field.type)) for field in FEATURE_VALUE_TYPE]
    kinds = [field.name for field in FEATURE_VALUE_TYPE]
    union = pa.UnionArray.from_sparse(pa.array(np.full(cells, kinds.index("number"), np.int8)), children, kinds)
    offsets = pa.array(np.arange(0, cells + 1, width, dtype=np.int32))
    return {
        "digest": pa.repeat(workload.digest, rows),
        "features": pa.MapArray.from_arrays(offsets, names.dictionary_decode(), union, type=FEATURES_TYPE),
        "latency_us": pa.repeat(latency_us, rows),
        "worker": pa.repeat("bare", rows),
    }
