"""`halflife audit at`, `version`, `record` and `subject` beside a search by hand over what a run wrote."""

import csv
import io
import json
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from audit.asking.letters import names_one
from audit.asking.training.counting import count_named
from schemas.errors import UnusableData
from schemas.times import format_time_us, parse_time_us
from tests.audit.asking import altered, ask, one_of
from tests.audit.containers import schema_of, write
from tests.audit.world import RELEASES, TRAINED_ON, FlightsAudit
from tests.pipeline.commands.commands import halflife


def micros(receipt: dict[str, Any]) -> int:
    """The event time of a receipt as fastavro reads it, microseconds since 1970."""
    seconds: float = receipt["event_time"].timestamp()
    return round(seconds * 1e6)


def in_force_by_hand(at: str) -> dict[str, Any]:
    """The admitted release of the tests with the latest start up to a time; the first serves earlier events too."""
    admitted = [each for each in RELEASES if each["champion"] != "v9"]
    begun = [each for each in admitted if parse_time_us(each["from"]) <= parse_time_us(at)]
    return begun[-1] if begun else admitted[0]


@pytest.mark.parametrize(
    "at", ["2012-01-01T00:00:00Z", "2013-01-02T11:59:59.999999Z", "2013-01-02T12:00:00Z", "2013-01-03T20:00:00Z",
           "2013-01-04T06:00:00Z", "2013-01-04T12:00:00Z", "2030-01-01T00:00:00Z"],
)  # fmt: skip
def test_what_served_at_a_time_is_what_the_timeline_says(flown: FlightsAudit, at: str) -> None:
    ran, wanted = ask(flown, "at", at, "--json"), in_force_by_hand(at)
    said = ran.json
    assert (ran.code, said["release"]["reason"], said["release"]["by"]) == (0, wanted["reason"], "ann")
    assert said["since"] == wanted["from"]
    roles = {(wanted["champion"], "champion")} | {
        (each.version, "challenger") for each in wanted.get("challengers", ())
    }
    roles |= {(version, "shadow") for version in wanted.get("shadows", ())}
    assert {(each["version"], each["role"]) for each in said["versions"]} == roles
    assert all(each["admitted"][0]["job"] == "flights" for each in said["versions"])
    assert said["answered_by_another_release"] == {"count": 0, "event_ids": []}


def test_what_was_refused_by_then_is_named_with_job_and_reason(flown: FlightsAudit) -> None:
    assert ask(flown, "at", "2013-01-03T23:00:00Z", "--json").json["refused"] == []
    [refused] = ask(flown, "at", "2013-01-04T00:00:00Z", "--json").json["refused"]
    said = {name: refused[name] for name in ("release", "version", "job", "reason", "released_by", "admitted_later")}
    assert said == {
        "release": 4, "version": "v9", "job": "flights", "reason": "wrong_inputs", "released_by": "ann",
        "admitted_later": False,
    }  # fmt: skip
    assert "colour" in refused["detail"]
    assert "wrong_inputs" in ask(flown, "at", "2013-01-05").out


def test_events_that_another_release_answered_are_counted_with_their_ids(flown: FlightsAudit, tmp_path: Path) -> None:
    third = [one for one in flown.receipts if one["release"] == 3 and one["role"] == "champion"][:3]
    late = [one | {"score_id": f"{n:032x}", "release": 2, "event_id": f"o{n}"} for n, one in enumerate(third)]
    shadow = third[0] | {"score_id": "a" * 32, "release": 2, "event_id": "of a shadow", "role": "shadow"}
    replay = third[0] | {"score_id": "b" * 32, "release": 0, "event_id": "of a replay", "role": "replay"}
    copy = altered(flown, tmp_path, *late, late[0], shadow, replay)
    said = ask(flown, "at", "2013-01-03T15:00:00Z", "--json", "--model", "delays", audit=copy).json
    assert said["answered_by_another_release"] == {"count": 3, "event_ids": ["o0", "o1", "o2"]}
    spared = ask(flown, "at", "2013-01-03T15:00:00Z", "--json", "--no_events", audit=copy).json
    assert spared["answered_by_another_release"] is None


def test_at_as_it_was_known_then(flown: FlightsAudit) -> None:
    before = ask(flown, "at", "2013-01-05", "--known_at", "2013-01-01")
    assert (before.code, before.out, "has no release that a job admitted" in before.err) == (1, "", True)
    now = ask(flown, "at", "2013-01-05", "--known_at", "now", "--json").json
    assert now["release"]["champion"] == "v2"


