"""What the job makes of a remote model: dead letters by record, and no verdict while its server is down."""

import json
from pathlib import Path

import numpy as np
import pytest

from models.admission.admission import Admission
from models.bundles.manifest import MANIFEST, Manifest, parse_manifest
from models.scorers import load_scorer
from models.serving.cache import LoadedModel, LoadFailed, ModelCache, ModelHandle
from models.store.store import ModelStore
from tests.models.bundle_folders import COLUMNS, flights
from tests.remote.manifests import batch, manifest
from tests.remote.servers.doubles import Reply, ScriptedServer
from tests.remote.test_wrong_answers import DOWN, right, rows_of, serving
from transforms.scoring.scoring import score_rows


def with_golden(folder: Path, made: Manifest) -> Manifest:
    """Golden records of the scripted model, which halves the weekend flag."""
    rows = flights(3).select(["delay", "distance", "weekend"]).to_pylist()
    lines = [json.dumps({"inputs": row, "score": row["weekend"] / 2}) for row in rows]
    (folder / "golden.jsonl").write_text("\n".join(lines))
    golden = {"file": "golden.jsonl", "tolerance": 1e-6}
    return manifest(folder, "tfserving", dict(made.parameters), golden=golden)


def test_dead_letters_name_error_and_detail_of_each_record(scripted: ScriptedServer, tmp_path: Path) -> None:
    rows = flights(32)
    poison = rows.column("distance")[5].as_py()
    parameters = serving(
        scripted,
        lambda request: (
            Reply(b"poison", 422) if any(row[1] == poison for row in rows_of(request)) else right(request)
        ),
    )
    made = manifest(tmp_path, "tfserving", parameters)
    model = LoadedModel(made, load_scorer("tfserving", tmp_path, made), 0.0, 0)
    outcome = score_rows(model, rows)
    assert outcome.failed_rows.tolist() == [5]
    assert outcome.failures == [
        ("RecordsRefused", "POST /v1/models/late/versions/3:predict: status 422: poison")
    ]
    assert len(outcome.scores) == 31


def test_a_whole_failure_is_not_asked_about_record_by_record(scripted: ScriptedServer, tmp_path: Path) -> None:
    made = manifest(tmp_path, "tfserving", serving(scripted, lambda request: Reply(b"", 404)))
    model = LoadedModel(made, load_scorer("tfserving", tmp_path, made), 0.0, 0)
    outcome = score_rows(model, flights(200))
    assert (len(outcome.scores), len(outcome.failures)) == (0, 200)
    assert {error for error, _ in outcome.failures} == {"RequestRefused"}
    assert len(scripted.posts) == 1


@pytest.mark.parametrize("down", ["GET", "POST"])
def test_a_server_that_is_down_at_admission_gives_no_final_verdict(
    down: str, scripted: ScriptedServer, tmp_path: Path
) -> None:
    made = with_golden(tmp_path, manifest(tmp_path, "tfserving", serving(scripted, right)))
    up = scripted.answer
    scripted.answer = lambda request: DOWN if request.method == down else up(request)
    verdict = Admission(None, COLUMNS).check_folder(tmp_path)
    assert (verdict.admitted, verdict.reason, verdict.final) == (False, "will_not_load", False)
    assert "503" in verdict.detail
    scripted.answer = up
    assert Admission(None, COLUMNS).check_folder(tmp_path).admitted
    assert made.golden is not None


def test_a_store_is_asked_again_where_there_was_no_verdict(scripted: ScriptedServer, tmp_path: Path) -> None:
    folder = tmp_path / "store" / "late" / "versions" / "v1"
    with_golden(folder, manifest(folder, "tfserving", serving(scripted, right)))
    up, admission = scripted.answer, Admission(ModelStore(str(tmp_path / "store"), "late"), COLUMNS)
    scripted.answer = lambda request: DOWN
    assert not admission.check_version("v1").final
    scripted.answer = up
    assert admission.check_version("v1").admitted


def test_a_server_that_refuses_the_golden_records_refuses_the_bundle(scripted: ScriptedServer, tmp_path: Path) -> None:
    with_golden(tmp_path, manifest(tmp_path, "tfserving", serving(scripted, right)))
    up = scripted.answer
    scripted.answer = lambda request: Reply(b"shape", 400) if request.method == "POST" else up(request)
    verdict = Admission(None, COLUMNS).check_folder(tmp_path)
    assert (verdict.reason, verdict.final) == ("golden_mismatch", True)
    assert "status 400: shape" in verdict.detail


def test_a_server_with_other_answers_than_recorded_is_refused(scripted: ScriptedServer, tmp_path: Path) -> None:
    with_golden(tmp_path, manifest(tmp_path, "tfserving", serving(scripted, right)))
    up, other = scripted.answer, Reply(b'{"outputs": [0.9, 0.9, 0.9]}')
    scripted.answer = lambda request: other if request.method == "POST" else up(request)
    verdict = Admission(None, COLUMNS).check_folder(tmp_path)
    assert (verdict.reason, verdict.final) == ("golden_mismatch", True)


def test_a_worker_tries_again_to_load_what_its_server_did_not_answer(scripted: ScriptedServer, tmp_path: Path) -> None:
    folder = tmp_path / "store" / "late" / "versions" / "v1"
    with_golden(folder, manifest(folder, "tfserving", serving(scripted, right)))
    digest = parse_manifest((folder / MANIFEST).read_bytes()).digest
    now, up, handle = [0.0], scripted.answer, ModelHandle(str(tmp_path / "store"), "late", "v1", digest)
    cache = ModelCache(30.0, lambda: now[0])
    scripted.answer = lambda request: DOWN
    with pytest.raises(LoadFailed, match="503"):
        cache.load(handle)
    scripted.answer = up
    with pytest.raises(LoadFailed):
        cache.load(handle)
    now[0] = 30.0
    assert np.isfinite(cache.load(handle).score(batch(4))).all()
