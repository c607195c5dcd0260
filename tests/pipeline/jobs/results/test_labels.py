"""`halflife features --labels --split_at`: labels beside features, point in time; what is left out is said by count."""

import json
from collections.abc import Sequence
from typing import Any

import pyarrow.parquet as pq
import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import SECOND_US, START_US, Flow, Outcome, json_lines, trip, trips

HOUR_US = 3600 * SECOND_US
LABELS = {"event_id": "of", "event_time": "known", "column": "late_by", "positive": "> 15", "horizon": "1h"}


def label(number: int, after_us: int, late_by: Any) -> dict[str, Any]:
    """A label of a trip, known so long after it."""
    return {"of": f"t{number}", "known": trip(number)["at"] + after_us, "late_by": late_by}


MIXED = [
    label(0, HOUR_US, 20.0),  # at the very end of the horizon
    label(1, 0, 3.0),  # at once
    label(2, HOUR_US + 1, 20.0),
    label(3, -1, 20.0),
    label(4, 60, None),
    label(5, 60, 1.0), label(5, 90, 99.0), label(5, 2 * HOUR_US, 0.0),
    label(6, 60, 30.0), label(6, 70, 31.0),
    label(99, 60, 30.0),
    {"of": "t7", "known": "yesterday", "late_by": 1.0},
    {"of": "t7", "known": None, "late_by": None},
]  # fmt: skip


def labelled(flow: Flow, labels: Sequence[Any], *words: str, **stated: Any) -> Outcome:
    """`features --labels` of eight trips with labels in a file of their own."""
    flow.feed(json_lines(trips(8)))
    flow.feed(json_lines(labels), "truth.json")
    spec = flow.spec() | {"labels": {"uri": str(flow.root / "truth.json"), "format": "json", **LABELS, **stated}}
    return flow.run(spec, "--out", str(flow.root / "set"), "--labels", *words, verb=write_features)


def rows_of(flow: Flow, part: str = "") -> dict[str, dict[str, Any]]:
    paths = sorted((flow.root / "set" / part).glob("*.parquet"))
    return {row["event_id"]: row for path in paths for row in pq.read_table(path).to_pylist()}


def test_labels_are_joined_point_in_time_and_what_is_left_out_is_counted(flow: Flow) -> None:
    outcome = labelled(flow, MIXED, "--json")
    assert outcome.code == 0, outcome.err
    said, rows = json.loads(outcome.out), rows_of(flow)
    assert {name: row["label"] for name, row in rows.items()} == {"t0": True, "t1": False, "t5": True, "t6": True}
    assert (rows["t5"]["label_time"] - rows["t5"]["event_time"]).microseconds == 90
    assert said["excluded"] == {"no_label": 1, "null_label": 1, "before_event": 1, "after_horizon": 1}
    assert (said["rows"], said["records_read"], said["dead_letters"]) == (4, 8, {"decode": 0, "features": 0})
    assert said["labels"] == {
        "read": 13, "pending": 1, "unreadable": 1, "events_labelled": 4, "events_with_several": 1,
        "events_with_contradictions": 1, "without_event": 1,
    }  # fmt: skip
    assert [letter["stage"] for letter in flow.letters()] == ["labels"]


def test_features_beside_labels_are_those_without_them(flow: Flow) -> None:
    plain = flow.run(labelled_spec(flow), "--out", str(flow.root / "plain"), verb=write_features)
    assert plain.code == 0, plain.err
    assert labelled(flow, [label(number, 60, 1.0) for number in range(8)]).code == 0
    [path] = (flow.root / "plain").glob("*.parquet")
    rows = rows_of(flow)
    without = {name: {key: row[key] for key in row if "label" not in key} for name, row in rows.items()}
    assert without == {row["event_id"]: row for row in pq.read_table(path).to_pylist()}


def labelled_spec(flow: Flow) -> dict[str, Any]:
    flow.feed(json_lines(trips(8)))
    return flow.spec()


def test_people_are_told_what_was_left_out_and_why(flow: Flow) -> None:
    said = labelled(flow, MIXED).out.splitlines()
    assert said[0].startswith("4 rows of 8 records (0 dead letters) in ")
    assert said[1:6] == [
        "  left out: 1 without a label",
        "  left out: 1 whose label is null",
        "  left out: 1 whose labels are of a time before the event",
        "  left out: 1 whose labels came after labels.horizon",
        "  labels: 13 read; 1 not known yet (without a time); 1 unreadable (dead letters of stage labels); 1 of no"
        " event that was read; 1 events have several labels, all of one value; 1 events have labels of several values,"
        " of which the latest counts",
    ]


