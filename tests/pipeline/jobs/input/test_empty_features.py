"""`halflife features`: no records or no rows make no training set; limits hold as in a run; its folder is a folder."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.training_set import write_features
from tests.pipeline.jobs.flows import COLUMNS, Flow, Outcome, container, json_lines, said_nothing_of_python, trip, trips


@pytest.mark.parametrize(("format_name", "content"), [("json", b""), ("json", b" \n\n"), ("avro", container([]))])
@pytest.mark.parametrize(("options", "code"), [((), 0), (("--require_input",), 1)])
def test_no_records_are_no_training_set_and_a_note(
    flow: Flow, format_name: str, content: bytes, options: tuple[str, ...], code: int
) -> None:
    flow.feed(content)
    out = flow.root / "features"
    outcome = flow.run(flow.spec(format_name), "--out", str(out), *options, verb=write_features)
    assert outcome.code == code
    assert said_nothing_of_python(outcome)
    assert f"no records were read from file://{flow.root}/in" in outcome.err
    assert "0 rows of 0 records (0 dead letters)" in outcome.out
    assert list(out.iterdir()) == []


def test_stated_columns_change_nothing_about_it(flow: Flow) -> None:
    flow.feed(b"")
    out = ["--out", str(flow.root / "features"), "--json"]
    outcome = flow.run(flow.spec(columns=COLUMNS), *out, verb=write_features)
    assert (outcome.code, json.loads(outcome.out)["rows"]) == (0, 0)
    assert "no records were read" in outcome.err


def features(flow: Flow, *options: str) -> Outcome:
    """The training set of 5 trips and 3 without a time."""
    flow.feed(json_lines([*trips(5), *(trip(number, at=None) for number in (6, 7, 8))]))
    out = ("--out", str(flow.root / "features"))
    return flow.run(flow.spec(columns=COLUMNS), *out, *options, verb=write_features)


@pytest.mark.parametrize(("allowed", "code"), [("2", 1), ("3", 0), ("37%", 1), ("37.5%", 0), ("0", 1)])
def test_more_dead_letters_than_allowed_fail(flow: Flow, allowed: str, code: int) -> None:
    outcome = features(flow, "--max_dead_letters", allowed)
    assert outcome.code == code
    assert ("3 of 8 records are dead letters; expected: at most" in outcome.err) == (code == 1)
    assert "5 rows of 8 records (3 dead letters)" in outcome.out
    assert "dead letters, decode: 3 MissingValue; for example: " in outcome.out


def test_counts_are_written_where_summary_says(flow: Flow) -> None:
    path = flow.root / "counts.json"
    outcome = features(flow, "--summary", str(path), "--json")
    assert (outcome.code, json.loads(path.read_text())) == (0, json.loads(outcome.out))
    assert json.loads(path.read_text())["dead_letter_errors"] == {"decode": {"MissingValue": 3}}
    outcome = features(flow, "--summary", str(flow.root))
    assert (outcome.code, "--summary: " in outcome.err) == (1, True)


@pytest.mark.parametrize("bad", [{"at": "yesterday"}, {"id": None}, {"delay": "much"}])
def test_a_training_set_without_a_row_fails_with_an_example(flow: Flow, bad: dict[str, Any]) -> None:
    flow.feed(json_lines(trip(number, **bad) for number in range(4)))
    outcome = flow.run(flow.spec(columns=COLUMNS), "--out", str(flow.root / "features"), verb=write_features)
    assert outcome.code == 1
    assert "4 records were read and no row was written: 4 M" in outcome.err.replace("WrongType", "M")
    assert "; for example: " in outcome.err


@pytest.mark.parametrize("out", ["stdout:", "kafka://localhost/t", "bigquery://p.d.t", "pubsub://p/t", "http://x/y"])
def test_training_set_is_written_to_folders_alone(
    flow: Flow, out: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flow.feed(json_lines(trips(3)))
    before = sorted(tmp_path.iterdir())
    outcome = flow.run(flow.spec(), "--out", out, verb=write_features)
    assert outcome.code == 2
    assert f"--out: '{out}' is not allowed; expected: a path or a URI with one of the schemes" in outcome.err
    assert [path for path in sorted(tmp_path.iterdir()) if path not in before] == [tmp_path / "job.yaml"]
