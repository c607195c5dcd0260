"""`halflife models rollback`: what it goes back to, what it skips, and what it neutralises."""

from pathlib import Path
from typing import Any

import pytest

from models.releases.timeline import release_in_force, roles_of
from schemas import times
from tests.pipeline.commands.commands import Models
from tests.pipeline.commands.releasing.test_models_release import put_refused

OLD, NEW, NEWER = "2013-03-01T00:00:00Z", "2013-04-01T00:00:00Z", "2013-05-01T00:00:00Z"
LATER, LATEST = "2999-01-01T00:00:00Z", "2999-02-01T00:00:00Z"
EVENTS = (OLD, NEW, NEWER)


def history(models: Models, *versions: str) -> None:
    """Releases of these versions, one after another in the past."""
    for version, start in zip(versions, EVENTS, strict=False):
        models("release", "--champion", version, "--from", start)


def champion_at(models: Models, at: str) -> str:
    found = release_in_force(models.store.releases(), times.parse_instant_us(at))
    assert found is not None
    return found.champion


def test_rollback_repeats_the_release_before_the_one_in_force(models: Models) -> None:
    models("release", "--champion", "v1", "--challenger", "v3=0.1", "--salt", "s", "--from", OLD)
    models("release", "--champion", "v2", "--from", NEW)
    written = models.json("rollback", "--by", "bob")
    assert (written["sequence"], written["champion"], written["salt"]) == (3, "v1", "s")
    assert written["challengers"] == [{"version": "v3", "share": 0.1}]
    assert (written["by"], written["reason"]) == ("bob", "rollback from release 2 to release 1")
    assert (written["evidence"], written["skipped"], written["neutralised"]) == ("rollback:1", [], [])


def test_rollback_takes_effect_two_polls_from_now(models: Models) -> None:
    history(models, "v1", "v2")
    before = times.now_us()
    start_us = times.parse_instant_us(models.json("rollback", "--poll", "1m")["effective_from"])
    assert before + 120e6 <= start_us <= times.now_us() + 120e6


def test_second_rollback_goes_further_back(models: Models) -> None:
    history(models, "v1", "v2", "v3")
    assert models.json("rollback")["champion"] == "v2"
    assert models.json("rollback")["champion"] == "v1"
    ran = models("rollback")
    assert (ran.code, "nothing before it to go back to" in ran.err) == (1, True)


def test_scheduled_release_does_not_bring_the_bad_version_back(models: Models) -> None:
    history(models, "v1", "v2")
    models("release", "--champion", "v2", "--challenger", "v3=50%", "--from", LATER)
    written = models.json("rollback")
    assert written["champion"] == "v1"
    assert written["neutralised"] == [{"release": 3, "champion": "v2", "effective_from": LATER, "by": 5}]
    assert (written["written"], written["taken_over_by"]) == ([4, 5], None)
    [last] = models.store.releases(after=4)
    assert (roles_of(last), last.evidence) == ({"v1": "champion"}, "rollback:1; neutralises:3")
    assert last.reason == "rollback from release 2 to release 1; neutralises release 3"
    assert champion_at(models, LATER) == champion_at(models, LATEST) == "v1"


def test_every_scheduled_release_is_neutralised_once_a_time(models: Models) -> None:
    history(models, "v1", "v2")
    for version, start in (("v2", LATER), ("v3", LATER), ("v3", LATEST)):
        models("release", "--champion", version, "--from", start)
    ran = models("rollback")
    assert ran.err.splitlines() == [
        f"halflife: release 4, scheduled for {LATER}, is neutralised by release 7 with the same roles",
        f"halflife: release 5, scheduled for {LATEST}, is neutralised by release 8 with the same roles",
    ]
    assert [champion_at(models, at) for at in (NEWER, LATER, LATEST)] == ["v2", "v1", "v1"]


def test_scheduled_before_the_rollback_begins_never_serves(models: Models) -> None:
    history(models, "v1", "v2")
    soon_us = times.now_us() + 300_000_000
    soon = models.json("release", "--champion", "v3", "--from", times.format_time_us(soon_us))["effective_from"]
    models.json("rollback", "--poll", "1h")
    assert champion_at(models, soon) == "v1"


def test_scheduled_releases_are_kept_where_asked(models: Models) -> None:
    history(models, "v1", "v2")
    models("release", "--champion", "v3", "--from", LATER)
    written = models.json("rollback", "--keep_scheduled")
    assert (written["written"], written["neutralised"]) == ([4], [])
    assert written["taken_over_by"] == {"release": 3, "champion": "v3", "effective_from": LATER}
    assert champion_at(models, LATEST) == "v3"


