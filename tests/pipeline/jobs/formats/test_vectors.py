"""Jobs over vectors: equal scores from each format, receipts that score again to the bit, letters of bad vectors."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.manifest import Manifest
from models.bundles.recorded import NotRecorded, recorded_inputs
from models.scorers import load_scorer
from tests.models.bundle_folders import document, write_bundle
from tests.pipeline.jobs.flows import START_US, Flow, container, json_lines, read_avro
from tests.pipeline.jobs.formats.test_columnar_files import arrow_file, parquet

ROWS = 20
VECTORS = np.random.default_rng(5).normal(size=(ROWS, 12)).astype(np.float32)
INPUTS = [{"name": "age", "type": "integer", "nullable": True, "default": 3}, {"name": "pixels", "type": "vector[12]"}]
LARGE = 2**53 + 1
HOURLY = {"size": "1h", "every": "5m"}


def records(**changes: Any) -> list[dict[str, Any]]:
    return [
        {"id": f"p{row}", "at": START_US + row, "age": LARGE if row % 3 else None, "pixels": VECTORS[row].tolist()}
        for row in range(ROWS)
    ]


def table() -> pa.Table:
    kinds = {"id": pa.string(), "at": pa.timestamp("us", "UTC"), "age": pa.int64()}
    rows = pa.Table.from_pylist([{**row, "pixels": None} for row in records()])
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), 12)
    return pa.table(
        {name: rows[name].cast(kinds.get(name, pa.string())) for name in ("id", "at", "age")}
    ).append_column("pixels", vectors)


WRITTEN: dict[str, Callable[[], bytes]] = {
    "parquet": lambda: parquet(table()),
    "arrow": lambda: arrow_file(table()),
    "json": lambda: json_lines(records()),
    "csv": lambda: csv(),
    "avro": lambda: container(records(), AVRO),
    "tfexample": lambda: tfrecords(),
}
FIELDS: list[tuple[str, Any]] = [
    ("id", "string"),
    ("at", "long"),
    ("age", ["null", "long"]),
    ("pixels", {"type": "array", "items": "float"}),
]
AVRO: dict[str, Any] = {
    "type": "record",
    "name": "R",
    "fields": [{"name": name, "type": kind} for name, kind in FIELDS],
}
TEXT = {"age": "integer", "pixels": {"type": "vector[12]", "text": " "}}
STATED: dict[str, dict[str, Any]] = {"csv": {"columns": TEXT}}


def csv() -> bytes:
    lines = [f"{row['id']},{row['at']},{row['age'] or ''},{' '.join(map(repr, row['pixels']))}" for row in records()]
    return "\n".join(["id,at,age,pixels", *lines, ""]).encode()


def tfrecords() -> bytes:
    from tensorflow.core.example.example_pb2 import Example

    from tests.pipeline.jobs.input.test_other_formats import tfrecord

    whole = b""
    for row in records():
        example = Example()
        example.features.feature["id"].bytes_list.value.append(row["id"].encode())
        example.features.feature["at"].int64_list.value.append(row["at"])
        if row["age"] is not None:
            example.features.feature["age"].int64_list.value.append(row["age"])
        example.features.feature["pixels"].float_list.value.extend(row["pixels"])
        whole += tfrecord(example.SerializeToString())
    return whole


def publish(flow: Flow) -> Manifest:
    """A classifier of vectors beside whole numbers, released for all times."""
    from skl2onnx import to_onnx
    from sklearn.linear_model import LogisticRegression

    rows = np.column_stack([np.arange(ROWS), VECTORS]).astype(np.float32)
    model = LogisticRegression().fit(rows, VECTORS.sum(axis=1) > 0)
    made = to_onnx(model, rows[:1], options={id(model): {"zipmap": False}}, target_opset={"": 17, "ai.onnx.ml": 3})
    folder = flow.root / "bundle"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    written = document("onnx", model="trips", version="pixels", inputs=INPUTS)
    flow.store.publish(folder, {key: value for key, value in written.items() if key != "model"})
    flow.store.append_release(champion="pixels", effective_from_us=0, by="tests")
    return write_bundle(folder, written)


def spec_of(flow: Flow, name: str, **events: Any) -> dict[str, Any]:
    spec = flow.spec(name, uri=str(flow.root / f"in.{name}"), **events)
    sinks = {sink: str(flow.root / name / sink) for sink in spec["sinks"]}
    return {**spec, "features": ["age", "pixels"], "sinks": sinks}


def scored_again(receipts: list[dict[str, Any]], folder: Path, manifest: Manifest) -> dict[str, float]:
    """The scores of receipts one by one, in the reverse order."""
    scorer = load_scorer(manifest.scorer, folder, manifest)
    again = {}
    for receipt in reversed(receipts):
        again[receipt["score_id"]] = float(scorer.score(recorded_inputs([receipt["features"]], manifest.inputs))[0])
    return again


def test_each_format_gives_the_same_scores_and_receipts_that_score_again(flow: Flow) -> None:
    manifest = publish(flow)
    scores: dict[str, Mapping[str, float]] = {}
    for name, write in WRITTEN.items():
        flow.feed(write(), f"in.{name}")
        outcome = flow.run(spec_of(flow, name, **STATED.get(name, {})))
        assert (outcome.code, outcome.summary["scored"]) == (0, ROWS), outcome.err
        receipts = read_avro(flow.root / name / "audit" / "receipts")
        scores[name] = {receipt["score_id"]: receipt["score"] for receipt in receipts}
        assert scored_again(receipts, flow.root / "bundle", manifest) == scores[name]
        assert {receipt["features"]["age"] for receipt in receipts} == {LARGE, 3}
        assert receipts[0]["features"]["pixels"][:3] == b"<f4"
    assert len(scores["json"]) == ROWS
    assert all(found == scores["json"] for found in scores.values())


def test_vectors_that_are_none_are_letters(flow: Flow) -> None:
    publish(flow)
    bad = [[1.0] * 11, [1.0] * 11 + [None], "1,2,3", None, [1.0] * 11 + ["x"], 7]
    odd = [{**records()[0], "id": f"odd{index}", "pixels": value} for index, value in enumerate(bad)]
    flow.feed(json_lines([*records(), *odd]), "in.json")
    outcome = flow.run(spec_of(flow, "json"))
    assert (outcome.code, outcome.summary["scored"]) == (0, ROWS)
    details = {letter["error"]: letter["detail"] for letter in read_avro(flow.root / "json" / "dead_letters")}
    assert outcome.summary["dead_letter_errors"] == {
        "decode": {"WrongLength": 1, "WrongType": 4}, "score": {"MissingInput": 1}
    }  # fmt: skip
    assert "pixels: a list of length 11 is not allowed; expected: a vector of 12 numbers" in details["WrongLength"]
    assert details["WrongType"].endswith("is not allowed; expected: a list of numbers or null")


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"features": [{"name": "n", "key": "pixels", "aggregate": "count", **HOURLY}]}, "features[0].key"),
        ({"features": [{"name": "n", "key": "age", "column": "pixels", "aggregate": "last", **HOURLY}]},
         "features[0].column"),
        ({"drift": {"segments": ["pixels"]}}, "drift.segments[0]"),
    ],
)  # fmt: skip
def test_nothing_is_grouped_by_vectors(flow: Flow, change: dict[str, Any], path: str) -> None:
    flow.feed(json_lines(records()), "in.json")
    outcome = flow.run({**spec_of(flow, "json"), **change})
    assert outcome.code == 2
    says = (
        f"{path}: 'pixels' is not allowed; expected: a column of numbers, booleans or texts (pixels is a vector[12,fl"
    )
    assert says in outcome.err


def test_receipts_of_other_inputs_are_told(flow: Flow) -> None:
    manifest = publish(flow)
    for features, says in (
        ({"age": 1}, "input 'pixels' is not in the receipt; expected: one of age"),
        ({"age": 1, "pixels": b"<f4" + b"\0" * 44}, "input 'pixels': 11 numbers of float32; expected: vector[12]"),
        ({"age": 1, "pixels": 7}, "input 'pixels': "),
    ):
        with pytest.raises(NotRecorded) as caught:
            recorded_inputs([features], manifest.inputs)
        assert says in str(caught.value)
    assert json.dumps(recorded_inputs([], manifest.inputs).to_pylist()) == "[]"


@pytest.mark.parametrize(
    ("stated", "says"),
    [
        ("vector[70000]", "events.columns.pixels: 'vector[70000]' is not allowed"),
        ("vector[12, float64]", "events.columns.pixels: 'vector[12, float64]' is not allowed; expected: "),
        ({"type": "vector[70000]", "text": ","}, "events.columns.pixels.type: 'vector[70000]' is not allowed"),
        ({"type": "number", "text": ","}, "events.columns.pixels.type: 'number' is not allowed; expected: vector["),
        ({"type": "vector[12]", "text": "0"}, "events.columns.pixels.text: '0' is not allowed; expected: one sign"),
        ({"type": "vector[12]"}, "events.columns.pixels.text: missing; expected: one sign between the numbers"),
    ],
)
def test_columns_that_are_no_vectors_are_bad_usage(flow: Flow, stated: Any, says: str) -> None:
    flow.feed(json_lines(records()), "in.json")
    outcome = flow.run(spec_of(flow, "json", columns={"age": "integer", "pixels": stated}))
    assert outcome.code == 2
    assert says in outcome.err
