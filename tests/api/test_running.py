"""`halflife.run` does what the command does, tells it as values and typed errors, and prints nothing."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

import halflife
from halflife import errors
from pipeline.run import run as command
from tests.api import flights
from tests.models import bundle_folders as bundles
from tests.pipeline.jobs.flows import read_avro

TIMES = {"run", "seconds", "events_per_second", "timing", "job"}


@pytest.fixture
def spec(tmp_path: Path) -> dict[str, Any]:
    """A job whose model serves."""
    store = flights.publish(tmp_path, "v1", tmp_path / "payload", bundles.linear(tmp_path))
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    return flights.spec(tmp_path)


def test_summary_is_that_of_the_command(
    spec: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    before = json.dumps(spec)
    summary = halflife.run(spec)
    said = capfd.readouterr()
    assert (said.out, said.err, json.dumps(spec)) == ("", "", before)
    assert (summary["scored"], summary["dead_letters"]["decode"]) == (42, 3)
    assert summary["versions"] == {"v1": {"champion": 42}}
    (tmp_path / "job.json").write_text(before)
    assert command(["--job", str(tmp_path / "job.json"), "--summary", str(tmp_path / "s.json")]) == 0
    written = json.loads((tmp_path / "s.json").read_text())
    assert set(halflife.Summary.__annotations__) == set(written) == set(summary)
    assert {key: written[key] for key in written if key not in TIMES} == {
        key: value for key, value in summary.items() if key not in TIMES
    }


def test_spec_may_be_a_file_with_settings_and_limits(spec: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "job.yaml").write_text(json.dumps(spec))
    elsewhere = {"sinks.scores": str(tmp_path / "elsewhere"), "sinks.format": "avro"}
    with pytest.raises(errors.RunFailed, match=r"5 of 47 records are dead letters; expected: at most 2"):
        halflife.run(tmp_path / "job.yaml", settings=elsewhere, max_dead_letters="5%")
    assert len(read_avro(tmp_path / "elsewhere")) == 42


def test_remarks_go_to_the_logger(spec: dict[str, Any], caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO, "halflife")
    (tmp_path / "in.avro").unlink()
    with pytest.raises(errors.NoInput, match=r"in\.avro"):
        halflife.run(spec)
    (tmp_path / "empty.json").write_text("")
    spec["events"].update(uri=str(tmp_path / "empty.json"), format="json")
    halflife.run(spec)
    assert [record.getMessage() for record in caplog.records if record.name == "halflife"] == [
        f"note: no records were read from file://{tmp_path}/empty.json"
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"job": {}}, "job: missing; expected: a name"),
        ({"job": ""}, "job: '' is not allowed; expected: a mapping, a path or a URI"),
        ({"job": "no.yaml"}, "No such file or directory; expected: a readable YAML file"),
        ({"beam_options": ["--runer=Flink"]}, r"'--runer=Flink' is not known; .* did you mean --runner\?"),
        ({"beam_options": ["--template_location=x"]}, "beam_options: .* next: halflife run"),
        ({"sinks": "renew"}, "sinks: 'renew'; allowed: append, new, replace"),
        ({"max_dead_letters": "many"}, "'many' is not allowed; expected: a number of records"),
        ({"retry_dead_letters": True}, "retry_dead_letters: True is not allowed; expected: only_new beside it"),
        ({"settings": {"model.pol": "30s"}}, r"model.pol: unknown key; .* did you mean 'poll'\?"),
    ],
)
def test_bad_usage_is_an_error_of_the_spec(spec: dict[str, Any], arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(errors.SpecError, match=said):
        halflife.run(**{"job": spec, **arguments})
