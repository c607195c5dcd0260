"""`halflife models release`: what may be released, from when on, and the output."""

import json
from pathlib import Path
from typing import Any

import pytest

from models.releases.timeline import roles_of
from schemas import times
from tests.models.bundle_folders import document, with_golden
from tests.pipeline.commands.commands import Models, halflife

JOB = """
job: flights
events: {{uri: {input}, format: json, event_id: id, event_time: t, columns: {{delay: number}}}}
features: [delay]
model: {{name: late, store: {store}}}
"""
OLD, NEW = "2013-03-01T00:00:00Z", "2013-04-01T00:00:00Z"


def champion(models: Models, version: str, *words: object) -> Any:
    return models.json("release", "--champion", version, *words)


def put_refused(models: Models, tmp_path: Path, version: str) -> None:
    """Publish a version that admission refuses: its golden records are not what it answers."""
    folder = tmp_path / version
    folder.mkdir()
    models.store.publish(folder, with_golden(folder, document(version=version), shift=1.0))


def in_force(models: Models, at: str = "now") -> dict[str, str]:
    sequence = models.json("timeline", "--at", at)["in_force"]
    return roles_of(next(each for each in models.store.releases() if each.sequence == sequence))


def test_release_takes_effect_two_polls_from_now(models: Models) -> None:
    before = times.now_us()
    start = times.parse_instant_us(champion(models, "v1", "--poll", "1m")["effective_from"])
    assert before + 120e6 <= start <= times.now_us() + 120e6


def test_release_names_who_and_why(models: Models) -> None:
    written = champion(models, "v1", "--by", "ann", "--reason", "first", "--evidence", "ticket 7")
    assert [written[key] for key in ("sequence", "by", "reason", "evidence")] == [1, "ann", "first", "ticket 7"]
    assert models.store.releases()[0].reason == "first"


def test_release_has_every_role(models: Models) -> None:
    words = ("--challenger", "v2=10%", "--shadow", "v3", "--split-on", "subject", "--salt", "s", "--from", OLD)
    written = models("release", "--champion", "v1", *words, "--json").json
    assert written["challengers"] == [{"version": "v2", "share": 0.1}]
    assert (written["shadows"], written["split_on"], written["salt"]) == (["v3"], "subject", "s")
    assert in_force(models) == {"v1": "champion", "v2": "challenger 0.1", "v3": "shadow"}


REFUSED = [
    (("v9",), "version 'v9' of 'late' does not exist"),
    (("v1", "--shadow", "v9"), "'v9'"),
]


@pytest.mark.parametrize(("words", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_release_that_cannot_be_obeyed_is_refused_in_one_line(
    models: Models, words: tuple[str, ...], message: str
) -> None:
    ran = models("release", "--champion", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert message in ran.err
    assert models.store.releases() == []


MISUSED = [
    ((), "--champion: missing; expected: a value; next: halflife models release --help"),
    (("--champion", "v1", "--challenger", "v2"), "'v2' is not allowed; expected: VERSION=SHARE"),
    (("--champion", "v1", "--from", "soon"), "'soon' is not allowed; expected: an RFC 3339 time"),
    (("--champion", "v1", "--poll", "5"), "'5' is not a duration"),
    (("--champion", "v1", "--set", "model.poll=1s"), "--set: 'model.poll=1s' is not allowed; expected: only together"),
    (("--champion", "v1", "--job", "absent.yaml"), "--job: 'absent.yaml': No such file"),
]


@pytest.mark.parametrize(("words", "message"), MISUSED, ids=[message for _, message in MISUSED])
def test_bad_usage_exits_with_2_and_one_line(models: Models, words: tuple[str, ...], message: str) -> None:
    ran = models("release", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert message in ran.err


def test_past_release_is_allowed_with_a_note(models: Models) -> None:
    ran = models("release", "--champion", "v1", "--from", OLD)
    assert ran.code == 0
    assert "keep the release that served them" in ran.err


def test_canary_keeps_its_salt_as_it_grows(models: Models) -> None:
    first = models("release", "--champion", "v1", "--challenger", "v2=0.1", "--json").json
    grown = models("release", "--champion", "v1", "--challenger", "v2=0.5", "--json").json
    other = models("release", "--champion", "v1", "--challenger", "v3=0.5", "--json").json
    assert first["salt"] == grown["salt"]
    assert other["salt"] != grown["salt"]


LATER = "2999-01-01T00:00:00Z"


def test_release_says_which_scheduled_one_takes_over_and_when(models: Models) -> None:
    champion(models, "v2", "--from", LATER)
    ran = models("release", "--champion", "v1")
    assert (ran.code, ran.err) == (0, f"halflife: from {LATER} on release 1 takes over, with champion 'v2'\n")
    takes_over = {"release": 1, "champion": "v2", "effective_from": LATER}
    assert champion(models, "v3")["taken_over_by"] == takes_over
    assert champion(models, "v3", "--from", "2999-02-01T00:00:00Z")["taken_over_by"] is None


def test_release_that_the_job_will_refuse_is_not_written(models: Models, tmp_path: Path) -> None:
    put_refused(models, tmp_path, "bad")
    for words in (("bad",), ("v1", "--shadow", "bad"), ("v1", "--challenger", "bad=1%")):
        ran = models("release", "--champion", *words)
        assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
        assert "not released: version 'bad': golden_mismatch: golden.jsonl line 1" in ran.err
    ran = models("release", "--champion", "bad", "--json")
    assert (ran.code, ran.json["released"], ran.json["reason"]) == (1, False, "golden_mismatch")
    assert models.store.releases() == []


def test_release_without_a_check_says_so(models: Models, tmp_path: Path) -> None:
    put_refused(models, tmp_path, "bad")
    assert champion(models, "bad", "--no_check")["evidence"] == "no_check"
    assert champion(models, "bad", "--no-check", "--evidence", "ticket 7")["evidence"] == "ticket 7; no_check"


def test_release_is_checked_against_the_columns_of_the_job(models: Models, tmp_path: Path) -> None:
    (tmp_path / "events.json").write_text("{}\n")
    (tmp_path / "job.yaml").write_text(JOB.format(input=tmp_path / "events.json", store=models.url))
    for words in (("v1",), ("v2", "--challenger", "v1=10%", "--split_on", "origin")):
        ran = halflife("models", "release", "--champion", *words, "--job", tmp_path / "job.yaml", "--json")
        assert (ran.code, ran.json["reason"]) == (1, "wrong_inputs")
    assert models.store.releases() == []


def test_later_fields_of_a_release_are_kept(models: Models, tmp_path: Path) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    signed = {"previous": "a" * 64, "digests": {"v1": "b" * 64}, "signature": {"sig": "x"}}
    file = tmp_path / "store" / "late" / "releases" / "00000001.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), **signed}))
    [shown] = models.json("timeline")["releases"]
    assert {name: shown[name] for name in signed} == signed
