"""Numbers that many valid files use up, and withdrawal markers that no withdrawal wrote: neither stops a verb."""

import json
from pathlib import Path

import pytest

from tests.pipeline.commands.commands import Models
from tests.pipeline.commands.releasing.test_store_hygiene import NEW, OLD, go_on, put


def chain(models: Models, numbers: list[int]) -> None:
    """Copies of release 1 under these numbers, each valid by itself."""
    for number in numbers:
        put(models, f"{number:08d}.json")


@pytest.mark.parametrize(
    "numbers",
    [
        [*range(1_000_001, 99_000_002, 1_000_000), 99_999_999],
        [*range(1_000_001, 1_000_001 + 1_001 * 20, 1_001)],
        [1_000_001, 50_000_000, 99_999_998, 99_999_999],
    ],
    ids=["steps of a million", "steps of 1,001", "four steps"],
)
def test_chain_of_valid_files_uses_up_no_numbers(models: Models, numbers: list[int]) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    chain(models, numbers)
    assert go_on(models) == [2, 3]
    shown = models.json("timeline")
    assert [each["sequence"] for each in shown["broken"]] == numbers
    assert "1000 after the last valid release" in shown["broken"][-1]["problem"]


def test_history_with_holes_stays_valid(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    numbers = [4, 5, 900, 400_000, 1_000_000, 1_000_001, 1_001_001, 1_001_500]
    chain(models, numbers)
    assert go_on(models) == [1_001_501, 1_001_502]
    assert models.json("timeline")["broken"] == []


def test_unreadable_files_that_take_every_number_within_reach_are_named(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    chain(models, [1_000_000])
    for number in range(1_000_001, 1_001_001):
        (Path(models.url) / "late" / "releases" / f"{number:08d}.json").write_text("{}")
    ran = models("release", "--champion", "v2", "--from", NEW)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "the numbers 1000001 to 1001000 after the last valid release are taken by files" in ran.err
    assert "next: halflife models timeline" in ran.err


INVALID = {
    "an empty mapping": "{}",
    "no JSON": "no json",
    "of another version": json.dumps({"version": "v2", "at": OLD, "by": "ann", "reason": "", "digest": None}),
    "without who": json.dumps({"version": "v1", "at": OLD, "reason": "", "digest": None}),
    "at no time": json.dumps({"version": "v1", "at": "0000-01-01T00:00:00Z", "by": "ann"}),
}


def mark(models: Models, version: str, text: str) -> None:
    folder = Path(models.url) / "late" / "withdrawn"
    folder.mkdir(exist_ok=True)
    (folder / f"{version}.json").write_text(text)


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_invalid_mark_is_reported_and_not_obeyed(models: Models, text: str) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    mark(models, "v1", text)
    assert go_on(models) == [2, 3]
    assert models("release", "--champion", "v1").code == 0
    listed = models.json("list")
    assert [each["key"] for each in listed["broken"]] == ["late/withdrawn/v1.json"]
    assert "withdrawn" not in listed["versions"][0]
    assert "late/withdrawn/v1.json: " in models("list").err


@pytest.mark.parametrize("text", INVALID.values(), ids=INVALID)
def test_invalid_mark_is_replaced_by_a_withdrawal(models: Models, text: str) -> None:
    mark(models, "v1", text)
    assert models.json("withdraw", "v1", "--by", "ann", "--reason", "wrong")["reason"] == "wrong"
    assert models.json("list")["broken"] == []
    [first, *_] = models.json("list")["versions"]
    assert (first["version"], first["withdrawn"]["by"]) == ("v1", "ann")


def test_valid_mark_of_a_version_that_a_release_names_stops_no_rollback(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    mark(models, "v1", json.dumps({"version": "v1", "at": OLD, "by": "ann", "reason": "", "digest": None}))
    assert go_on(models) == [2, 3]
    mark(models, "v3", json.dumps({"version": "v3", "at": OLD, "by": "ann", "reason": "", "digest": None}))
    ran = models("release", "--champion", "v3")  # no release names it: it is being withdrawn
    assert (ran.code, "was withdrawn at" in ran.err) == (1, True)


def test_name_with_an_invalid_mark_is_not_published(models: Models, tmp_path: Path) -> None:
    mark(models, "v9", "{}")
    with pytest.raises(Exception, match=r"withdrawn/v9\.json cannot be read.*expected: a version name that was never"):
        models.put(tmp_path / "b", "v9")


def test_verb_of_a_name_with_an_invalid_mark_and_no_manifest_says_that_it_does_not_exist(models: Models) -> None:
    mark(models, "v9", "{}")
    ran = models("release", "--champion", "v9", "--no_check")
    assert (ran.code, "version 'v9' of 'late' does not exist; expected: a published version" in ran.err) == (1, True)
