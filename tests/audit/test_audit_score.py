"""`halflife audit score` and `event` beside a search by hand over what a run wrote."""

import json
import math
import shutil
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from models.releases.timeline import release_in_force
from schemas.times import format_time_us, parse_time_us
from tests.audit.asking import altered, ask, one_of
from tests.audit.world import RELEASES, FlightsAudit
from tests.pipeline.commands.commands import halflife


@pytest.mark.parametrize("role", ["champion", "challenger", "shadow"])
def test_a_score_is_shown_as_its_receipt_has_it_and_verifies(flown: FlightsAudit, role: str) -> None:
    one = one_of(flown, role=role, decision="late")
    ran = ask(flown, "score", one["score_id"], "--json")
    said = ran.json
    assert (ran.code, ran.err, said["verified"], said["verification"]["equal"]) == (0, "", True, "to the bit")
    assert (said["score"], said["receipt"]["features"]) == (one["score"], one["features"])
    assert said["receipt"]["event_time"] == format_time_us(int(one["event_time"].timestamp() * 1e6))
    assert said["manifest"]["version"] == one["version"]
    assert said["release"]["reason"] == RELEASES[one["release"] - 1]["reason"]
    assert [each["action"] for each in said["accessed"]].count("accessed") >= 1


@pytest.mark.parametrize(
    ("role", "release", "before", "after"),
    [
        ("champion", 1, None, ("v2", 5)),
        ("champion", 3, None, ("v2", 5)),
        ("champion", 5, ("v1", 3), None),
        ("challenger", 3, ("v1", 2), ("v2", 5)),
        ("shadow", 2, ("v1", 1), ("v1", 3)),
    ],
)
def test_what_served_before_and_after_is_named(
    flown: FlightsAudit, role: str, release: int, before: object, after: object
) -> None:
    one = one_of(flown, role=role, release=release)
    said = ask(flown, "score", one["score_id"], "--json", "--no_verify").json
    found = [said[name] and (said[name]["version"], said[name]["release"]) for name in ("before", "after")]
    assert (found, said["verified"]) == ([before, after], None)


def probability(version: str, features: dict[str, Any]) -> float:
    """The formula of the versions in plain Python."""
    weights = {"v1": (0.08, 0.0001, 0.01), "v2": (0.05, 0.0002, 0.03)}[version]
    total = -1.0 + {"UA": 0.3, "B6": -0.2, "DL": 0.1}.get(features["carrier"], 0.0)
    for name, weight, mean in zip(("dep_delay", "flight", "origin_delay"), weights, (10.0, 0.0, 10.0), strict=True):
        total += 0.0 if features[name] is None else weight * (features[name] - mean)
    return 1 / (1 + math.exp(-total))


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_the_smallest_change_of_each_feature_is_just_over_the_border(flown: FlightsAudit, version: str) -> None:
    one = one_of(flown, version=version, decision="late", role="champion")
    said = ask(flown, "score", one["score_id"], "--json").json
    assert [each["size"] for each in said["changes"]] == sorted(each["size"] for each in said["changes"])
    assert said["changes"][0]["decision"] == "not late"
    for each in said["changes"]:
        assert probability(version, one["features"] | {each["feature"]: each["value"]}) < 0.5
        if each["feature"] in ("dep_delay", "origin_delay", "flight"):
            nearer = each["value"] + math.copysign(
                1 if each["feature"] == "flight" else 1e-3, each["was"] - each["value"]
            )
            assert probability(version, one["features"] | {each["feature"]: nearer}) >= 0.5


def test_where_no_change_helps_that_is_said(flown: FlightsAudit) -> None:
    one = max(flown.receipts, key=lambda each: each["score"])  # one feature back to normal would still be late
    ran = ask(flown, "score", one["score_id"], "--json")
    for each in ran.json["changes"]:
        assert probability(one["version"], one["features"] | {each["feature"]: each["value"]}) < 0.5
    assert ran.json["changes"] or "makes another decision" in ran.json["no_change"]


