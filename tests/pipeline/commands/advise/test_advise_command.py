"""`halflife advise`: an advice from its evidence to the version that was trained on it."""

import re
from typing import Any

import pytest

from tests.audit import containers
from tests.gates.retraining.test_advice import WORN, days
from tests.gates.written import write
from tests.pipeline.commands.advise.advising import AdvisedJob
from tests.pipeline.commands.commands import halflife


@pytest.fixture
def worn(job: AdvisedJob) -> AdvisedJob:
    job.measure(WORN)
    job.receive(range(38, 62))
    job.receive(range(38, 40), "receipts-again.avro")  # a retry
    return job


def test_an_advice_has_its_evidence_in_the_audit(worn: AdvisedJob) -> None:
    ran = worn("--json", "--by", "ann")
    assert (ran.code, ran.err) == (0, "")
    given = ran.json
    assert [given[key] for key in ("verdict", "reason", "version", "written")] == ["retrain", "pays", "v1", True]
    (event,) = worn.events("retraining_advised")
    said = event["evidence"]
    assert (event["version"], event["actor"], event["reason"]) == ("v1", "ann", f"retrain: {given['why']}")
    assert event["digest"] == worn.store.read_manifest("v1").digest
    assert said["advice"] == given["advice"]
    first, last = "2019-02-10T00:00:00Z", "2019-03-02T00:00:00Z"
    assert said["data"] == {"from": first, "to": last, "n": 20000, "shortened": False}
    assert (said["windows"]["count"], said["change"]["since"]) == (20, "2019-02-10T00:00:00Z")
    # Of days 40 to 59; ids of written receipts count up from day 0.
    assert (said["score_ids"]["total"], said["score_ids"]["ids"]) == (100, [f"{n:032x}" for n in range(200, 300)])
    assert said["waiting"]["loses"]["low"] >= said["price"]["total"] == 100
    assert [each.action for each in worn.store.accesses().entries] == ["advise"]


def test_at_most_so_many_score_ids_are_named_beside_their_number(worn: AdvisedJob) -> None:
    worn.stated["retraining"]["score_ids"] = 3
    scores = worn("--json").json["score_ids"]
    assert (scores["total"], len(scores["ids"])) == (100, 3)


def test_equal_evidence_gives_an_advice_once(worn: AdvisedJob) -> None:
    first = worn("--json").json
    again = worn("--json").json
    assert (again["advice"], again["written"]) == (first["advice"], False)
    assert again["given"].endswith(f"as {first['advice']}")
    worn.measure(days(60, 64, 0.35), "quality-1.avro")
    assert worn("--json").json["written"] is False  # the same, said within `again`
    worn.measure(days(64, 70, 0.35), "quality-2.avro")
    later = worn("--json").json
    assert (later["written"], later["advice"] != first["advice"]) == (True, True)
    assert len(worn.events("retraining_advised")) == 2


def test_scores_that_the_audit_does_not_have_are_said(job: AdvisedJob) -> None:
    job.measure(WORN)
    ran = job()
    assert (ran.code, len(job.events("retraining_advised"))) == (0, 1)
    assert "not known: the scores of these windows: looked through 0 receipts in 0 files" in ran.err


def test_status_writes_nothing(worn: AdvisedJob) -> None:
    worn.stated["retraining"]["hook"] = {"command": ["false"]}
    shown = worn("--status")
    assert shown.code == 0
    assert "advice      retrain" in shown.out
    assert [worn.events(kind) for kind in ("retraining_advised", "notified")] == [[], []]
    assert worn.store.accesses().entries == ()


def test_the_version_trained_on_an_advice_says_so(worn: AdvisedJob) -> None:
    advice = worn("--json").json["advice"]
    worn.publish("v2", decision=advice)
    trained = halflife("audit", "version", "v2", "--job", worn.file(), "--json").json
    assert (trained["advice"]["id"], trained["advice"]["version"], trained["advised"]) == (advice, "v1", [])
    assert trained["advice"]["evidence"]["score_ids"]["total"] == 100
    told = halflife("audit", "version", "v2", "--job", worn.file()).out
    assert "The advice it was trained on" in told
    assert f"advice     {advice}" in told
    again = worn("--json").json
    assert (again["trained"], again["written"]) == (["v2"], False)
    about = halflife("audit", "version", "v1", "--job", worn.file(), "--json").json
    assert ([each["id"] for each in about["advised"]], about["advice"]) == ([advice], None)


def test_a_score_shows_the_advice_behind_its_version(worn: AdvisedJob) -> None:
    advice = worn("--json").json["advice"]
    worn.publish("v2", decision=advice)
    digest = worn.store.read_manifest("v2").digest
    answered = containers.receipt(9000, model="late", version="v2", digest=digest)
    containers.write(worn.folder / "audit" / "receipts" / "receipts-v2.avro", [answered])
    ran = halflife("audit", "score", f"{9000:032x}", "--job", worn.file(), "--no_verify", "--json")
    assert ran.json["advice"]["id"] == advice
    page = halflife("audit", "score", f"{9000:032x}", "--job", worn.file(), "--no_verify").out
    assert re.search(rf"^advice +{advice}$", page, re.MULTILINE)
    assert "retrain: error is 0.35" in page


