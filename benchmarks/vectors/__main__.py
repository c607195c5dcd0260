"""`make bench-vectors`: events of a vector[784] scored by an ONNX network, beside onnxruntime alone on the same file;
writes benchmarks/VECTORS.md.

    python -m benchmarks.vectors --rounds 3
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml

from benchmarks.arguments import positive_whole
from benchmarks.table import machine, markdown
from benchmarks.workload import ROOT
from models.store.store import ModelStore

LENGTH, HIDDEN, _BATCH = 784, 64, 4_096
_START_US = 1_704_067_200_000_000
MANIFEST: Mapping[str, Any] = {
    "scorer": "onnx",
    "version": "v1",
    "inputs": [{"name": "pixels", "type": f"vector[{LENGTH}]"}],
    "output": {"kind": "regression"},
    "training": {"trained_at": "2023-12-01T00:00:00Z"},
    "created_by": "benchmarks",
}


class Pair(NamedTuple):
    """Events per second of one round: of the job without its start, and of onnxruntime alone."""

    job: float
    plain: float


def write_network(path: Path) -> None:
    """A network of 784 inputs, one hidden layer and one output."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(1)
    shapes = {"w": (LENGTH, HIDDEN), "b": (HIDDEN,), "v": (HIDDEN, 1)}
    drawn = {name: random.normal(0, 0.05, shape).astype(np.float32) for name, shape in shapes.items()}
    weights = [numpy_helper.from_array(values, name) for name, values in drawn.items()]
    nodes = [
        helper.make_node("Gemm", ["pixels", "w", "b"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "v"], ["score"]),
    ]
    given = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, [None, LENGTH])]
    answer = [helper.make_tensor_value_info("score", TensorProto.FLOAT, [None, 1])]
    graph = helper.make_graph(nodes, "network", given, answer, weights)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(made.SerializeToString())


def write_events(folder: Path, events: int, kind: str) -> None:
    """Events with a vector of floats of 32 bits each, as Parquet or JSON lines; of JSON a tenth as many."""
    random, count = np.random.default_rng(2), events if kind == "parquet" else events // 10
    numbers = random.random((count, LENGTH), np.float32)
    ids, times = [f"e{number}" for number in range(count)], _START_US + np.arange(count) * 1_000
    if kind == "parquet":
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(numbers.ravel()), LENGTH)
        table = pa.table({"id": ids, "t": times, "pixels": vectors})
        pq.write_table(table, folder / "in.parquet", row_group_size=8_192)
        return
    with (folder / "in.json").open("w") as stream:
        for name, at, row in zip(ids, times.tolist(), numbers.tolist(), strict=True):
            stream.write(json.dumps({"id": name, "t": at, "pixels": row}) + "\n")


def write_job(folder: Path, kind: str) -> Path:
    """The spec of a job over these events; its model is published and released."""
    store = ModelStore(str(folder / "store"), "m")
    (folder / "payload").mkdir()
    write_network(folder / "payload" / "model.onnx")
    store.publish(folder / "payload", MANIFEST)
    store.append_release(champion="v1", effective_from_us=0, by="benchmarks")
    events = {"uri": str(folder / f"in.{kind}"), "format": kind, "event_id": "id", "event_time": "t"}
    events["columns"] = {"pixels": f"vector[{LENGTH}]"}  # type: ignore[assignment]  # the only mapping among texts
    sinks = {name: str(folder / name) for name in ("scores", "audit", "dead_letters")}
    path = folder / "job.yaml"
    job = {"job": "vectors", "events": events, "features": ["pixels"], "sinks": sinks}
    path.write_text(yaml.safe_dump(job | {"model": {"name": "m", "store": str(folder / "store")}}))
    return path


def job_rate(folder: Path, job: Path) -> float:
    """Events per second of one run in a process of its own, its start left out. Raises `CalledProcessError`."""
    summary = folder / "summary.json"
    words = ["-m", "pipeline", "--job", str(job), "--sinks", "replace", "--summary", str(summary)]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True)
    found = json.loads(summary.read_text())
    return float(found["timing"]["steady_events_per_second"])


def plain_rate(folder: Path, kind: str) -> float:
    """Events per second of the shortest program: vectors are read, and scored by one thread, and that is all."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(folder / "payload" / "model.onnx"), options)
    began, rows = time.perf_counter(), 0
    for numbers in _parquet(folder) if kind == "parquet" else _json(folder):
        for start in range(0, len(numbers), _BATCH):
            rows += len(session.run(None, {"pixels": numbers[start : start + _BATCH]})[0])
    return rows / (time.perf_counter() - began)


def _parquet(folder: Path) -> Any:
    for batch in pq.ParquetFile(folder / "in.parquet").iter_batches(_BATCH, columns=["pixels"], use_threads=False):
        yield batch.column(0).flatten().to_numpy().reshape(-1, LENGTH)


def _json(folder: Path) -> Any:
    with (folder / "in.json").open() as stream:
        yield np.array([json.loads(line)["pixels"] for line in stream], np.float32)


def measured(folder: Path, kind: str, events: int, rounds: int) -> list[Pair]:
    """Rounds of both, one after the other."""
    write_events(folder, events, kind)
    job = write_job(folder, kind)
    return [Pair(job_rate(folder, job), plain_rate(folder, kind)) for _ in range(rounds)]


def _row(kind: str, events: int, pairs: Sequence[Pair]) -> list[str]:
    ratios = [pair.plain / pair.job for pair in pairs]
    median = [statistics.median(values) for values in zip(*pairs, strict=True)]
    spread = f"{statistics.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f})"
    return [kind, f"{events:,}", f"{median[0]:,.0f}", f"{median[1]:,.0f}", spread]


_ABOUT = f"""\
`make bench-vectors` writes this page. Each event has a `vector[{LENGTH}]` (3 KB of 32-bit floats), which a network of
{LENGTH}·{HIDDEN}·1 scores. The job is one DirectRunner process; its rate leaves out the start, and includes ids, event
times, original bytes, the check for duplicates, scores and receipts, each of which holds the vector. Alone, onnxruntime
is given what pyarrow (Parquet) or Python (JSON) reads, by one thread, and nothing is written. The two run in turn; a
ratio is of one round, with the least and greatest of all rounds."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures both formats and writes the page."""
    parser = argparse.ArgumentParser(description="How fast vectors are scored, beside onnxruntime alone.")
    parser.add_argument("--events", type=positive_whole, default=40_000, help="in the Parquet file")
    parser.add_argument("--rounds", type=positive_whole, default=3)
    options, rows = parser.parse_args(arguments), []
    for kind in ("parquet", "json"):
        with tempfile.TemporaryDirectory(prefix="halflife-vectors-") as folder:
            pairs = measured(Path(folder), kind, options.events, options.rounds)
            rows.append(_row(kind, options.events if kind == "parquet" else options.events // 10, pairs))
    header = ("file", "events", "this job, events/s", "onnxruntime alone, events/s", "ratio, alone to job")
    text = "\n\n".join(["# Vectors", _ABOUT, machine(), markdown(header, rows)]) + "\n"
    (ROOT / "benchmarks" / "VECTORS.md").write_text(text)
    print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
