"""`read_scores` and `read_receipts`: what jobs wrote to files, one row for each id, in types that pandas knows."""

import json
import shutil
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import halflife
from halflife import errors
from pipeline.verbs import main
from schemas.records import arrow_schema
from schemas.vectors import of_rows, to_bytes
from tests.api import flights
from tests.models import bundle_folders as bundles
from tests.packaging.sources import ROOT
from tests.pipeline.jobs.flows import SECOND_US, START_US, read_avro

HALF_US = START_US + 20 * 60 * SECOND_US


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A job that ran twice, the second time with scores as Parquet elsewhere. From its 20th event on a version serves
    that has fewer inputs, one of them a number that was an integer before."""
    root = tmp_path_factory.mktemp("written")
    changed = [{"name": "delay", "type": "number"}, {"name": "distance", "type": "number"}]
    terms = {"coefficients": {"delay": 0.5, "distance": 0.1}, "means": {}, "scales": {}, "categories": {}}
    for version, changes in {"v1": {}, "v2": {"inputs": changed, "linear": {**terms, "intercept": 0.0}}}.items():
        store = flights.publish(root, version, root / version, bundles.document("linear", **changes))
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    store.append_release(champion="v2", effective_from_us=HALF_US, by="tests")
    halflife.run(flights.spec(root))
    halflife.run(flights.spec(root), settings={"sinks.scores": str(root / "scores_2"), "sinks.format": "parquet"})
    return root


def plain(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: str(row["score_id"]))


def test_scores_of_two_runs_are_there_once_in_either_format(written: Path) -> None:
    table = halflife.read_scores(written / "scores")
    assert table.schema.equals(arrow_schema("Score"))
    assert plain(table.to_pylist()) == plain(read_avro(written / "scores"))
    both = halflife.read_scores(f"file://{written}/scores*/*", ["event_id", "score", "score_id"])
    assert both.schema.names == ["event_id", "score", "score_id"]
    second = halflife.read_scores(written / "scores_2", both.schema.names)
    assert plain(both.to_pylist()) == plain(second.to_pylist()) == plain(table.select(both.schema.names).to_pylist())
    assert table.to_pandas().groupby("version").size().to_dict() == {"v1": 20, "v2": 22}


def test_receipts_hold_what_was_read_as_a_struct(written: Path) -> None:
    table = halflife.read_receipts(written / "audit")
    assert table.schema.names == arrow_schema("Receipt").names
    assert table.schema.field("features").type == pa.struct(
        [("delay", pa.float64()), ("distance", pa.float64()), ("weekend", pa.int64()), ("carrier", pa.string())]
    )
    receipts = {one["score_id"]: one for one in read_avro(written / "audit" / "receipts")}
    for row in table.select(["score_id", "features", "definitions", "job"]).to_pylist():
        known = receipts[row["score_id"]]
        assert {name: row["features"][name] for name in known["features"]} == known["features"]
        assert (row["definitions"], row["job"]) == (known["definitions"], known["job"])
    assert halflife.read_receipts(written / "audit" / "receipts", ["late", "score"]).schema.names == ["late", "score"]


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_receipts_score_again_to_the_bit(written: Path, version: str) -> None:
    found = halflife.read_receipts(written / "audit").flatten().to_pandas()
    rows = found[found.version == version].rename(columns=lambda name: name.removeprefix("features."))
    rows["weekend"] = rows.weekend.astype("boolean")
    rows["distance"] = rows.distance.astype("int64") if version == "v1" else rows.distance
    model = halflife.load_model(written / "store", flights.MODEL, version)
    inputs = rows[list(model.inputs)]
    assert model.score(inputs).score.tolist() == rows.score.tolist()


def test_receipts_of_a_sealed_audit_are_those_before(written: Path, tmp_path: Path) -> None:
    shutil.copytree(written / "audit", tmp_path / "audit")
    before = halflife.read_receipts(tmp_path / "audit")
    assert main(["audit", "seal", "--audit", str(tmp_path / "audit")]) == 0
    assert list((tmp_path / "audit" / "receipts").glob("*.avro")) == []
    found = halflife.read_receipts(tmp_path / "audit", before.schema.names)
    assert plain(found.to_pylist()) == plain(before.to_pylist())


def test_receipts_of_an_older_schema_are_read(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "schemas" / "history" / "Receipt" / "1.avsc").read_text())
    old = {"score_id": "a", "event_id": "e", "event_time": 0, "subject": None, "model": "m", "version": "1",
           "release": 1, "role": "champion", "score": 0.5, "decision": None, "late": False,
           "reasons": [{"feature": "x", "contribution": 1.0}], "scored_at": 0, "digest": "d",
           "features": {"x": 1.5, "y": "b", "z": None}, "latency_us": 1, "worker": "w"}  # fmt: skip
    with (tmp_path / "a.avro").open("wb") as stream:
        fastavro.writer(stream, fastavro.parse_schema(schema), [old, {**old, "score_id": "b"}])
    [row, _] = halflife.read_receipts(tmp_path).to_pylist()
    assert (row["features"], row["job"], row["lookups"]) == ({"x": 1.5, "y": "b", "z": None}, None, None)
    assert row["reasons"] == [{"feature": "x", "contribution": 1.0, "code": None}]
    assert row["event_time"] == pd.Timestamp(0, tz="UTC")


def test_vectors_of_receipts_are_lists(tmp_path: Path) -> None:
    schema = json.loads((ROOT / "schemas" / "avsc" / "Receipt.avsc").read_text())
    row = {"score_id": "a", "event_id": "e", "event_time": 0, "subject": None, "model": "m", "version": "1",
           "release": 1, "role": "champion", "score": 0.5, "decision": None, "late": False, "reasons": [],
           "scored_at": 0, "digest": "d", "latency_us": 1, "worker": "w"}  # fmt: skip
    single, double = (to_bytes(of_rows(np.array([[1.5, 0.1]], kind)))[0].as_py() for kind in ("f4", "f8"))
    each = [{"v": single}, {"v": double}, {"v": None, "at": 10**15}]
    rows = [{**row, "score_id": str(number), "features": features} for number, features in enumerate(each)]
    with (tmp_path / "a.avro").open("wb") as stream:
        fastavro.writer(stream, fastavro.parse_schema(schema), rows)
    table = halflife.read_receipts(tmp_path, ["features"])
    assert table.schema.field("features").type.field("v").type == pa.list_(pa.float64())
    assert table.column("features").to_pylist() == [
        {"v": [1.5, float(np.float32(0.1))], "at": None}, {"v": [1.5, 0.1], "at": None}, {"v": None, "at": 10**15}
    ]  # fmt: skip


def test_what_is_no_file_of_these_records_is_an_error(written: Path, tmp_path: Path) -> None:
    with pytest.raises(errors.UnusableData, match="has records Receipt; expected: Score"):
        halflife.read_scores(written / "audit" / "receipts")
    with pytest.raises(errors.NoInput, match="no file matches"):
        halflife.read_receipts(tmp_path / "none")
    with pytest.raises(errors.SpecError, match="columns: 'scor' is not allowed; allowed: score_id, event_id"):
        halflife.read_scores(written / "scores", ["scor"])
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(errors.NoInput, match=r"no file of records; allowed: .avro, .parquet"):
        halflife.read_scores(tmp_path)
    whole = next((written / "scores").glob("*.avro")).read_bytes()
    (tmp_path / "cut.avro").write_bytes(whole[:-30])
    with pytest.raises(errors.UnusableData, match=r"cut\.avro is damaged at byte"):
        halflife.read_scores(tmp_path / "cut.avro")