def test_second_rollback_takes_the_scheduled_ones_along(models: Models) -> None:
    history(models, "v1", "v2", "v3")
    models("release", "--champion", "v3", "--from", LATER)
    models.json("rollback")
    written = models.json("rollback")
    assert (written["champion"], champion_at(models, LATEST)) == ("v1", "v1")
    assert [each["release"] for each in written["neutralised"]] == [6]


def test_second_rollback_that_begins_sooner_is_not_undone_by_the_first(models: Models) -> None:
    history(models, "v1", "v2", "v3")
    models.json("rollback", "--poll", "1h")
    models.json("rollback", "--poll", "1s")
    assert champion_at(models, LATEST) == "v1"
    assert models("rollback").code == 1


def test_rollback_after_the_scheduled_time_does_not_return_to_what_was_neutralised(models: Models) -> None:
    history(models, "v1", "v2")
    models("release", "--champion", "v2", "--from", NEWER)
    for evidence, start in (("rollback:1", "2013-04-15T00:00:00Z"), ("rollback:1; neutralises:3", NEWER)):
        models("release", "--champion", "v1", "--from", start, "--evidence", evidence)
    models("release", "--champion", "v3", "--from", "2013-06-01T00:00:00Z")
    written = models.json("rollback")
    assert (written["champion"], written["evidence"]) == ("v1", "rollback:1")
    assert models("rollback").code == 1


def test_first_release_has_nothing_before_it(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    models("release", "--champion", "v2", "--from", LATER)
    ran = models("rollback")
    assert (ran.code, ran.out, ran.err.count("\n")) == (1, "", 1)
    assert "release 1 is in force: nothing before it to go back to; release 2 takes effect at 2" in ran.err
    assert ": --to 1 prevents that; expected: --to SEQUENCE" in ran.err
    assert models.json("rollback", "--to", 1)["champion"] == "v1"
    assert champion_at(models, LATEST) == "v1"


def test_version_that_may_not_serve_is_skipped_and_named(models: Models, tmp_path: Path) -> None:
    put_refused(models, tmp_path, "bad")
    history(models, "v1")
    models("release", "--champion", "v1", "--shadow", "bad", "--from", NEW, "--no_check")
    models("release", "--champion", "v2", "--from", NEWER)
    written = models.json("rollback")
    assert (written["champion"], written["evidence"]) == ("v1", "rollback:1")
    [skipped] = written["skipped"]
    assert (skipped["release"], skipped["version"], skipped["reason"]) == (2, "bad", "golden_mismatch")


def test_version_whose_files_are_gone_is_skipped(models: Models, tmp_path: Path) -> None:
    history(models, "v1", "v2", "v3")
    (tmp_path / "store" / "late" / "versions" / "v2" / "manifest.json").unlink()
    ran = models("rollback")
    assert (ran.code, "release 2 is passed over: version 'v2': incomplete" in ran.err) == (0, True)
    assert models.store.releases()[-1].champion == "v1"


def test_rollback_without_a_check_says_so(models: Models, tmp_path: Path) -> None:
    put_refused(models, tmp_path, "bad")
    models("release", "--champion", "bad", "--from", OLD, "--no_check")
    models("release", "--champion", "v2", "--from", NEW)
    ran = models("rollback")
    assert (ran.code, "release 1 is passed over: version 'bad': golden_mismatch" in ran.err) == (1, True)
    ran = models("rollback", "--to", 1)
    assert (ran.code, "not rolled back: version 'bad': golden_mismatch" in ran.err) == (1, True)
    assert models.json("rollback", "--no_check")["evidence"] == "rollback:1; no_check"


def test_rollback_to_a_sequence(models: Models) -> None:
    history(models, "v1", "v2", "v3")
    assert models.json("rollback", "--to", 1, "--reason", "v2 too")["champion"] == "v1"
    ran = models("rollback", "--to", 9)
    assert (ran.code, ran.err) == (1, "halflife: release 9 is not in the timeline; allowed: 1, 2, 3, 4\n")


def test_rollback_without_a_release_is_refused(models: Models) -> None:
    ran = models("rollback")
    assert ran.code == 1
    assert ran.err.endswith("has no release to go back from; next: halflife models release --champion VERSION\n")


@pytest.mark.parametrize("evidence", [("rollback:2", "rollback:1"), ("rollback:1", "rollback:2"), ("rollback:9", "")])
def test_evidence_that_others_wrote_causes_no_cycle(models: Models, evidence: tuple[str, str]) -> None:
    for version, start, text in zip(("v1", "v2"), EVENTS, evidence, strict=False):
        models("release", "--champion", version, "--from", start, "--evidence", text)
    found: Any = models("rollback", "--json")
    assert found.code in (0, 1)


def test_rollback_from_a_time_in_the_past_undoes_what_serves_since(models: Models) -> None:
    history(models, "v1", "v2")
    ran = models("rollback", "--from", "2013-03-15T00:00:00Z")
    assert ran.code == 0
    assert champion_at(models, LATEST) == "v1"
