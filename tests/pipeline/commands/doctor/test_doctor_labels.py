"""`halflife doctor` reads the labels of a job: whether they are labels, of its events, and in time."""

import json
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from pipeline.endpoints.sources import open_source
from pipeline.preflight import extras
from pipeline.preflight.labels import check_labels
from pipeline.prepared import typed_job
from runners.findings import Finding
from tests.pipeline.commands.jobs import Patient

EVENT_AT = datetime(2013, 1, 1, tzinfo=UTC)
LABELS = {"format": "json", "event_id": "of", "event_time": "known", "column": "late", "horizon": "24h"}
DRIFT = {"detectors": ["adwin"]}
Rows = list[dict[str, Any]]


class Labels(NamedTuple):
    """A file of labels of a job, and what the spec says of it."""

    patient: Patient

    def section(self, rows: Rows, **stated: Any) -> dict[str, Any]:
        """`labels` of the spec, by which the rows are read."""
        (self.patient.folder / "labels.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return {"uri": str(self.patient.folder / "labels.json"), **LABELS, **stated}

    def found(self, rows: Rows, beside: dict[str, Any] | None = None, **stated: Any) -> dict[str, Finding]:
        """What the doctor's checks of labels find, by check; `beside`: other sections of the spec."""
        document = self.patient.spec() | {"labels": self.section(rows, **stated)} | (beside or {})
        source = open_source(document["events"])
        events = typed_job(document, source).job.events
        return {finding.check: finding for finding in check_labels(document, source, events)}

    def words(self, rows: Rows, **stated: Any) -> list[str]:
        return ["--set", f"labels={json.dumps(self.section(rows, **stated))}"]


@pytest.fixture
def labels(tmp_path: Path) -> Labels:
    patient = Patient(tmp_path)
    patient.feed()
    return Labels(patient)


def label(number: int, hours: float = 2.0, **changes: Any) -> dict[str, Any]:
    known = (EVENT_AT + timedelta(hours=hours)).isoformat()
    return {"of": f"e{number}", "known": known, "late": number % 4 == 0, **changes}


def test_labels_of_the_events_in_time_are_good(patient: Patient) -> None:
    words = Labels(patient).words([label(number) for number in range(80)], concept_drift=DRIFT)
    examined = patient.examined(*words)
    assert examined.ran.code == 0
    assert examined.said("labels.uri").startswith("1 file(s) of ")
    assert examined.said("labels") == "80 records of a sample: 20 true and 60 false labels; "
    assert examined.said("labels of events") == "80 of 80 labels of a sample are of 100 events of a sample; "
    assert examined.said("labels.horizon") == "a horizon of 1d; 80 labels were known 2h from their events (median); "
    assert examined.said("extras") == "installed here: river for labels.concept_drift; "
    assert {name for name in examined.bad() if name.startswith("labels")} == set()


def test_a_section_that_does_not_fit_fails_and_the_rest_is_examined(patient: Patient) -> None:
    examined = patient.examined(*Labels(patient).words([label(1)], column="lat"))
    assert (examined.ran.code, examined.verdict("labels.column"), examined.verdict("version v1")) == (1, "fail", "ok")


@pytest.mark.parametrize(
    ("stated", "check", "says"),
    [
        ({"column": "lat"}, "labels.column", "'lat' is not allowed"),
        ({"event_id": "id"}, "labels.event_id", "'id' is not allowed"),
        ({"event_time": "at"}, "labels.event_time", "'at' is not allowed"),
        ({"positive": "> 15"}, "labels.positive", "'> 15' is not allowed"),
        ({"column": "why"}, "labels.column", "'why of type vector[1,float64]' is not allowed"),
    ],
    ids=["no column", "no ids", "no times", "another kind", "no kind"],
)
def test_each_key_that_does_not_fit_the_labels_is_named(
    labels: Labels, stated: dict[str, Any], check: str, says: str
) -> None:
    found = labels.found([label(number, why=[1]) for number in range(8)], **stated)
    assert {name: finding.verdict for name, finding in found.items()} == {check: "fail"}
    assert found[check].found == says
    assert found[check].change.startswith("expected: ")


@pytest.mark.parametrize("uri", ["labels-*.csv", "elsewhere/labels.json"])
def test_labels_that_are_not_there_yet_are_a_warning(labels: Labels, uri: str) -> None:
    found = labels.found([label(1)], uri=str(labels.patient.folder / uri))
    assert [finding.verdict for finding in found.values()] == ["warn"]
    assert found["labels.uri"].change == "a run scores without measuring quality until a label is there"


def test_records_that_are_no_labels_are_counted_with_the_first_error(labels: Labels) -> None:
    rows = [label(1), label(2), label(3, known=None), label(4, known="soon"), label(5, of=None)]
    found = labels.found(rows)["labels"]
    assert found.verdict == "warn"
    assert "5 records of a sample: 0 true and 2 false labels, 1 whose time is not known yet; 1 " in found.found
    assert "; 1 MissingValue, such as " in found.found
    assert labels.found([label(number, known="soon") for number in range(3)])["labels"].verdict == "fail"


@pytest.mark.parametrize("wrong", [{"known": "Ann's birthday"}, {"late": "Ann's"}, {"of": {"id": "Ann's"}}])
def test_what_privacy_hides_is_not_said_of_a_label_either(labels: Labels, wrong: dict[str, Any]) -> None:
    rows = [label(1), label(2), label(3, **wrong)]
    open_to_all = labels.found(rows)["labels"]
    events = {**labels.patient.spec()["events"], "subject": "carrier"}
    keys = {"keys": str(labels.patient.folder / "keys")}
    private = labels.found(rows, {"privacy": keys, "events": events})["labels"]
    assert (open_to_all.verdict, "Ann" in open_to_all.found) == (private.verdict, True) == ("warn", True)
    assert "Ann" not in private.found


@pytest.mark.parametrize("late", [[True], [None, None, None, False], [False]], ids=["all true", "one", "all false"])
def test_labels_that_tell_nothing_apart_are_a_warning(labels: Labels, late: list[bool | None]) -> None:
    found = labels.found([label(number, late=late[number % len(late)]) for number in range(9)])["labels"]
    assert (found.verdict, found.change.partition(",")[0]) == ("warn", "labels.positive")


@pytest.mark.parametrize("ids", ["flight-{}", "E{}", "{}"])
def test_labels_of_which_none_is_of_an_event_are_a_warning(labels: Labels, ids: str) -> None:
    found = labels.found([label(number, of=ids.format(number)) for number in range(8)])["labels of events"]
    assert found[1:3] == ("warn", "0 of 8 labels of a sample are of 100 events of a sample")


@pytest.mark.parametrize(
    ("hours", "said", "change"),
    [
        (50, ", 8 beyond it", "a longer labels.horizon: 99 of 100 were known by 2d2h"),
        (-3, ", 8 of them before", "labels.event_time: the time at which the truth was known"),
    ],
    ids=["too late", "before the event"],
)
def test_a_horizon_in_which_no_label_comes_is_a_warning(labels: Labels, hours: int, said: str, change: str) -> None:
    found = labels.found([label(number, hours) for number in range(8)])["labels.horizon"]
    assert (found.verdict, found.found.endswith(said), found.change.partition(";")[0]) == ("warn", True, change)


@pytest.mark.parametrize(
    ("stated", "missing", "said", "extra"),
    [
        ({"labels": {"concept_drift": DRIFT}}, "river", "labels.concept_drift needs river", "river"),
        ({"openlineage": {"uri": "x"}}, "openlineage.client", "openlineage needs openlineage.client", "openlineage"),
        ({"model": {"trusted_key": "k"}}, "model_signing", "model.trusted_key needs model_signing", "signing"),
        ({"sinks": {"scores": "gs://b/s"}}, "google.cloud.storage", "sinks.scores needs google.cloud.storage", "gcp"),
        ({"events": {"uri": "kafka://b:1/t"}}, "confluent_kafka", "events.uri needs confluent_kafka", "kafka"),
        ({"labels": {"format": "tfexample"}}, "tfx_bsl", "labels.format needs tfx_bsl", "tfexample"),
    ],
    ids=["detectors", "lineage", "signatures", "buckets", "topics", "examples"],
)
def test_a_key_whose_library_is_not_installed_fails_with_the_extra(
    monkeypatch: pytest.MonkeyPatch, stated: dict[str, Any], missing: str, said: str, extra: str
) -> None:
    def found_here(name: str) -> object:
        return None if name == missing else find_spec(name)

    monkeypatch.setattr("pipeline.preflight.extras.find_spec", found_here)
    [found] = extras.check_extras(stated)
    assert found[1:3] == ("fail", f"{said}, which is not installed")
    assert found.change == f"next: pip install 'halflife-beam[{extra}]', here and where workers run"


def test_keys_that_need_no_library_are_not_spoken_of() -> None:
    assert list(extras.check_extras({"events": {"uri": "events.csv"}, "labels": {"uri": "labels.csv"}})) == []