def test_a_decision_that_the_audit_does_not_know_is_said(worn: AdvisedJob) -> None:
    worn("--json")
    worn.publish("v2", decision="ticket-7")
    found = halflife("audit", "version", "v2", "--job", worn.file(), "--json").json["advice"]
    assert (found["id"], found["at"]) == ("ticket-7", None)
    assert "has the id ticket-7" in found["lacks"]


@pytest.mark.parametrize(
    ("without", "setting"),
    [
        (("sinks", "quality"), "sinks.quality and labels"),
        (("sinks", "drift"), "sinks.drift"),
        (("labels",), "labels"),
        (("retraining", "price"), "retraining.price"),
        (("retraining", "value"), "retraining.value"),
        (("retraining",), "retraining.price"),
    ],
    ids=".".join,
)
def test_what_a_job_does_not_say_is_said(worn: AdvisedJob, without: tuple[str, ...], setting: str) -> None:
    holder: Any = worn.stated
    for key in without[:-1]:
        holder = holder[key]
    del holder[without[-1]]
    ran = worn()
    assert ran.code == 0
    assert f"; expected: {setting}\n" in ran.err
    assert setting in [each["setting"] for each in worn("--json").json["lacking"]]


def test_drift_without_labels_advises_to_look_and_shows_no_price(job: AdvisedJob) -> None:
    job.drift(3, 4, 6)
    job.drift(5, drifted=False)
    job.receive(range(10))
    given = job("--json").json
    assert [given[key] for key in ("verdict", "reason", "data", "waiting")] == ["look", "drift", None, None]
    assert given["price"]["total"] is None
    (event,) = job.events("retraining_advised")
    assert event["reason"].startswith("look: 3 windows drifted (x)")
    assert event["evidence"]["score_ids"]["total"] == 15  # those of day 5 are not among them


@pytest.mark.parametrize(
    ("folder", "why"),
    [
        ("absent", "no file is in "),
        ("quality", " are of other, none of late"),
        ("drift", "none of the 1 file(s) in "),
    ],
)
def test_a_wrong_folder_of_quality_is_named(job: AdvisedJob, folder: str, why: str) -> None:
    job.drift(0, drifted=False)
    write(job.folder / "quality", WORN, model="other")
    ran = job("--quality", job.folder / folder)
    assert ran.code == 0
    assert why in ran.err
    assert ran.err.strip().endswith("; expected: the files of sinks.quality of a job with labels")


def test_nothing_at_all_waits(job: AdvisedJob) -> None:
    job.receive([0])
    given = job("--json").json
    assert (given["verdict"], given["reason"], given["written"]) == ("wait", "no_records", False)
    assert job.events("retraining_advised") == []


@pytest.mark.parametrize(
    ("sinks", "line"),
    [
        ({"quality": "kafka://h:9092/q", "audit": "a"}, "sinks.quality: 'kafka://h:9092/q' is not allowed"),
        ({"drift": "kafka://h:9092/d", "audit": "a"}, "sinks.drift: 'kafka://h:9092/d' is not allowed"),
        ({"quality": "q"}, "sinks.audit: missing"),
    ],
)
def test_sinks_that_cannot_be_read_are_bad_usage(job: AdvisedJob, sinks: dict[str, str], line: str) -> None:
    job.stated["sinks"] = sinks
    ran = job()
    assert (ran.code, ran.err.startswith(f"halflife: {line}"), ran.err.count("\n")) == (2, True, 1), ran.err


def test_a_version_that_is_not_there_is_bad_usage(job: AdvisedJob) -> None:
    ran = job("--version", "v7")
    assert (ran.code, "--version: 'v7' is not allowed; expected: a version of late" in ran.err) == (2, True), ran.err


@pytest.mark.parametrize(
    ("section", "line"),
    [
        ({"pays_within": "0s"}, "retraining.pays_within: '0s' is not allowed; expected: a duration of at least 1ms"),
        ({"hook": {}}, "retraining.hook: missing; expected: command or url"),
        ({"hook": {"command": ["x"], "url": "http://h/"}}, "retraining.hook: has command and url; expected: one"),
        ({"hook": {"url": "ftp://h/"}}, "retraining.hook.url: 'ftp://h/' is not allowed; expected: an http://"),
        ({"hook": {"url": "http://ann:pw@h/x"}}, "retraining.hook.url: http://h/x has a user, a query or a fragment"),
        ({"hook": {"command": "x y"}}, "retraining.hook.command: 'x y' is not allowed; expected: a list of texts"),
        ({"hook": {"url": "http://h", "muted_until": "noon"}}, "retraining.hook.muted_until: 'noon' is not allowed"),
        ({"hook": {"url": "http://h", "timeout": "1d"}}, "retraining.hook.timeout: '1d' is not allowed"),
        ({"metric": "auc"}, "retraining.metric: 'auc' is not allowed; allowed: error, log_loss, brier, mae"),
        ({"price": -1}, "retraining.price: -1 is not allowed"),
    ],
)
def test_what_the_section_may_not_say(job: AdvisedJob, section: dict[str, Any], line: str) -> None:
    job.stated["retraining"] = section
    ran = job()
    assert (ran.code, ran.err.startswith(f"halflife: {line}")) == (2, True), ran.err
    assert "pw" not in ran.err
