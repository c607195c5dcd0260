"""Columns of times and of whole numbers as inputs of models: exact in each format, on receipts and in tensors."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.bundles.inputs import prepare_inputs
from models.bundles.manifest import Input
from models.bundles.recorded import recorded_inputs
from models.scorers import WillNotLoad, load_scorer
from tests.models.bundle_folders import document, write_bundle
from tests.pipeline.jobs.flows import START_US, Flow, container, json_lines, read_avro
from tests.pipeline.jobs.formats.test_columnar_files import parquet

INPUTS = [{"name": "booked", "type": "timestamp"}, {"name": "account", "type": "integer"}]
BASE = 1_000_000_000_000_000
BOOKED = [BASE + 1, BASE + 86_400_000_000, -(10**15) + 7, 2_900_000_000_000_000]
ACCOUNTS = [2**53 + 1, -(2**63), 2**63 - 1, 0]


def rows(booked: Callable[[int], Any] = lambda time_us: time_us) -> list[dict[str, Any]]:
    both = enumerate(zip(BOOKED, ACCOUNTS, strict=True))
    return [{"id": f"b{n}", "at": START_US + n, "booked": booked(time), "account": own} for n, (time, own) in both]


def text_of(time_us: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=time_us)).isoformat()


def typed() -> pa.Table:
    times = pa.array(BOOKED, pa.timestamp("us", "Europe/Berlin"))
    known = {name: [row[name] for row in rows()] for name in ("id", "at")}
    return pa.table({**known, "booked": times, "account": ACCOUNTS})


def csv() -> bytes:
    lines = [f"{row['id']},{row['at']},{row['booked']},{row['account']}" for row in rows(text_of)]
    return "\n".join(["id,at,booked,account", *lines, ""]).encode()


MICROS = {"type": "long", "logicalType": "timestamp-micros"}
FIELDS: list[tuple[str, Any]] = [("id", "string"), ("at", "long"), ("booked", MICROS), ("account", "long")]
AVRO = {"type": "record", "name": "R", "fields": [{"name": name, "type": kind} for name, kind in FIELDS]}
STATED = {"columns": {"booked": "timestamp", "account": "integer"}}
WRITTEN: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
    "parquet": (lambda: parquet(typed()), {}),
    "avro": (lambda: container(rows(), AVRO), {}),
    "json": (lambda: json_lines(rows(text_of)), STATED),
    "csv": (csv, STATED),
}


def publish(folder: Path) -> None:
    """A graph that takes whole numbers alone, whose score depends on the last digit of each."""
    from onnx import TensorProto, helper, numpy_helper

    nodes = [
        helper.make_node("Mod", ["booked", "thousand"], ["a"]),
        helper.make_node("Mod", ["account", "thousand"], ["b"]),
        helper.make_node("Add", ["a", "b"], ["whole"]),
        helper.make_node("Cast", ["whole"], ["score"], to=TensorProto.DOUBLE),
    ]
    given = [helper.make_tensor_value_info(name, TensorProto.INT64, [None]) for name in ("booked", "account")]
    answer = [helper.make_tensor_value_info("score", TensorProto.DOUBLE, [None])]
    graph = helper.make_graph(nodes, "g", given, answer, [numpy_helper.from_array(np.array(1000), "thousand")])
    folder.mkdir(parents=True, exist_ok=True)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "model.onnx").write_bytes(made.SerializeToString())


def test_times_and_whole_numbers_are_exact_in_each_format(flow: Flow) -> None:
    publish(flow.root / "bundle")
    written = document("onnx", model="trips", version="whole", inputs=INPUTS, output={"kind": "regression"})
    flow.store.publish(flow.root / "bundle", {key: value for key, value in written.items() if key != "model"})
    flow.store.append_release(champion="whole", effective_from_us=0, by="tests")
    manifest = write_bundle(flow.root / "bundle", written)
    scorer = load_scorer("onnx", flow.root / "bundle", manifest)
    for name, (write, events) in WRITTEN.items():
        flow.feed(write(), f"in.{name}")
        spec = {**flow.spec(name, uri=str(flow.root / f"in.{name}"), **events), "features": ["booked", "account"]}
        spec["sinks"] = {sink: str(flow.root / name / sink) for sink in spec["sinks"]}
        outcome = flow.run(spec)
        assert (outcome.code, outcome.summary["scored"]) == (0, 4), outcome.err
        receipts = sorted(read_avro(flow.root / name / "audit" / "receipts"), key=lambda receipt: receipt["event_id"])
        assert [receipt["features"]["booked"] for receipt in receipts] == BOOKED, name
        assert [receipt["features"]["account"] for receipt in receipts] == ACCOUNTS, name
        again = scorer.score(recorded_inputs([receipt["features"] for receipt in receipts], manifest.inputs))
        assert again.tolist() == [receipt["score"] for receipt in receipts]
        assert again.tolist() == [a % 1000 + b % 1000 for a, b in zip(BOOKED, ACCOUNTS, strict=True)]


@pytest.mark.parametrize("name", ["json", "csv"])
def test_columns_that_are_no_times_are_letters(flow: Flow, name: str) -> None:
    odd = [{**rows()[0], "id": f"odd{n}", "booked": value} for n, value in enumerate(["soon", "2024", 10**18, None])]
    flow.feed(json_lines([*rows(text_of), *odd]), "in.json")
    lines = [f"{row['id']},{row['at']},{'' if row['booked'] is None else row['booked']},1" for row in odd]
    flow.feed(csv() + "\n".join([*lines, "odd4,1356998400000000,NA,1", ""]).encode(), "in.csv")
    spec = {**flow.spec(name, uri=str(flow.root / f"in.{name}"), **STATED), "features": ["booked", "account"]}
    outcome = flow.run({**spec, "model": spec["model"]})
    found = outcome.summary["dead_letter_errors"]["decode"]
    # Digits are a number in CSV, and no time in a text of JSON; a null is no fault.
    assert found == {"MalformedTime": 2 if name == "json" else 1, "TimeOutOfRange": 1}
    details = [letter["detail"] for letter in flow.letters() if letter["error"] == "MalformedTime"]
    assert any("booked: 'soon' is not allowed; expected: RFC 3339 text" in detail for detail in details)


def test_nothing_is_grouped_by_times(flow: Flow) -> None:
    flow.feed(json_lines(rows(text_of)), "in.json")
    window = {"name": "n", "key": "booked", "aggregate": "count", "size": "1h", "every": "5m"}
    outcome = flow.run({**flow.spec("json", **STATED), "features": [window]})
    says = (
        "features[0].key: 'booked' is not allowed; expected: a column of numbers, booleans or texts (booked is a time"
    )
    assert (outcome.code, says in outcome.err) == (2, True)


@pytest.mark.parametrize(
    "column",
    [
        pa.array([86_400_000_000], pa.timestamp("us", "UTC")),
        pa.array([86_400], pa.timestamp("s")),
        pa.array([86_400_000_000_999], pa.timestamp("ns", "America/New_York")),
        pa.array([1], pa.date32()),
        pa.array([86_400_000], pa.date64()),
    ],
)
def test_models_read_microseconds_since_1970(column: pa.Array) -> None:
    prepared, unreadable = prepare_inputs(pa.record_batch({"t": column}), [Input("t", "timestamp")])
    assert (prepared.column("t").type, prepared.column("t").to_pylist()) == (pa.int64(), [86_400_000_000])
    assert not unreadable.any()
    assert prepare_inputs(prepared, [Input("t", "timestamp")])[0].equals(prepared)


def test_defaults_of_times_are_microseconds() -> None:
    batch = pa.record_batch({"t": pa.array([None, 5], pa.timestamp("us", "UTC"))})
    assert prepare_inputs(batch, [Input("t", "timestamp", True, 7)])[0].column("t").to_pylist() == [7, 5]
    assert prepare_inputs(batch, [Input("t", "timestamp")])[1].tolist() == [True, False]


def test_kinds_without_times_say_so(tmp_path: Path) -> None:
    manifest = write_bundle(tmp_path, document("xgboost", inputs=[{"name": "t", "type": "timestamp"}]))
    with pytest.raises(WillNotLoad, match=r"input 't' is a timestamp; expected: number, .* timestamps are for scorers"):
        load_scorer("xgboost", tmp_path, manifest)
