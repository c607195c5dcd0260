"""`halflife models list`, `timeline`, `show` and `access`."""

import json
from pathlib import Path

import pyarrow as pa
import pytest

from models.profiles import build_profile, serialise_profile
from models.store.backends import Backend
from models.store.store import ModelStore
from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Models, halflife

SPEC = {"job": "t", "events": {"uri": "in", "format": "json", "event_id": "id", "event_time": "at"}, "features": ["x"]}


def test_list_says_who_serves_now(models: Models) -> None:
    models("release", "--champion", "v2", "--shadow", "v1", "--from", "2013-03-01T00:00:00Z")
    models("release", "--champion", "v3", "--from", "2999-01-01T00:00:00Z")
    found = models.json("list")
    assert found["in_force"] == 1
    assert {each["version"]: each["role"] for each in found["versions"]} == {
        "v1": "shadow",
        "v2": "champion",
        "v3": None,
    }
    assert found["versions"][0]["digest"] == models.store.read_manifest("v1").digest


def test_list_continues_past_a_manifest_that_is_not_valid(models: Models) -> None:
    Backend(models.url).create("late/versions/v4/manifest.json", b"{}")
    assert models.json("list")["versions"][3]["problem"].startswith("invalid_manifest: ")
    assert "invalid_manifest" in models("list").out


VERBS = [["list"], ["list", "--json"], ["timeline", "--json"], ["access"], ["show", "v1"], ["check", "v1"],
         ["withdraw", "v1"], ["rollback"], ["release", "--champion", "v1"]]  # fmt: skip


@pytest.mark.parametrize("verb", VERBS, ids=" ".join)
def test_model_that_is_not_there_is_an_error_and_named(models: Models, tmp_path: Path, verb: list[str]) -> None:
    mistaken = halflife("models", *verb, "--store", models.url, "--model", "lat")
    said = f"halflife: --model: 'lat' is not allowed; expected: a model of {models.url}: late; did you mean late?\n"
    assert mistaken == (2, "", said)
    nowhere = tmp_path / "nowhere"
    absent = halflife("models", *verb, "--store", nowhere, "--model", "late")
    said = "/nowhere' is not allowed; expected: a store with a model in it; next: halflife models publish\n"
    assert (absent.code, absent.out) == (2, "")
    assert (absent.err[:20], absent.err[-len(said) :]) == ("halflife: --store: '", said)  # a long path is shortened
    assert ModelStore(models.url, "late").models() == ["late"]
    assert not nowhere.exists()