@pytest.mark.parametrize("version", ["v1", "v2", "v9"])
def test_a_version_has_its_releases_and_scores(flown: FlightsAudit, version: str) -> None:
    ran = ask(flown, "version", version, "--json")
    own = [one for one in flown.receipts if one["version"] == version]
    assert (ran.code, ran.json["scores"]) == (0, dict(Counter(one["role"] for one in own)))
    times = [format_time_us(pick(map(micros, own))) if own else None for pick in (min, max)]
    assert [ran.json["first_event"], ran.json["last_event"]] == times
    wanted = [n for n, each in enumerate(RELEASES, 1) if version in named(each) and each["champion"] != "v9"]
    assert [each["release"] for each in ran.json["releases"] if not each["refused"]] == wanted
    assert [each["reason"] for each in ran.json["refused"]] == (["wrong_inputs"] if version == "v9" else [])
    assert ran.json["digest"] == flown.store.read_manifest(version).digest


def named(release: dict[str, Any]) -> set[str]:
    """The versions of a release of the tests."""
    challengers = {each.version for each in release.get("challengers", ())}
    return {release["champion"], *release.get("shadows", ()), *challengers}


def test_scores_of_a_version_are_counted_once(flown: FlightsAudit, tmp_path: Path) -> None:
    own = [one for one in flown.receipts if one["version"] == "v2"]
    said = ask(flown, "version", "v2", "--json", audit=altered(flown, tmp_path, *own[:50])).json
    assert sum(said["scores"].values()) == len(own)


@pytest.mark.parametrize("number", [0, TRAINED_ON - 1, TRAINED_ON])
def test_a_record_leads_to_the_versions_trained_on_it(flown: FlightsAudit, number: int) -> None:
    event_id = flown.events[number]["id"]
    said = ask(flown, "record", event_id, "--json").json
    trained = ["v1"] if number < TRAINED_ON else []
    own = {one["score_id"] for one in flown.receipts if one["event_id"] == event_id and one["version"] in trained}
    assert (said["trained_versions"], set(said["scores"])) == (trained, own)
    assert list(said["unknown"]) == ["v9"]


def test_all_that_is_held_on_a_subject_is_found_and_written(flown: FlightsAudit, tmp_path: Path) -> None:
    subject = flown.events[3]["tailnum"]
    own = {one["score_id"]: one for one in flown.receipts if one["subject"] == subject}
    ran = ask(flown, "subject", subject, "--json", "--out", tmp_path / "held")
    assert (ran.code, set(ran.json["scores"]), ran.json["trained_versions"]) == (0, set(own), ["v1"])
    rows = list(csv.DictReader((tmp_path / "held" / "scores.csv").open(encoding="utf-8")))
    assert {row["score_id"]: float(row["score"]) for row in rows} == {key: one["score"] for key, one in own.items()}
    receipts = json.loads((tmp_path / "held" / "receipts.json").read_text("utf-8"))
    assert {one["score_id"]: one["features"] for one in receipts} == {key: one["features"] for key, one in own.items()}
    summary = json.loads((tmp_path / "held" / "summary.json").read_text("utf-8"))
    assert summary["trained"]["delays"][0]["version"] == "v1"
    again = ask(flown, "subject", subject, "--out", tmp_path / "held")
    assert (again.code, "expected: a folder that is new or empty" in again.err) == (2, True)


def test_dead_letters_of_a_subject_are_found(flown: FlightsAudit, tmp_path: Path) -> None:
    subject = flown.events[3]["tailnum"]
    letters = [
        {
            "stage": "decode",
            "error": "e",
            "detail": "d",
            "payload": payload,
            "event_id": None,
            "event_time": None,
            "at": 1,
        }
        for payload in (f'{{"plane": "{subject}"}}'.encode(), f'{{"plane": "{subject}9"}}'.encode(), b"\xff\x00")
    ]
    letters[2]["event_id"] = one_of(flown, subject=subject)["event_id"]
    write(tmp_path / "letters" / "a.avro", letters, schema_of("DeadLetter"))
    (tmp_path / "letters" / "b.avro").write_bytes(b"nothing")
    where = ("--set", f"sinks.dead_letters={tmp_path / 'letters'}")
    ran = ask(flown, "subject", subject, "--json", "--out", tmp_path / "held", *where)
    assert (ran.code, ran.json["dead_letters"], "b.avro is passed over" in ran.err) == (1, 2, True)
    written = json.loads((tmp_path / "held" / "dead_letters.json").read_text("utf-8"))
    assert [each.get("payload_hex") for each in written] == [None, "ff00"]


def test_formulas_are_no_formulas_in_the_csv(flown: FlightsAudit, tmp_path: Path) -> None:
    one = one_of(flown, decision="late") | {"score_id": "f" * 32, "subject": "=cmd()", "event_id": "-2+3"}
    ran = ask(flown, "subject", "=cmd()", "--out", tmp_path / "held", audit=altered(flown, tmp_path, one))
    [row] = csv.DictReader((tmp_path / "held" / "scores.csv").open(encoding="utf-8"))
    assert (ran.code, row["subject"], row["event_id"]) == (0, "'=cmd()", "'-2+3")
    assert json.loads((tmp_path / "held" / "receipts.json").read_text("utf-8"))[0]["subject"] == "=cmd()"


