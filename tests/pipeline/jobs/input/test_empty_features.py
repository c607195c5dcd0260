"""`halflife features`: of an input without records there is no training set, and its folder is a folder."""

import json
from pathlib import Path

import pytest

from pipeline.run import write_features
from tests.pipeline.jobs.flows import COLUMNS, Flow, container, json_lines, said_nothing_of_python, trips


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
