"""Objects that should not be in a store are reported; they stop neither a verb nor a later release."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.pipeline.commands.commands import Models

OLD, NEW = "2013-03-01T00:00:00Z", "2013-04-01T00:00:00Z"


def put(models: Models, name: str, **changes: Any) -> None:
    """A copy of release 1 under another name, changed."""
    folder = Path(models.url) / "late" / "releases"
    document = json.loads((folder / "00000001.json").read_bytes())
    (folder / name).write_text(json.dumps({**document, "sequence": int(name[:8]), **changes}))


def go_on(models: Models) -> list[int]:
    """The sequences of a release and a rollback, both of which must work."""
    ran = [models("release", "--champion", "v2", "--from", NEW, "--json"), models("rollback", "--json")]
    assert [each.code for each in ran] == [0, 0], ran
    return [each.json["sequence"] for each in ran]


def empty_object(models: Models) -> None:
    (Path(models.url) / "late" / "releases" / "99999999.json").write_text("{}")


def no_json(models: Models) -> None:
    (Path(models.url) / "late" / "releases" / "99999999.json").write_text("not json")


def valid_but_last(models: Models) -> None:
    put(models, "99999999.json")


def valid_but_far(models: Models) -> None:
    put(models, "05000000.json")


FAR_AHEAD = [(empty_object, 99999999), (no_json, 99999999), (valid_but_last, 99999999), (valid_but_far, 5000000)]


@pytest.mark.parametrize(("change", "sequence"), FAR_AHEAD, ids=[change.__name__ for change, _ in FAR_AHEAD])
def test_file_with_a_number_far_ahead_uses_up_no_numbers(
    models: Models, change: Callable[[Models], None], sequence: int
) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    change(models)
    assert go_on(models) == [2, 3]
    shown = models.json("timeline")
    assert [each["sequence"] for each in shown["broken"]] == [sequence]
    assert [each["sequence"] for each in shown["releases"]] == [1, 2, 3]


TIMES = [
    ("effective_from", "0000-01-01T00:00:00Z"),
    ("effective_from", "9999-12-31T23:59:59-05:00"),
    ("effective_from", "10000-01-01T00:00:00Z"),
    ("effective_from", "0001-01-01T00:00:00+14:00"),
    ("at", "9999-12-31T23:59:59-00:01"),
    ("at", "0001-01-01T00:00:00+00:01"),
]


@pytest.mark.parametrize(("key", "time"), TIMES, ids=[f"{key} {time}" for key, time in TIMES])
def test_time_that_no_calendar_has_makes_its_release_unreadable_and_no_other(
    models: Models, key: str, time: str
) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    put(models, "00000002.json", **{key: time})
    assert go_on(models) == [3, 4]
    problem = models.json("timeline")["broken"][0]["problem"]
    assert problem.startswith(f"{key}: '{time}' is not allowed; expected: an RFC 3339 time such as 2013-03-01T")
    assert models("timeline").code == 0


@pytest.mark.parametrize("time", ["9999-12-31T23:59:59-05:00", "0001-01-01T00:00:00+01:00", "0000-01-01T00:00:00Z"])
def test_time_that_no_calendar_has_is_bad_usage(models: Models, time: str) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    for verb, option in (("release", "--from"), ("rollback", "--from"), ("timeline", "--at")):
        champion = ("--champion", "v1") if verb == "release" else ()
        ran = models(verb, *champion, option, time)
        assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
        assert f"'{time}' is not allowed; expected: an RFC 3339 time" in ran.err


def test_last_second_of_the_calendar_is_a_time_like_others(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    models("release", "--champion", "v2", "--from", "9999-12-31T23:59:59Z")
    assert models.json("rollback", "--to", "1")["neutralised"][0]["effective_from"] == "9999-12-31T23:59:59Z"
    assert models("timeline", "--at", "9999-12-31T23:59:59.999999Z").code == 0


def pipe(folder: Path) -> str:
    os.mkfifo(folder / "pipe.json")
    return "pipe.json"


def link_to_itself(folder: Path) -> str:
    (folder / "loop").symlink_to("loop")
    return "loop"


def links_to_each_other(folder: Path) -> str:
    (folder / "one").symlink_to("two")
    (folder / "two").symlink_to("one")
    return "two"


def link_to_the_folder_above(folder: Path) -> str:
    (folder / "above").symlink_to("..")
    return "above"


def link_to_nothing(folder: Path) -> str:
    (folder / "gone").symlink_to("/nowhere/at/all")
    return "gone"


def name_of_no_text(folder: Path) -> str:
    with open(os.fsencode(folder) + b"/\xff.json", "wb"):
        pass
    return "\\udcff.json"


def name_with_a_line_end(folder: Path) -> str:
    (folder / "a\nb").mkdir()
    return "a\\nb"


def device(folder: Path) -> str:
    (folder / "zero").symlink_to("/dev/zero")
    return "zero"


ODD = (pipe, link_to_itself, links_to_each_other, link_to_the_folder_above, link_to_nothing, name_of_no_text,
       name_with_a_line_end, device)  # fmt: skip
VERBS = {"releases": "timeline", "versions": "list", "access": "access", "versions/v1": "list"}


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("folder", VERBS)
def test_odd_file_is_reported_and_stops_no_verb(models: Models, change: Callable[[Path], str], folder: str) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    name = change(Path(models.url) / "late" / folder)
    assert go_on(models) == [2, 3]
    told = [each.get("key") for each in models.json(VERBS[folder])["broken"]]
    assert f"late/{folder}/{name}" in told
    assert len(models.json("list")["versions"]) == 3
    assert [each["sequence"] for each in models.json("timeline")["releases"]] == [1, 2, 3]
    assert [models(verb).code for verb in ("list", "timeline", "access")] == [0, 0, 0]
    assert f"{name}: " in models(VERBS[folder]).err or VERBS[folder] == "access"


@pytest.mark.parametrize("change", ODD)
@pytest.mark.parametrize("folder", ["", "late"])
def test_odd_file_beside_models_hides_none(models: Models, change: Callable[[Path], str], folder: str) -> None:
    change(Path(models.url) / folder)
    assert models.store.models() == ["late"]


@pytest.mark.parametrize("change", [pipe, link_to_itself, device])
def test_odd_file_under_the_number_of_a_release_is_unreadable(models: Models, change: Callable[[Path], str]) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    folder = Path(models.url) / "late" / "releases"
    (folder / change(folder)).rename(folder / "00000002.json")
    assert go_on(models) == [3, 4]
    [told] = models.json("timeline")["broken"]
    assert (told["sequence"], told["problem"].endswith("; expected: a regular file")) == (2, True)


def test_version_behind_a_link_is_listed_beside_an_odd_file(models: Models, tmp_path: Path) -> None:
    versions = Path(models.url) / "late" / "versions"
    (versions / "v1").rename(tmp_path / "elsewhere")
    (versions / "v1").symlink_to(tmp_path / "elsewhere")
    pipe(versions)
    assert [each["version"] for each in models.json("list")["versions"]] == ["v1", "v2", "v3"]


def test_folders_within_folders_cannot_end_a_listing(models: Models) -> None:
    deep = Path(models.url) / "late" / "versions" / "v1"
    inside = os.open(deep, os.O_RDONLY)
    for _ in range(600):
        os.mkdir("d", dir_fd=inside)
        inside, above = os.open("d", os.O_RDONLY, dir_fd=inside), inside
        os.close(above)
    os.close(inside)
    assert [each["version"] for each in models.json("list")["versions"]] == ["v1", "v2", "v3"]
