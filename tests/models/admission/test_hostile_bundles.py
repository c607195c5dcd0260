"""Whatever a bundle holds, admission has a verdict on it: nothing that a proof raises ends the job."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from models import scorers
from models.admission.admission import REASONS, Admission
from models.bundles.folders import read_folder_manifest
from models.bundles.manifest import Manifest
from models.bundles.signing import read_public_key
from models.scorers import Scorer
from models.store.store import ModelStore
from schemas.records import ModelEvent, record_batch
from tests.models.broken import new_key
from tests.models.bundle_folders import document, write_bundle
from tests.models.hostile import HOSTILE, LOW, with_profile

Build = Callable[[Path], None]


@pytest.fixture
def trusted(tmp_path: Path) -> str:
    return read_public_key(str(new_key(tmp_path / "trusted").public))


@pytest.mark.parametrize(("build", "reason"), HOSTILE.values(), ids=HOSTILE)
def test_hostile_bundle_is_refused_for_its_reason(tmp_path: Path, trusted: str, build: Build, reason: str) -> None:
    build(tmp_path / "bundle")
    key = trusted if reason == "bad_signature" else None
    verdict = Admission(None, trusted_key=key).check_folder(tmp_path / "bundle")
    assert (verdict.admitted, verdict.reason) == (False, reason)
    assert reason in REASONS
    assert "\n" not in verdict.detail
    told = ModelEvent(1, "refused", "late", "v1", None, 1, "job", reason, json.dumps({"detail": verdict.detail}))
    assert record_batch("ModelEvent", [told]).num_rows == 1


def test_good_profile_is_admitted(tmp_path: Path) -> None:
    with_profile(LOW)(tmp_path / "bundle")
    assert Admission(None).check_folder(tmp_path / "bundle").detail == ""


def test_hostile_bundle_in_a_store_is_refused_too(store: ModelStore, tmp_path: Path) -> None:
    for number, (name, (build, reason)) in enumerate(HOSTILE.items()):
        folder = tmp_path / str(number)
        if reason not in ("golden_mismatch", "will_not_load"):
            continue
        build(folder)
        raw = json.loads((folder / "manifest.json").read_bytes())
        raw.pop("files")
        store.publish(folder, {**raw, "version": f"v{number}"})
        assert (name, Admission(store).check_version(f"v{number}").reason) == (name, reason)


class Panic(BaseException):
    """As the bindings of libraries in Rust raise one."""


class Unprintable(Exception):
    def __str__(self) -> NoReturn:
        raise RuntimeError("no text")


class Surrogate(Exception):
    def __str__(self) -> str:
        return "\udcff"


class RaisingScorer(Scorer):
    """Raises what a test puts there, at loading or at scoring."""

    kind = "raising"
    error: BaseException
    at: str

    @classmethod
    def load(cls, folder: Path, manifest: Manifest) -> "RaisingScorer":
        if cls.at == "load":
            raise cls.error
        return cls()

    def score(self, batch: object) -> NoReturn:
        raise self.error


RAISED = [Panic("panicked"), SystemExit(3), GeneratorExit(), MemoryError(), RecursionError(), Unprintable(),
          Surrogate(), StopIteration(), KeyError("x"), TimeoutError()]  # fmt: skip


@pytest.mark.parametrize(("at", "reason"), [("load", "will_not_load"), ("score", "golden_mismatch")])
@pytest.mark.parametrize("error", RAISED, ids=[type(error).__name__ for error in RAISED])
def test_whatever_a_scorer_raises_is_a_verdict(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException, at: str, reason: str
) -> None:
    monkeypatch.setitem(scorers.BUILT_IN, "raising", f"{__name__}:RaisingScorer")
    RaisingScorer.error, RaisingScorer.at = error, at
    write_bundle(tmp_path, document("raising"))
    verdict = Admission(None).check_folder(tmp_path)
    assert (verdict.admitted, verdict.reason) == (False, reason)
    assert verdict.detail.encode()


def test_manifest_that_is_a_folder_is_none(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").mkdir()
    assert Admission(None).check_folder(tmp_path).reason == "incomplete"


def test_paths_as_long_as_a_disk_holds_are_fine(tmp_path: Path) -> None:
    path = tmp_path / ("é" * 127) / ("x" * 255)
    path.parent.mkdir()
    path.write_text("x")
    write_bundle(tmp_path, document())
    assert read_folder_manifest(tmp_path).files
    assert Admission(None).check_folder(tmp_path).admitted
