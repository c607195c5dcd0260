"""The transforms of `halflife.beam` in a pipeline of one's own give what the job gives, whatever its elements are."""

import datetime
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import apache_beam as beam
import pyarrow as pa
import pytest
from apache_beam.utils.timestamp import Timestamp

import halflife
import halflife.beam
from halflife import errors
from tests.api import flights
from tests.models import bundle_folders as bundles
from tests.pipeline.jobs.flows import read_avro

HOURLY = {"key": "carrier", "aggregate": "mean", "column": "delay", "size": "1h", "every": "5m"}
SCORES: list[dict[str, Any]] = []
LETTERS: list[dict[str, Any]] = []
DRIFT: list[dict[str, Any]] = []


class Flight(NamedTuple):
    id: str
    at: Any
    delay: Any
    distance: Any
    weekend: bool | None
    carrier: str | None


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A job with a windowed feature and a column of a table that a model reads, run over the events in a file; and its
    spec."""
    root = tmp_path_factory.mktemp("ran")
    others = [{"name": name, "type": "number", "default": 0.0, "nullable": True} for name in ("mean_1h", "line.planes")]
    inputs = [*bundles.INPUTS, *others]
    terms: dict[str, Any] = {**bundles.LINEAR}
    terms["coefficients"] = {**terms["coefficients"], "mean_1h": 0.01, "line.planes": 0.1}
    store = flights.publish(root, "v1", root / "v1", bundles.document("linear", inputs=inputs, linear=terms))
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    spec = flights.spec(root)
    spec["features"] += [{"name": "mean_1h", **HOURLY}, "line.planes"]
    (root / "lines.csv").write_text("code,planes\nAA,3\nDL,5\n")
    table = {"uri": str(root / "lines.csv"), "key": "code"}
    spec["lookups"] = [{"name": "line", "table": table, "on": "carrier", "columns": ["planes"]}]
    halflife.run(spec)
    return root, spec


def own(spec: dict[str, Any]) -> dict[str, Any]:
    """The spec without the input, for a pipeline that has its own."""
    events = {key: value for key, value in spec["events"].items() if key not in ("uri", "format")}
    return {**spec, "events": {**events, "time_unit": "us"}, "sinks": {}}


def scored(elements: list[Any], spec: dict[str, Any]) -> list[dict[str, Any]]:
    """The scores of the elements by a pipeline of five steps; dead letters and drift are kept beside."""
    for kept in (SCORES, LETTERS, DRIFT):
        kept.clear()
    job = halflife.beam.job_of(spec)
    with beam.Pipeline("DirectRunner") as pipeline:
        events = pipeline | beam.Create(elements) | halflife.beam.AsEvents(job)
        outputs = events.good | halflife.beam.WindowFeatures(job) | halflife.beam.ScoreEvents(job)
        drift = outputs.scored | halflife.beam.MeasureDrift(job)
        letters = (events.dead_letters, outputs.dead_letters) | beam.Flatten()
        for label, batches, kept in (("s", outputs.scores, SCORES), ("l", letters, LETTERS), ("d", drift, DRIFT)):
            _ = batches | label >> beam.Map(_keep, kept is SCORES, kept is LETTERS)
    return SCORES


def _keep(batch: pa.RecordBatch, is_score: bool, is_letter: bool) -> None:
    (SCORES if is_score else LETTERS if is_letter else DRIFT).extend(batch.to_pylist())


def in_order(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return sorted((one["score_id"], one["event_id"], one["score"], one["version"]) for one in records)


def of_rows(rows: list[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    good = [row for row in rows if not isinstance(row["delay"], str) and not isinstance(row["distance"], str)]
    yield pa.RecordBatch.from_pylist(good[:20])
    yield pa.RecordBatch.from_pylist([{**row, "other": 1} for row in good[20:]])


def at_utc(row: dict[str, Any]) -> datetime.datetime:
    return datetime.datetime.fromtimestamp(row["at"] / 1e6, datetime.UTC)


FORMS: dict[str, Callable[[list[dict[str, Any]]], list[Any]]] = {
    "dicts": lambda rows: rows,
    "rows": lambda rows: [beam.Row(**row) for row in rows],
    "named tuples with times": lambda rows: [Flight(**{**row, "at": at_utc(row)}) for row in rows],
    "times of Beam": lambda rows: [{**row, "at": Timestamp(micros=row["at"])} for row in rows],
    "record batches": lambda rows: list(of_rows(rows)),
}


@pytest.mark.parametrize("form", FORMS)
def test_own_pipeline_scores_as_the_job_does(ran: tuple[Path, dict[str, Any]], form: str) -> None:
    root, spec = ran
    found = scored(FORMS[form](flights.events()), own(spec))
    assert in_order(found) == in_order(read_avro(root / "scores"))
    if form != "record batches":
        known = {one["event_id"]: one["error"] for one in read_avro(root / "dead_letters")}
        assert {one["event_id"]: one["error"] for one in LETTERS} == known
        assert b'"delay":"soon"' in next(one["payload"] for one in LETTERS if one["event_id"] == "f43")


def test_job_of_a_whole_spec_is_that_of_its_file(ran: tuple[Path, dict[str, Any]]) -> None:
    root, spec = ran
    job = halflife.beam.job_of(spec, settings={"windows.shards": 3})
    assert (job.name, job.features.shards, job.events.uri) == ("flights", 3, f"file://{root}/in.avro")


def test_spec_without_types_or_with_faults_is_an_error(ran: tuple[Path, dict[str, Any]]) -> None:
    spec = own(ran[1])
    del spec["events"]["columns"]
    with pytest.raises(errors.SpecError, match=r"events.columns: missing; expected: the type of each column"):
        halflife.beam.job_of(spec)
    with pytest.raises(errors.SpecError, match=r"features\[1\].*never"):
        halflife.beam.job_of({**own(ran[1]), "features": ["delay", "never"]})


def test_element_that_is_no_event_fails_the_pipeline(ran: tuple[Path, dict[str, Any]]) -> None:
    with pytest.raises(Exception, match="an element is a int; expected: a dict, a Row or an Arrow RecordBatch"):
        scored([1], own(ran[1]))


def test_nan_is_an_error_in_a_pipeline(ran: tuple[Path, dict[str, Any]]) -> None:
    first = {**flights.events()[0], "delay": float("nan")}
    assert scored([first], own(ran[1])) == []
    assert [one["error"] for one in LETTERS] == ["NotFinite"]
