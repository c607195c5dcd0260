"""`halflife models withdraw` on a local store: links in it, and what doctor says of a withdrawn version."""

from pathlib import Path

import pytest

from pipeline.preflight.serving import ServingChecks
from schemas.job import ModelSpec
from tests.pipeline.commands.commands import Models


@pytest.mark.parametrize("inside", ["", "part"], ids=["the version", "a folder of it"])
def test_files_behind_a_link_are_left_alone(models: Models, tmp_path: Path, inside: str) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "manifest.json").write_text("{}")
    (Path(models.url) / "late" / "versions" / "v9" / "x").mkdir(parents=True)
    link = Path(models.url) / "late" / "versions" / ("v9/part" if inside else "v8")
    link.symlink_to(mine)
    ran = models("withdraw", "v9" if inside else "v8")
    assert (ran.code, f"{link} is a link; expected: a version's own files" in ran.err) == (1, True), ran
    assert (mine / "manifest.json").exists()
    assert models.json("withdraw", "v1")["withdrawn"]


def test_folder_of_a_withdrawn_version_is_gone(models: Models) -> None:
    models.json("withdraw", "v1")
    assert sorted(path.name for path in (Path(models.url) / "late" / "versions").iterdir()) == ["v2", "v3"]


def test_unreadable_release_is_reported_and_delays_nothing(models: Models) -> None:
    models.store._backend.create("late/releases/00000001.json", b"no json")
    ran = models("withdraw", "v1", "--json")
    assert (ran.code, ran.json["withdrawn"]) == (0, True)
    assert "release 1 cannot be read, so nobody knows whether it names 'v1'" in ran.err


def test_doctor_advises_another_version(models: Models) -> None:
    models.store.append_release(champion="v1", effective_from_us=0, by="bob")
    (Path(models.url) / "late" / "versions" / "v1" / "manifest.json").unlink()
    models.store._backend.create("late/withdrawn/v1.json", b'{"by": "ann", "reason": "wrong labels"}')
    spec = ModelSpec(models.model, models.url, 1_000_000, False, 2**30)
    [found] = [each for each in ServingChecks(spec, None, None, False, 0, "job").check() if each.check == "version v1"]
    assert "version 'v1' of 'late' was withdrawn by ann: wrong labels" in found.found
    assert found.change == "release another version"


@pytest.mark.parametrize("words", [(), ("v1", "v2"), ("v1", "--to", "3")])
def test_bad_usage_is_one_line(models: Models, words: tuple[str, ...]) -> None:
    ran = models("withdraw", *words)
    assert (ran.code, ran.err.count("\n")) == (2, 1)
