"""Every reason a bundle is refused for, with a bundle that is broken in just that way."""

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import pytest

from models.admission.admission import REASONS, Admission, Refusal
from models.errors import StoreError
from models.releases.release import AdmittedRelease, Challenger, Release
from models.store.backends import Backend
from models.store.store import ModelStore
from tests.models.broken import BROKEN, good, pickled, wrong_inputs
from tests.models.bundle_folders import COLUMNS, document, with_golden, write_bundle


@pytest.mark.parametrize(("build", "reason", "detail"), BROKEN, ids=[build.__name__ for build, _, _ in BROKEN])
def test_broken_bundle_is_refused_for_its_own_reason(
    tmp_path: Path, build: Callable[[Path], None], reason: str, detail: str
) -> None:
    build(tmp_path / "bundle")
    verdict = Admission(None, COLUMNS).check_folder(tmp_path / "bundle")
    assert (verdict.admitted, verdict.reason) == (False, reason)
    assert reason in REASONS
    assert detail in verdict.detail
    assert "\n" not in verdict.detail


def test_good_bundle_is_admitted(tmp_path: Path) -> None:
    good(tmp_path / "bundle")
    verdict = Admission(None, COLUMNS).check_folder(tmp_path / "bundle")
    assert verdict.admitted
    assert verdict.manifest is not None
    assert verdict.digest == verdict.manifest.digest


def test_too_large_bundle_is_refused(tmp_path: Path) -> None:
    good(tmp_path / "bundle")
    verdict = Admission(None, COLUMNS, max_bytes=10).check_folder(tmp_path / "bundle")
    assert verdict.reason == "too_large"
    assert verdict.detail.endswith("allowed: at most 10")


def test_columns_are_only_compared_where_they_are_known(tmp_path: Path) -> None:
    wrong_inputs(tmp_path / "bundle")
    assert Admission(None).check_folder(tmp_path / "bundle").admitted


def test_pickle_is_admitted_only_where_allowed(tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    pickled(folder)
    assert Admission(None).check_folder(folder).reason == "will_not_load"
    assert Admission(None, allow_pickle=True).check_folder(folder).admitted


GOLDEN = {"inputs": {"delay": 1.0}, "score": 0.5}
BAD_GOLDEN: list[tuple[str, str]] = [
    ("", "is empty"),
    ("{", "line 1: Expecting property name enclosed in double quotes"),
    (json.dumps({"inputs": {"delay": 1.0}}), "line 1 is not allowed"),
    (json.dumps({**GOLDEN, "score": "high"}), "line 1: score 'high'"),
    ('{"inputs": {"delay": 1.0}, "score": NaN}', "line 1: score nan"),
    (json.dumps({**GOLDEN, "inputs": {}}), "line 1 has no input 'delay'"),
    (json.dumps({**GOLDEN, "inputs": {"delay": 1.0, "x": 1}}), "has an unknown input 'x'"),
    (json.dumps({**GOLDEN, "inputs": {"delay": "late"}}), "input 'delay': Could not convert 'late'"),
    (json.dumps({**GOLDEN, "inputs": {"delay": None}}), "line 1: null"),
]


@pytest.mark.parametrize(("content", "detail"), BAD_GOLDEN, ids=[detail for _, detail in BAD_GOLDEN])
def test_golden_file_that_says_something_else_is_refused(tmp_path: Path, content: str, detail: str) -> None:
    (tmp_path / "golden.jsonl").write_text(content)
    terms = {"intercept": 0, "coefficients": {"delay": 1}}
    inputs = [{"name": "delay", "type": "number"}]
    write_bundle(tmp_path, document(inputs=inputs, linear=terms, golden={"file": "golden.jsonl"}))
    verdict = Admission(None).check_folder(tmp_path)
    assert verdict.reason == "golden_mismatch"
    assert detail in verdict.detail


@pytest.fixture
def stored(store: ModelStore, tmp_path: Path) -> ModelStore:
    """A store with v1 and v2 that are good, and v3 whose golden records do not score as recorded."""
    for version, shift in (("v1", 0.0), ("v2", 0.0), ("v3", 1.0)):
        folder = tmp_path / version
        folder.mkdir()
        store.publish(folder, with_golden(folder, document(version=version), shift))
    return store


def release(champion: str, challenger: str, shadow: str) -> Release:
    return Release(1, "late", 0, champion, (Challenger(challenger, 0.1),), (shadow,), salt="s", by="tests")


def test_release_is_admitted_with_all_its_digests(stored: ModelStore) -> None:
    given = Release(1, "late", 0, "v1", (Challenger("v2", 0.1),), salt="s", by="tests")
    digests = {version: stored.read_manifest(version).digest for version in ("v1", "v2")}
    assert Admission(stored, COLUMNS).admit_release(given) == AdmittedRelease(given, digests)


@pytest.mark.parametrize("roles", [("v3", "v1", "v2"), ("v1", "v3", "v2"), ("v1", "v2", "v3")])
def test_one_bad_version_refuses_the_release(stored: ModelStore, roles: tuple[str, str, str]) -> None:
    refusal = Admission(stored, COLUMNS).admit_release(release(*roles))
    assert isinstance(refusal, Refusal)
    assert (refusal.verdict.version, refusal.verdict.reason) == ("v3", "golden_mismatch")
    assert refusal.verdict.digest == stored.read_manifest("v3").digest


def test_refusal_is_decided_once_for_each_digest(stored: ModelStore) -> None:
    admission = Admission(stored, COLUMNS)
    first = admission.check_version("v3")
    assert admission.check_version("v3") is first
    assert first.final


def test_absent_manifest_may_still_arrive(stored: ModelStore, tmp_path: Path) -> None:
    admission = Admission(stored, COLUMNS)
    absent = admission.check_version("v4")
    assert (absent.reason, absent.final, absent.digest) == ("incomplete", False, None)
    (tmp_path / "v4").mkdir()
    stored.publish(tmp_path / "v4", document(version="v4"))
    assert admission.check_version("v4").admitted


def test_store_that_fails_is_no_verdict(tmp_path: Path) -> None:
    folder = tmp_path / "store" / "late" / "versions"
    folder.mkdir(parents=True)
    (folder / "v1").write_text("a file where a folder should be")
    admission = Admission(ModelStore(str(tmp_path / "store"), "late"))
    with pytest.raises(StoreError, match="cannot read"):
        admission.check_version("v1")


def test_wrong_digest_in_the_store_is_refused(stored: ModelStore) -> None:
    import obstore

    backend = Backend(stored.url)._open(write=True)
    assert backend is not None
    obstore.put(backend, "late/versions/v1/golden.jsonl", b"changed")
    verdict = Admission(stored, COLUMNS).check_version("v1")
    assert (verdict.reason, verdict.final) == ("wrong_digest", True)


def test_an_unused_admission_can_be_pickled(stored: ModelStore) -> None:
    assert pickle.loads(pickle.dumps(Admission(stored, COLUMNS))).check_version("v1").admitted


def test_reasons_are_in_the_order_of_the_design() -> None:
    order = "incomplete invalid_manifest path_outside bad_signature wrong_digest unknown_scorer will_not_load"
    assert " ".join(REASONS) == f"{order} wrong_inputs golden_mismatch bad_output too_large timed_out"
