"""`halflife models withdraw`, in a local folder and on a real S3 server: a version that no release names is withdrawn
for good."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.store.backends import Backend, StoreUnavailable
from models.store.store import ModelStore
from models.store.withdrawals import StillReleased
from tests.models.bundle_folders import document
from tests.pipeline.commands.commands import Models
from tests.s3.test_models_story import at_once

WHO = ("--by", "ann", "--reason", "wrong labels")
LATER = ("--from", "2099-01-01T00:00:00Z", "--no_check")


def put(models: Models, folder: Path, version: str) -> str:
    """Publish a version with a payload; returns its digest."""
    folder.mkdir(exist_ok=True)
    (folder / "part").mkdir(exist_ok=True)
    (folder / "part" / "notes.txt").write_bytes(b"notes")
    return models.store.publish(folder, document(version=version)).digest


def keys(models: Models) -> list[str]:
    """What the store holds besides its access log."""
    listed = [key for key, _ in models.store._backend.list("late")]
    return [key.removeprefix("late/") for key in listed if not key.startswith("late/access/")]


def test_version_is_withdrawn_and_its_name_is_used_up(models: Models, tmp_path: Path) -> None:
    digest = put(models, tmp_path / "b", "v1")
    said = models.json("withdraw", "v1", *WHO)
    assert [said[key] for key in ("withdrawn", "version", "digest", "by", "reason")] == [
        True, "v1", digest, "ann", "wrong labels",
    ]  # fmt: skip
    assert keys(models) == ["withdrawn/v1.json"]
    entry = models.json("access", "--action", "withdraw")["entries"][0]
    assert [entry[key] for key in ("actor", "version", "digest", "reason")] == ["ann", "v1", digest, "wrong labels"]
    models.store._backend.create("late/versions/v2/manifest.json", b"{}")
    [first, second] = models.json("list")["versions"]
    assert (first["withdrawn"]["by"], first["digest"], second["version"]) == ("ann", digest, "v2")
    assert "was withdrawn at 2" in models("list").out


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (("release", "--champion", "v1"), "expected: a published version"),
        (("release", "--champion", "v2", "--shadow", "v1", "--no_check"), "expected: a published version"),
        (("check", "v1"), "incomplete:"),
        (("show", "v1"), "another version"),
    ],
)
def test_every_verb_says_that_it_was_withdrawn(
    models: Models, tmp_path: Path, words: tuple[str, ...], allowed: str
) -> None:
    put(models, tmp_path / "b", "v1")
    put(models, tmp_path / "b", "v2")
    models.json("withdraw", "v1", *WHO)
    ran = models(*words)
    assert (ran.code, ran.err.count("\n"), models.store.releases()) == (1, 1, [])
    assert "version 'v1' of 'late' was withdrawn at 2" in ran.err
    assert "by ann: wrong labels" in ran.err
    assert allowed in ran.err


def test_withdrawn_name_is_not_published_again(models: Models, tmp_path: Path) -> None:
    put(models, tmp_path / "b", "v1")
    models.json("withdraw", "v1", *WHO)
    with pytest.raises(Exception, match=r"was withdrawn at .* by ann: wrong labels; expected: a version name that was"):
        put(models, tmp_path / "b", "v1")
    ran = models("publish", "--scorer", "openinference", "--version", "v1", "--input", "a:number",
                "--output", "probability", "--trained_at", "now", "--no_check")  # fmt: skip
    assert (ran.code, "was withdrawn" in ran.err) == (1, True)
    assert keys(models) == ["withdrawn/v1.json"]


@pytest.mark.parametrize(
    "words",
    [("--champion", "v1"), ("--champion", "v2", "--shadow", "v1"), ("--champion", "v2", "--challenger", "v1=0")],
    ids=["champion", "shadow", "challenger"],
)
@pytest.mark.parametrize("start", [LATER, ("--from", "2013-01-01T00:00:00Z", "--no_check")], ids=["scheduled", "past"])
def test_version_that_a_release_names_is_not_withdrawn(
    models: Models, tmp_path: Path, words: tuple[str, ...], start: tuple[str, ...]
) -> None:
    put(models, tmp_path / "b", "v1")
    put(models, tmp_path / "b", "v2")
    for _ in range(2):
        assert models("release", *words, *start).code == 0
    assert models("release", "--champion", "v2", "--no_check").code == 0  # another release is in force
    before = keys(models)
    ran = models("withdraw", "v1")
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "version 'v1' of 'late' is named by releases 1, 2; expected" in ran.err
    assert keys(models) == before


def test_begun_upload_is_withdrawn_and_an_unknown_name_is_refused(models: Models, tmp_path: Path) -> None:
    put(models, tmp_path / "b", "v1")
    models.store._backend.create("late/claims/v7.json", b"{}")
    models.store._backend.create("late/versions/v8/large.bin", b"half")
    assert [models("withdraw", version).code for version in ("v7", "v8", "v9", "../v1")] == [0, 0, 1, 1]
    assert "'v9' of 'late' does not exist" in models("withdraw", "v9").err
    assert models.store.versions() == ["v1"]
    assert [key for key in keys(models) if "v1" not in key] == ["withdrawn/v7.json", "withdrawn/v8.json"]


def dies_at(monkeypatch: pytest.MonkeyPatch, write: int) -> None:
    """From the n-th change on, the store does not answer."""
    count = 0

    def failing(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(self: Backend, key: str, *content: Any) -> Any:
            nonlocal count
            count += 1
            if count >= write:
                raise StoreUnavailable("gone")
            return change(self, key, *content)

        return changed

    for name in ("create", "delete"):
        monkeypatch.setattr(Backend, name, failing(getattr(Backend, name)))


@pytest.mark.parametrize("write", range(1, 6))
def test_interrupted_withdrawal_is_completed_by_the_same_command(
    models: Models, tmp_path: Path, write: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = put(models, tmp_path / "b", "v1")
    with monkeypatch.context() as during:
        dies_at(during, write)
        assert models("withdraw", "v1", *WHO).code == 1
    burnt = write > 1
    assert models("release", "--champion", "v1", *LATER).code == (1 if burnt else 0)
    if not burnt:
        return
    for entry in models.json("list")["versions"]:
        assert entry["withdrawn"]["by"] == "ann"
        assert ("withdraw it again" in entry["problem"]) == ("versions/v1/manifest.json" in keys(models))
    assert models.json("withdraw", "v1", "--by", "bob")["digest"] == digest
    assert keys(models) == ["withdrawn/v1.json"]
    assert models.json("access", "--action", "withdraw")["entries"] != []
    assert models.json("withdraw", "v1")["by"] == "ann"


def meanwhile(monkeypatch: pytest.MonkeyPatch, key: str, act: Callable[[], object]) -> None:
    """Do something right after the object of that key has been created."""
    create = Backend.create

    def created(self: Backend, made: str, content: Any) -> bool:
        done = create(self, made, content)
        if made == key:
            monkeypatch.setattr(Backend, "create", create)
            act()
        return done

    monkeypatch.setattr(Backend, "create", created)


def test_release_that_is_written_meanwhile_wins(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(models, tmp_path / "b", "v1")
    draft = models.store.draft_release(champion="v1", effective_from_us=0, by="bob")
    meanwhile(monkeypatch, "late/withdrawn/v1.json", lambda: models.store.append(draft))
    ran = models("withdraw", "v1")
    assert (ran.code, "is named by release 1;" in ran.err) == (1, True)
    assert models.json("check", "v1")["admitted"]
    assert "withdrawn/v1.json" not in keys(models)


def test_release_of_what_was_withdrawn_meanwhile_says_so(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(models, tmp_path / "b", "v1")

    def burnt() -> None:  # what a withdrawal has done by now if it read the releases earlier
        models.store._backend.create("late/withdrawn/v1.json", b'{"by": "ann"}')

    meanwhile(monkeypatch, "late/releases/00000001.json", burnt)
    ran = models("release", "--champion", "v1", *LATER)
    assert (ran.code, ran.err.count("\n")) == (1, 1)
    assert "release 1 is written, but its version 'v1' was withdrawn by ann; next: release another version" in ran.err


def test_release_left_behind_by_a_crash_makes_the_version_whole_again(models: Models, tmp_path: Path) -> None:
    put(models, tmp_path / "b", "v1")
    models.store.append_release(champion="v1", effective_from_us=0, by="bob")
    models.store._backend.create("late/withdrawn/v1.json", b"no json")
    with pytest.raises(StillReleased):
        models.store.withdraw("v1", "ann")
    assert models("release", "--champion", "v1", *LATER).code == 0


def test_version_that_is_published_while_its_name_is_withdrawn_does_not_come_back(
    models: Models, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(models, tmp_path / "b", "v1")
    other = ModelStore(models.url, models.model)
    meanwhile(monkeypatch, "late/versions/v2/part/notes.txt", lambda: other.withdraw("v2", "ann"))
    with pytest.raises(Exception, match="was withdrawn"):
        put(models, tmp_path / "b", "v2")
    assert [key for key in keys(models) if "v2" in key] == ["withdrawn/v2.json"]


def test_of_a_racing_release_and_withdrawal_never_both_succeed(models: Models, tmp_path: Path) -> None:
    versions = [f"v{number}" for number in range(3)]
    for version in versions:
        put(models, tmp_path / "b", version)
    racers = [words for v in versions for words in (("release", "--champion", v, *LATER), ("withdraw", v))]
    codes = [code for code, _ in at_once(models, racers)]
    there = models.store.versions()
    for number, version in enumerate(versions):
        released, withdrawn = codes[2 * number : 2 * number + 2]
        assert (released, withdrawn) != (0, 0)
        assert (version in there) == (withdrawn != 0)