def test_an_altered_score_does_not_verify(flown: FlightsAudit, tmp_path: Path) -> None:
    one = one_of(flown, decision="late")
    forged = one | {"score_id": "f" * 32, "score": 0.1}
    ran = ask(flown, "score", "f" * 32, "--json", audit=altered(flown, tmp_path, forged))
    assert (ran.code, ran.json["verified"]) == (1, False)
    assert "is not verified: the receipt says 0.1, the version answers" in ran.err


def test_a_receipt_of_another_bundle_of_that_name_does_not_verify(flown: FlightsAudit, tmp_path: Path) -> None:
    forged = one_of(flown, decision="late") | {"score_id": "f" * 32, "digest": "0" * 64}
    ran = ask(flown, "score", "f" * 32, "--json", audit=altered(flown, tmp_path, forged))
    assert (ran.code, ran.json["verified"], ran.json["manifest"]) == (1, False, None)
    assert "another bundle has its name now" in ran.err


SECOND: dict[str, tuple[dict[str, Any], int, list[str]]] = {
    "the same again": ({}, 0, []),
    "by another worker": ({"worker": "there", "latency_us": 9, "release": 2}, 0, []),
    "another score": ({"score": 0.9}, 1, ["score"]),
    "other features": ({"features": {"dep_delay": 1.0}}, 1, ["features"]),
    "another, late": ({"score": 0.9, "late": True}, 0, []),
    "another, of a replay": ({"score": 0.9, "role": "replay"}, 0, []),
    "rounded": ({"score": 0.5 + 1e-9}, 0, []),
}


@pytest.mark.parametrize("kind", SECOND)
def test_a_second_receipt_must_not_contradict_the_first(flown: FlightsAudit, tmp_path: Path, kind: str) -> None:
    changed, code, contradicts = SECOND[kind]
    one = one_of(flown, decision="late") | {"score_id": "f" * 32, "score": 0.5}
    copy = altered(flown, tmp_path, one, one | changed)
    ran = ask(flown, "score", "f" * 32, "--json", "--no_verify", audit=copy)
    assert (ran.code, ran.json["contradicts"], ran.json["score"]) == (code, contradicts, 0.5)
    assert len(ran.json["files"]) == 2
    assert ("contradict each other in" in ran.err) == bool(code)
    assert ask(flown, "event", one["event_id"], audit=copy).code == code


def test_all_scores_of_an_event_are_shown(flown: FlightsAudit) -> None:
    event_id = one_of(flown, role="shadow")["event_id"]
    ran = ask(flown, "event", event_id, "--json")
    wanted = {(one["score_id"], one["role"]) for one in flown.receipts if one["event_id"] == event_id}
    assert {(each["score_id"], each["role"]) for each in ran.json["scores"]} == wanted
    assert len(wanted) == 2


def test_scores_are_listed_by_filters(flown: FlightsAudit) -> None:
    day = ("--from", "2013-01-02", "--to", "2013-01-03", "--decision", "late", "--version", "v2", "--limit", 1000)
    lines = ask(flown, "score", *day, "--json").out.splitlines()
    first, last = parse_time_us("2013-01-02T00:00:00Z"), parse_time_us("2013-01-03T00:00:00Z")
    wanted = {
        one["score_id"]
        for one in flown.receipts
        if one["version"] == "v2" and one["decision"] == "late"
        and first <= one["event_time"].timestamp() * 1e6 < last
    }  # fmt: skip
    assert wanted == {json.loads(line)["score_id"] for line in lines}
    few = ask(flown, "score", "--limit", 2)
    assert (few.code, len(few.out.splitlines()), "there are more than 2" in few.err) == (0, 4, True)
    none = ask(flown, "score", "--decision", "perhaps", "--from", "2013-01-01")
    said = f"no score is of --decision perhaps --from 2013-01-01T00:00:00Z: looked through {len(flown.receipts)} rec"
    assert (none.code, said in none.err) == (0, True), none.err


@pytest.mark.parametrize("verb", ["score", "event"])
def test_of_an_unknown_id_it_is_said_what_was_looked_through(flown: FlightsAudit, verb: str) -> None:
    ran = ask(flown, verb, "nobody")
    files = len(list((flown.audit / "receipts").glob("*.avro")))
    assert (ran.code, ran.out) == (1, "")
    number = "1 file" if files == 1 else f"{files} files"
    assert f"looked through {len(flown.receipts)} receipts in {number}, of which 0 unreadable" in ran.err
    assert len(ran.err.splitlines()) == 1