@pytest.mark.parametrize(("horizon", "crossing"), [("2m", {"t2", "t3"}), (None, {"t3"})])
def test_split_leaves_out_events_whose_label_may_come_after_it(
    flow: Flow, horizon: str | None, crossing: set[str]
) -> None:
    """Labels come a minute after their events; with a horizon any could have come at its end."""
    labels = [label(number, 60 * SECOND_US, 1.0) for number in range(8)]
    stated = {} if horizon is None else {"horizon": horizon}
    flow.feed(json_lines(labels), "truth.json")
    flow.feed(json_lines(trips(8)))
    without = {key: value for key, value in LABELS.items() if key != "horizon"}
    spec = flow.spec() | {"labels": {"uri": str(flow.root / "truth.json"), "format": "json", **without, **stated}}
    words = ("--out", str(flow.root / "set"), "--labels", "--split_at", "2013-01-01T00:04:00Z", "--json")
    said = json.loads(flow.run(spec, *words, verb=write_features).out)
    train, test = set(rows_of(flow, "train")), set(rows_of(flow, "test"))
    assert {f"t{number}" for number in range(8)} - train - test == crossing
    assert test == {"t4", "t5", "t6", "t7"}
    assert said["split"] == {"at": "2013-01-01T00:04:00Z", "train": len(train), "test": 4}
    assert (said["excluded"]["crosses_split"], said["rows"]) == (len(crossing), 8 - len(crossing))


def test_split_without_labels_goes_by_the_events_alone(flow: Flow) -> None:
    words = ("--out", str(flow.root / "set"), "--split_at", "2013-01-01T00:04:00Z")
    outcome = flow.run(labelled_spec(flow), *words, verb=write_features)
    assert outcome.code == 0, outcome.err
    assert (len(rows_of(flow, "train")), len(rows_of(flow, "test")), rows_of(flow)) == (4, 4, {})
    assert "  train: 4 rows before 2013-01-01T00:04:00Z; test: 4 from then on" in outcome.out.splitlines()


def test_labels_in_the_file_of_the_events_are_read_as_that_is(flow: Flow) -> None:
    lines = ["id;at;delay;distance;carrier;paid"]
    lines += [f"t{each};{START_US // 1000 + each};1,5;{each};A;{('yes', 'no')[each % 2]}" for each in range(6)]
    flow.feed("\n".join(lines).encode(), "in.csv")
    truth = {"uri": str(flow.root / "in*"), "event_id": "id", "event_time": "at", "column": "paid"}
    spec = flow.spec("csv", time_unit="ms") | {"labels": {**truth, "positive": "== no"}}
    outcome = flow.run(spec, "--out", str(flow.root / "set"), "--labels", verb=write_features)
    assert outcome.code == 0, outcome.err
    assert [row["label"] for row in rows_of(flow).values()] == [False, True] * 3
    assert len(outcome.err.splitlines()) == 1  # the guess of the dialect is said once


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"column": "late"}, "labels.column: 'late' is not allowed; expected: a column of "),
    ({"positive": "> soon"}, "labels.positive: '> soon' is not allowed; expected: a comparison with a number"),
    ({"event_id": "id"}, "labels.event_id: 'id' is not allowed; expected: a column of "),
    ({"format": "csv"}, "labels.format: "),
    ({"uri": "/nowhere/at/all.json"}, "labels.uri: no file matches file:///nowhere/at/all.json"),
    ({"csv": {"delimiter": "€"}}, "labels.csv.delimiter: "),
]


@pytest.mark.parametrize(("stated", "message"), WRONG, ids=[next(iter(stated)) for stated, _ in WRONG])
def test_labels_that_cannot_be_read_are_told_by_their_own_keys(
    flow: Flow, stated: dict[str, Any], message: str
) -> None:
    outcome = labelled(flow, MIXED, **stated)
    assert (outcome.code > 0, message in outcome.err, "events." in outcome.err) == (True, True, False), outcome.err
    assert not list((flow.root / "set").rglob("*.parquet"))


def test_set_without_a_single_label_fails_and_says_why(flow: Flow) -> None:
    outcome = labelled(flow, [label(1, 2 * HOUR_US, 1.0)])
    assert outcome.code == 1
    assert outcome.err.endswith("8 records were read and no row was written: 7 no_label, 1 after_horizon\n")


def test_option_without_the_section_says_what_is_missing(flow: Flow) -> None:
    outcome = flow.run(labelled_spec(flow), "--out", str(flow.root / "set"), "--labels", verb=write_features)
    expected = "labels: missing; expected: a section that says where the truth about events is, for --labels"
    assert (outcome.code, expected in outcome.err) == (2, True), outcome.err
