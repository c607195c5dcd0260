"""Receipts made by the job's own encoder, of a linear model that is in a store: their scores verify."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from ulid import ULID

from models.scorers.linear import LinearScorer
from models.store.store import ModelStore
from schemas.avro.files import AvroFileWriter
from schemas.records import FEATURE_VALUE_TYPE, FEATURES_TYPE, arrow_schema, avsc

MODEL, BATCH, FILE = "delays", 8_192, 500_000
RECORDS = "records/trained.parquet"
START_US = 1_356_998_400_000_000
_SCHEMA = arrow_schema("Receipt")
_NAMES = ("dep_delay", "distance", "hour", "origin", "origin_delay", "flights_1h")
_CODES = np.array([2, 1, 1, 3, 2, 1], np.int8)  # branches of the union: number, whole, text
_ORIGINS = np.array(["EWR", "JFK", "LGA"], object)
_CARRIERS = ("UA", "AA", "B6", "DL", "EV", "MQ", "WN", "US", "9E", "VX")


def publish(store_url: str, folder: Path, trained: int = 0) -> ModelStore:
    """A store with one linear version, trained on so many of the first events, each with ten numbers."""
    store = ModelStore(store_url, MODEL)
    kinds = ("number", "integer", "integer", "string", "number", "integer")
    weights = {"dep_delay": 0.05, "distance": 0.0001, "hour": 0.01, "origin_delay": 0.02, "flights_1h": 0.001}
    folder.mkdir(parents=True, exist_ok=True)
    manifest: dict[str, Any] = {
        "version": "v1", "scorer": "linear",
        "linear": {"intercept": -1.0, "coefficients": weights, "categories": {"origin": {"EWR": 0.1, "JFK": 0.2}}},
        "inputs": [{"name": name, "type": kind} for name, kind in zip(_NAMES, kinds, strict=True)],
        "output": {"kind": "probability", "threshold": 0.5, "positive": "late"},
        "training": {"trained_at": "2012-12-01T00:00:00Z"}, "created_by": "benchmarks",
    }  # fmt: skip
    if trained:
        _write_trained(folder / RECORDS, trained)
        manifest["training"] = {"trained_at": "2012-12-01T00:00:00Z", "records": RECORDS}
    store.publish(folder, manifest)
    store.append_release(champion="v1", effective_from_us=START_US, by="benchmarks", reason="the only one")
    return store


def _event_id(number: int) -> str:
    return f"{_CARRIERS[number % 10]}-{number * 7 % 6000}-2013-{number // 30_000 % 12 + 1:02}-{number}"


def _write_trained(path: Path, count: int) -> None:
    drawn = np.random.default_rng(2)
    columns: dict[str, Any] = {"event_id": [_event_id(number) for number in range(count)]}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns | {f"f{n}": drawn.normal(size=count) for n in range(10)}), path)


def write_receipts(audit: Path, store: ModelStore, count: int, subjects: int) -> None:
    """So many receipts in files of 500,000, as a bounded run leaves them."""
    manifest = store.read_manifest("v1")
    scorer, drawn = LinearScorer.load(Path(), manifest), np.random.default_rng(1)
    folder = audit / "receipts"
    folder.mkdir(parents=True, exist_ok=True)
    for number, first in enumerate(range(0, count, FILE)):
        name = f"receipts-r-{str(ULID.from_timestamp(1_357_000_000.0 + number)).lower()}.avro"
        with (folder / name).open("wb") as stream:
            writer = AvroFileWriter(stream, avsc("Receipt"), metadata={"halflife.run": "r"})
            end = min(first + FILE, count)
            for start in range(first, end, BATCH):
                writer.write(_batch(start, min(BATCH, end - start), manifest.digest, scorer, drawn, subjects))


def _batch(first: int, count: int, digest: str, scorer: LinearScorer, drawn: Any, subjects: int) -> pa.RecordBatch:
    inputs: list[Any] = [
        np.round(drawn.normal(10, 30, count)), drawn.integers(100, 3000, count), drawn.integers(0, 24, count),
        _ORIGINS[drawn.integers(0, 3, count)], drawn.normal(10, 10, count), drawn.integers(0, 60, count),
    ]  # fmt: skip
    scores = scorer.score(pa.RecordBatch.from_arrays([pa.array(each) for each in inputs], list(_NAMES)))
    numbers = range(first, first + count)
    ids = [_event_id(n) for n in numbers]
    tail = f"|{digest}|champion|f7c3bc1d808e0473"
    times = START_US + np.arange(first, first + count) * 3_000_000
    known: dict[str, Any] = {
        "score_id": [hashlib.sha256(f"{each}{tail}".encode()).hexdigest()[:32] for each in ids],
        "event_id": ids, "event_time": pa.array(times).cast(_SCHEMA.field("event_time").type),
        "subject": [f"N{n}" for n in drawn.integers(0, subjects, count).tolist()],
        "score": scores, "decision": np.where(scores >= 0.5, "late", "not late"),
        "scored_at": pa.array(times + 1_000_000).cast(_SCHEMA.field("scored_at").type),
        "features": _features(inputs), "latency_us": drawn.integers(100, 2000, count), "reasons": [[]] * count,
    }  # fmt: skip
    same = {
        "model": MODEL, "version": "v1", "release": 1, "role": "champion", "late": False, "digest": digest,
        "worker": "host-1", "job": "flights", "run": "r", "definitions": "f7c3bc1d808e0473", "release_digest": digest,
    }  # fmt: skip
    columns = [known.get(field.name, [same.get(field.name)] * count) for field in _SCHEMA]
    arrays = [
        each if isinstance(each, pa.Array) else pa.array(each, field.type)
        for each, field in zip(columns, _SCHEMA, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=_SCHEMA)


def _features(inputs: list[Any]) -> pa.MapArray:
    count, width = len(inputs[0]), len(_NAMES)
    whole, number, text = np.zeros(count * width, np.int64), np.zeros(count * width), np.full(count * width, "", object)
    by_code = {1: whole, 2: number, 3: text}
    for index, code in enumerate(_CODES.tolist()):
        by_code[code][index::width] = inputs[index]
    branches = [
        pa.nulls(count * width), pa.array(whole), pa.array(number), pa.array(text.tolist(), pa.string()),
        pa.array([b""] * (count * width), pa.binary()),
    ]  # fmt: skip
    names = [field.name for field in FEATURE_VALUE_TYPE]
    union = pa.UnionArray.from_sparse(pa.array(np.tile(_CODES, count)), branches, names)
    offsets = pa.array(np.arange(0, count * width + 1, width), pa.int32())
    return pa.MapArray.from_arrays(offsets, pa.array(list(_NAMES) * count), union, type=FEATURES_TYPE)