def test_a_broken_file_is_named_beside_the_answer(flown: FlightsAudit, tmp_path: Path) -> None:
    one, copy = one_of(flown, decision="late"), altered(flown, tmp_path)
    (copy / "receipts" / "broken.avro").write_bytes(b"Obj\1nonsense")
    ran = ask(flown, "score", one["score_id"], "--json", audit=copy)
    assert (ran.code, ran.json["verified"]) == (1, True)
    assert "receipts/broken.avro is passed over: not an Avro container file" in ran.err


def test_nothing_is_shown_before_the_access_log_says_who_reads_it(flown: FlightsAudit, tmp_path: Path) -> None:
    store = tmp_path / "store"
    shutil.copytree(flown.folder / "store", store)
    shutil.rmtree(store / "delays" / "access")
    (store / "delays" / "access").write_text("no folder")
    one = one_of(flown, decision="late")
    for words in (("score", one["score_id"]), ("event", one["event_id"]), ("score", "--limit", 1)):
        ran = halflife("audit", *words, "--audit", flown.audit, "--store", store)
        assert (ran.code, ran.out) == (1, ""), words
        assert "cannot write delays/access/" in ran.err


def test_what_is_read_is_in_the_access_log(flown: FlightsAudit) -> None:
    one = one_of(flown, decision="late")
    ask(flown, "score", one["score_id"], "--no_verify", "--by", "carla@court")
    [entry] = [each for each in flown.store.accesses().entries if each.actor == "carla@court"]
    assert entry.action == "accessed"
    assert entry.detail == {"question": "score"} | {
        name: one[name] for name in ("score_id", "event_id", "subject", "version")
    }


def test_a_store_that_is_not_there_is_not_made(flown: FlightsAudit, tmp_path: Path) -> None:
    one = one_of(flown, decision="late")
    ran = halflife("audit", "score", one["score_id"], "--audit", flown.audit, "--store", tmp_path / "none")
    assert (ran.code, ran.out, (tmp_path / "none").exists()) == (1, "", False)
    assert "has no model 'delays'" in ran.err


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["sinks.audit=kafka://localhost:9092/audit"], "sinks.audit: 'kafka://localhost:9092/audit' is not allowed"),
        (["sinks={}"], "sinks.audit: missing; expected: a folder"),
    ],
)
def test_a_job_without_an_audit_in_files_is_told_what_to_set(
    flown: FlightsAudit, settings: list[str], says: str
) -> None:
    ran = ask(flown, "score", "x", *(word for each in settings for word in ("--set", each)))
    assert (ran.code, says in ran.err, ran.out) == (2, True, ""), ran.err


class _Texts(HTMLParser):
    """The tags of a page, and its texts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_the_page_holds_everything_and_runs_nothing(flown: FlightsAudit, tmp_path: Path) -> None:
    script = "<script>alert(1)</script>"
    hostile = {"event_id": script, "subject": '"><img src=x onerror=alert(2)>', "worker": "a\x1b[31mred\u202eder"}
    one = one_of(flown, decision="late") | {"score_id": "f" * 32, **hostile}
    copy = altered(flown, tmp_path, one)
    ran = ask(flown, "score", "f" * 32, "--html", tmp_path / "page.html", audit=copy)
    page = _Texts()
    page.feed((tmp_path / "page.html").read_text("utf-8"))
    assert (ran.code, page.open) == (0, [])
    assert {"script", "img", "link", "a"} & set(page.tags) == set()
    texts = "\n".join(page.texts)
    for said in (script, hostile["subject"], "dep_delay", "to the bit", "bob", "What one other value", "accessed"):
        assert said in texts, said
    assert "\x1b" not in texts + ran.out
    assert "\u202e" not in texts + ran.out


def test_the_release_of_each_receipt_is_the_one_in_force(flown: FlightsAudit) -> None:
    admitted = [release for release in flown.store.releases() if release.champion != "v9"]
    for one in flown.receipts[::97]:
        release = release_in_force(admitted, int(one["event_time"].timestamp() * 1e6))
        assert release is not None
        assert release.sequence == one["release"]