@pytest.mark.parametrize("question", [("subject", "nobody"), ("record", "nothing"), ("version", "v77")])
def test_what_is_not_known_ends_with_1_and_says_where_it_was_looked_for(
    flown: FlightsAudit, question: tuple[str, str]
) -> None:
    ran = ask(flown, *question)
    assert (ran.code, ran.out) == (1, "")
    assert f"looked through {len(flown.receipts)} receipts in" in ran.err


def test_of_a_job_without_subjects_that_is_said(flown: FlightsAudit, tmp_path: Path) -> None:
    spec = yaml.safe_load(flown.job.read_text("utf-8"))
    del spec["events"]["subject"]
    (tmp_path / "job.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    ran = halflife("audit", "subject", "nobody", "--job", tmp_path / "job.yaml")
    said = "; the job has no events.subject, so its receipts name no subject; next:"
    assert (ran.code, said in ran.err) == (1, True), ran.err


def test_each_question_is_logged_before_it_is_answered(flown: FlightsAudit) -> None:
    subject = flown.events[3]["tailnum"]
    for words in (("subject", subject), ("record", flown.events[0]["id"]), ("version", "v1")):
        ask(flown, *words, "--by", "dora@audit")
    entries = [each for each in flown.store.accesses().entries if each.actor == "dora@audit"]
    assert [(each.action, each.detail["question"]) for each in entries] == [
        ("accessed", "subject"), ("accessed", "record"), ("accessed", "version"),
    ]  # fmt: skip
    assert entries[0].detail["subject"] == subject


def test_who_asks_which_events_another_release_answered_is_logged(flown: FlightsAudit, tmp_path: Path) -> None:
    noon = "2013-01-03T15:00:00Z"
    for by, words in (("erin", ()), ("finn", ("--json",)), ("gus", ("--no_events",))):
        assert ask(flown, "at", noon, *words, "--by", by).code == 0
    entries = flown.store.accesses().entries
    logged = {each.actor: dict(each.detail) for each in entries if each.actor in ("erin", "finn", "gus")}
    assert logged == {by: {"question": "at", "event_time": noon} for by in ("erin", "finn")}
    store = tmp_path / "store"
    shutil.copytree(flown.folder / "store", store)
    shutil.rmtree(store / "delays" / "access")
    (store / "delays" / "access").write_text("no folder")
    refused = halflife("audit", "at", noon, "--audit", flown.audit, "--store", store)
    assert (refused.code, refused.out, "cannot write delays/access/" in refused.err) == (1, "", True)


def _parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"event_id": ["e1", "e2", "e1x"], "n": [7, 8, 9]}), stream)
    return stream.getvalue()


FILES = {
    "ids.txt": (b"e1\ne2\ne1x\n", "e1", 1),
    "records.csv": (b"event_id;subject\ne1;ann\ne2;e1\n\"e;1\";x\n", "e1", 2),
    "quoted.csv": (b'event_id,subject\n"e,1",ann\n', "e,1", 1),
    "records.jsonl": (b'{"event_id": "e1"}\n\n{"event_id": "e1x", "of": ["e1"]}\n{"event_id": 12}\n', "e1", 2),
    "list.json": (b'[{"event_id": 12}, {"event_id": "e2"}]', "12", 1),
    "records.parquet": (_parquet(), "e1", 1),
    "numbers.parquet": (_parquet(), "8", 1),
    "empty.csv": (b"", "e1", 0),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_training_records_are_read_whatever_they_are_written_in(name: str) -> None:
    raw, value, count = FILES[name]
    assert count_named(raw, name, {value}) == count


@pytest.mark.parametrize("name", ["a.parquet", "a.json", "a.avro"])
def test_training_records_that_are_not_what_their_name_says_are_no_silent_no(name: str) -> None:
    with pytest.raises(UnusableData, match=r"cannot be read|not an Avro container"):
        count_named(b"{'e1'", name, {"e1"})


@pytest.mark.parametrize(
    ("payload", "names"),
    [
        (b"\x04N1\x06abc", True),
        (b"\x06N12abc", False),
        (b"x,N1\n", True),
        (b"x,N14228\n", False),
        (b'{"a": {"b": ["N1"]}}', True),
        (b'{"a": "N1 and more"}', False),
        (b"", False),
    ],
)
def test_a_payload_names_a_whole_value_only(payload: bytes, names: bool) -> None:
    assert names_one(payload, {"N1"}) is names