def test_model_of_a_job_that_is_not_there_is_named_by_its_path(models: Models, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(json.dumps(SPEC | {"model": {"name": "lat", "store": models.url}}))
    ran = halflife("models", "list", "--job", job)
    assert (ran.code, ran.err.startswith("halflife: model.name: 'lat' is not allowed; ")) == (2, True)
    ran = halflife("models", "timeline", "--job", job, "--store", tmp_path / "other")
    assert (ran.code, ran.err.startswith("halflife: --store: ")) == (2, True)


def test_model_without_a_release_has_an_empty_timeline(models: Models) -> None:
    assert models.json("timeline")["releases"] == []
    assert (models("access").code, models("show", "v9").code) == (0, 1)


def test_timeline_says_which_release_is_in_force(models: Models) -> None:
    models("release", "--champion", "v1", "--from", "2013-03-01T00:00:00Z")
    models("release", "--champion", "v2", "--from", "2013-05-01T00:00:00Z")
    Backend(models.url).create("late/releases/00000003.json", b"{")
    for at, sequence in (("2013-01-01T00:00:00Z", 1), ("2013-04-01T00:00:00Z", 1), ("2013-05-01T00:00:00Z", 2)):
        assert models.json("timeline", "--at", at)["in_force"] == sequence
    assert [each["champion"] for each in models.json("timeline")["releases"]] == ["v1", "v2"]
    assert models.json("timeline")["broken"][0]["sequence"] == 3
    assert models("timeline").out.count("in force") == 1


@pytest.fixture
def profiled(models: Models, tmp_path: Path) -> Models:
    """A version v4 with a profile, quality and training data."""
    folder = tmp_path / "profiled"
    folder.mkdir()
    table = pa.table({"delay": [1.0, 2.0, None], "carrier": ["AA", "AA", "DL"]})
    (folder / "profile.json").write_bytes(serialise_profile(build_profile(table, ["delay", "carrier"])))
    training = {"trained_at": "2013-03-01T00:00:00Z", "data": [{"uri": "s3://b/d.avro", "rows": 7}]}
    models.store.publish(
        folder, document(version="v4", profile="profile.json", quality={"auc": 0.75}, training=training)
    )
    return models


def test_show_gives_manifest_profile_and_quality(profiled: Models) -> None:
    found = profiled.json("show", "v4")
    assert found["manifest"]["quality"] == {"auc": 0.75}
    assert found["profile"][1] == {"name": "delay", "n": 3, "nulls": 1, "min": 1.0, "mean": 1.5, "max": 2.0, "top": ""}
    table = profiled("show", "v4").out
    assert [word for word in ("s3://b/d.avro", "0.75", "AA, DL", "delay") if word not in table] == []


def test_show_of_an_unknown_version_is_one_line(models: Models) -> None:
    ran = models("show", "v9")
    assert (ran.code, ran.err.count("\n"), "incomplete: " in ran.err) == (1, 1, True)


def test_access_log_says_who_did_what(models: Models) -> None:
    models("release", "--champion", "v1", "--by", "ann", "--reason", "first")
    models("rollback", "--to", 1, "--by", "bob")
    models("show", "v2", "--by", "cleo")
    models("check", "v2", "--by", "dan")
    models.store.record_access("loaded", "worker-1", version="v1", seconds=0.5)
    entries = models.json("access")["entries"]
    assert [(each["actor"], each["action"]) for each in entries] == [
        ("ann", "release"),
        ("bob", "rollback"),
        ("cleo", "show"),
        ("dan", "check"),
        ("worker-1", "loaded"),
    ]
    assert (entries[0]["release"], entries[0]["reason"], entries[2]["version"]) == (1, "first", "v2")
    assert [each["action"] for each in models.json("access", "--actor", "bob")["entries"]] == ["rollback"]
    assert "worker-1" in models("access", "--action", "loaded").out


def test_access_log_is_read_by_days(models: Models) -> None:
    for day in (1, 2, 3):
        models.store.record_access("show", f"day{day}", now_us=(1_362_096_000 + 86_400 * day) * 1_000_000)
    words = ("access", "--from", "2013-03-02", "--to", "2013-03-03")
    assert [each["actor"] for each in models.json(*words)["entries"]] == ["day1", "day2"]
    assert models.json("access", "--from", "2013-03-05")["entries"] == []


GARBAGE = {
    "01HX0000000000000000000000.json": b"\xff",
    "01HX0000000000000000000001.json": b"[]",
    "01HX0000000000000000000002.json": json.dumps({"at": "then", "actor": "a", "action": "b"}).encode(),
    "01HX0000000000000000000003.json": json.dumps({"at": "2014-01-01T00:00:00Z", "actor": "a", "action": "b"}).encode(),
    "01HX0000000000000000000004.json": json.dumps({"actor": 1}).encode(),
    "01HX0000000000000000000005.json": b" " * 100_000,
    "readme.txt": b"no entry",
}


def test_garbage_in_the_access_log_is_reported_and_skipped(models: Models) -> None:
    for name, content in GARBAGE.items():
        Backend(models.url).create(f"late/access/2013-03-01/{name}", content)
    models.store.record_access("show", "ann", now_us=1_362_096_000_000_000)
    found = models.json("access")
    assert [each["actor"] for each in found["entries"]] == ["ann"]
    assert sorted(each["key"].rpartition("/")[2] for each in found["broken"]) == sorted(GARBAGE)


def test_access_that_cannot_be_logged_is_not_shown(models: Models) -> None:
    (Path(models.url) / "late" / "access").write_text("a file where a folder should be")
    ran = models("show", "v1")
    assert (ran.code, ran.out, "cannot write late/access" in ran.err) == (1, "", True)


def test_text_of_others_cannot_control_a_terminal(models: Models) -> None:
    models("release", "--champion", "v1", "--reason", "\x1b]0;owned\x07 [bold]x[/bold]", "--by", "a\x1b[2Jnn")
    for verb in ("timeline", "access"):
        shown = models(verb).out
        assert "\x1b" not in shown
        assert "[bold]x[/bold]" in shown


def test_store_and_model_come_from_the_job(models: Models, tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text(
        "{job: j, events: {uri: x, format: avro, event_id: id, event_time: t}, features: [delay],"
        f" model: {{name: late, store: {models.url}, poll: 1m}}}}"
    )
    found = halflife("models", "list", "--job", job, "--json").json
    assert len(found["versions"]) == 3
    other = halflife("models", "list", "--job", job, "--set", "model.name=early", "--json")
    assert (other.code, other.err.startswith("halflife: model.name: 'early' is not allowed; ")) == (2, True)


def test_store_must_be_named(models: Models) -> None:
    ran = halflife("models", "list", "--store", models.url)
    wanted = "a value, or --job FILE to take it from, or HALFLIFE_JOB in the environment"
    assert (ran.code, ran.err) == (2, f"halflife: --model: missing; expected: {wanted}\n")
    assert halflife("models", "list", "--store", "memory://x", "--model", "late").code == 2
    assert halflife("models", "timeline", "--store", "ftp://x", "--model", "late").code == 2


def test_unknown_verb_is_one_line(models: Models) -> None:
    ran = halflife("models", "publsh")
    assert (ran.code, ran.err.count("\n")) == (2, 1)
    assert "verb 'publsh' is not known" in ran.err
    assert ran.err.endswith("did you mean publish?\n")
    assert halflife("models", "--help").code == 0
    assert "a verb is missing" in halflife().err
