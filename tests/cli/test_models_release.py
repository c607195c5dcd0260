"""`halflife models release` and `rollback`: what may be released, from when on, and what a rollback goes back to."""

from typing import Any

import pytest

from models.timeline import roles_of
from schemas import times
from tests.cli.commands import Models

OLD, NEW = "2013-03-01T00:00:00Z", "2013-04-01T00:00:00Z"


def champion(models: Models, version: str, *words: object) -> Any:
    return models.json("release", "--champion", version, *words)


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
    (("v1", "--challenger", "v2=0.6", "--challenger", "v3=0.5"), "shares that sum to 1.1"),
    (("v1", "--challenger", "v2=1.5"), "share: 1.5"),
    (("v1", "--challenger", "v1=0.5"), "'v1' in two roles"),
    (("v1", "--challenger", "v2=0.5", "--shadow", "v2"), "'v2' in two roles"),
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
    ((), "the following arguments are required: --champion"),
    (("--champion", "v1", "--challenger", "v2"), "'v2' is not allowed; allowed: VERSION=SHARE"),
    (("--champion", "v1", "--from", "soon"), "'soon' is not allowed; allowed: an RFC 3339 time"),
    (("--champion", "v1", "--poll", "5"), "'5' is not a duration"),
    (("--champion", "v1", "--set", "model.poll=1s"), "--set: 'model.poll=1s' is not allowed; allowed: only together"),
    (("--champion", "v1", "--job", "absent.yaml"), "--job: 'absent.yaml' is not allowed"),
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


def test_rollback_repeats_the_release_that_was_replaced(models: Models) -> None:
    models("release", "--champion", "v1", "--challenger", "v3=0.1", "--salt", "s", "--from", OLD)
    models("release", "--champion", "v2", "--from", NEW)
    written = models.json("rollback", "--by", "bob")
    assert (written["sequence"], written["champion"], written["salt"]) == (3, "v1", "s")
    assert written["challengers"] == [{"version": "v3", "share": 0.1}]
    assert (written["by"], written["reason"]) == ("bob", "rollback from release 2 to release 1")


def test_second_rollback_goes_further_back(models: Models) -> None:
    for version, start in (("v1", OLD), ("v2", NEW), ("v3", "2013-05-01T00:00:00Z")):
        models("release", "--champion", version, "--from", start)
    assert models.json("rollback")["champion"] == "v2"
    assert models.json("rollback")["champion"] == "v1"
    ran = models("rollback")
    assert (ran.code, "release 1 is the first one" in ran.err) == (1, True)


def test_rollback_cancels_a_release_that_is_yet_to_begin(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    models("release", "--champion", "v2", "--from", "2999-01-01T00:00:00Z")
    models.json("rollback")
    assert in_force(models) == {"v1": "champion"}
    assert in_force(models, at="2999-06-01T00:00:00Z") == {"v1": "champion"}


def test_rollback_to_a_sequence(models: Models) -> None:
    for version, start in (("v1", OLD), ("v2", NEW), ("v3", "2013-05-01T00:00:00Z")):
        models("release", "--champion", version, "--from", start)
    assert models.json("rollback", "--to", 1, "--reason", "v2 too")["champion"] == "v1"
    ran = models("rollback", "--to", 9)
    assert (ran.code, ran.err) == (1, "halflife: release 9 is not in the timeline; allowed: 1, 2, 3, 4\n")


def test_rollback_without_a_release_is_refused(models: Models) -> None:
    ran = models("rollback")
    assert (ran.code, ran.err.endswith("has no release to go back from\n")) == (1, True)
