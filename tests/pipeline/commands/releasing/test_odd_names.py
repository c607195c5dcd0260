"""Names in a store that are not names of releases or versions: each is reported, none takes a number silently."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.preflight.serving import ServingChecks
from schemas.job import ModelSpec
from tests.pipeline.commands.commands import Models
from tests.pipeline.commands.releasing.test_store_hygiene import OLD, go_on

RELEASES = ["3.json", "100000000.json", "a b.json", "00000005", "00000006.JSON", "-1.json", "٣.json", "readme.txt"]
VERSIONS = ["notes.txt", "bad name!/manifest.json", ".hidden/manifest.json"]


def add(models: Models, key: str) -> None:
    path = Path(models.url) / "late" / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}")


def told(models: Models, verb: str) -> dict[str, str]:
    return {each["key"]: each["problem"] for each in models.json(verb)["broken"] if "key" in each}


@pytest.mark.parametrize("name", RELEASES)
def test_name_that_is_no_release_is_reported(models: Models, name: str) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    add(models, f"releases/{name}")
    assert go_on(models) == [2, 3]
    problem = "a name that no release has; expected: 8 digits and .json, such as 00000007.json"
    assert told(models, "timeline") == {f"late/releases/{name}": problem}
    assert f"late/releases/{name}: {problem}; it is passed over; next: delete it" in models("timeline").err


@pytest.mark.parametrize("name", VERSIONS)
def test_name_that_is_no_version_is_reported(models: Models, name: str) -> None:
    add(models, f"versions/{name}")
    assert list(told(models, "list")) == [f"late/versions/{name.split('/')[0]}"]
    assert len(models.json("list")["versions"]) == 3


@pytest.mark.parametrize("name", ["v9.txt", "a b.json", "V 1.json"])
def test_name_that_is_no_mark_of_a_withdrawal_is_reported(models: Models, name: str) -> None:
    add(models, f"withdrawn/{name}")
    assert list(told(models, "list")) == [f"late/withdrawn/{name}"]


@pytest.mark.parametrize("inside", ["", "/00000007.json", "/below/x"])
def test_folder_under_the_number_of_a_release_is_reported(models: Models, inside: str) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    folder = Path(models.url) / "late" / "releases" / "00000002.json"
    folder.mkdir()
    if inside:
        add(models, f"releases/00000002.json{inside}")
    assert go_on(models) == [3, 4]
    assert models.json("timeline")["broken"] == [
        {"sequence": 2, "problem": "document: a folder; expected: a regular file"}
    ]


def test_folder_instead_of_a_manifest_is_reported(models: Models) -> None:
    (Path(models.url) / "late" / "versions" / "v9" / "manifest.json").mkdir(parents=True)
    assert told(models, "list") == {"late/versions/v9/manifest.json": "a folder; expected: a regular file"}
    assert len(models.json("list")["versions"]) == 3


def test_unfinished_upload_is_not_reported(models: Models) -> None:
    add(models, "versions/v9/part/model.bin")
    (Path(models.url) / "late" / "versions" / "v8").mkdir()
    assert told(models, "list") == {}


def file_named_releases(models: Models) -> str:
    (Path(models.url) / "late" / "releases").write_text("x")
    return "a file"


def pipe_named_releases(models: Models) -> str:
    os.mkfifo(Path(models.url) / "late" / "releases")
    return "a pipe"


@pytest.mark.parametrize("change", [file_named_releases, pipe_named_releases])
def test_releases_that_are_no_folder_are_named_by_every_verb(models: Models, change: Callable[[Models], str]) -> None:
    what = change(models)
    for ran in (models("release", "--champion", "v1", "--no_check"), models("rollback")):
        assert (ran.code, ran.err.count("\n")) == (1, 1)
        assert f"late/releases is {what}; expected: a folder" in ran.err
    assert told(models, "timeline") == {"late/releases": f"{what}; expected: a folder"}


def test_doctor_reports_each_odd_name(models: Models) -> None:
    models("release", "--champion", "v1", "--from", OLD)
    for key in ("releases/3.json", "versions/notes.txt", "withdrawn/a b.json", "withdrawn/v1.json"):
        add(models, key)
    spec = ModelSpec(models.model, models.url, 1_000_000, False, 2**30)
    found = list(ServingChecks(spec, None, None, False, 0, "j").check())
    warned = [each.found for each in found if each.verdict == "warn"]
    for key in ("releases/3.json", "versions/notes.txt", "withdrawn/a b.json", "withdrawn/v1.json"):
        assert any(each.startswith(f"late/{key}: ") for each in warned), warned
