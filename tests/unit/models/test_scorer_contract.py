"""The contract of every scorer, checked against a real trained model of each kind."""

import gc
import pickle
import shutil
import weakref
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from models.admission import Admission
from models.cache import ModelCache, ModelHandle
from models.inputs import prepare_inputs
from models.manifest import MANIFEST, Manifest, parse_manifest
from models.scorers import Scorer, WillNotLoad, load_scorer
from models.store import ModelStore
from tests.unit.models.bundles import COLUMNS, flights

# TensorFlow computes in float32, and its kernels round by the size of the batch.
TOLERANCE = 1e-6


@pytest.fixture(scope="session")
def manifest(bundle: Path) -> Manifest:
    return parse_manifest((bundle / MANIFEST).read_bytes())


@pytest.fixture(scope="session")
def scorer(bundle: Path, manifest: Manifest) -> Scorer:
    return load_scorer(manifest.scorer, bundle, manifest)


def prepared(manifest: Manifest, rows: int) -> pa.RecordBatch:
    return prepare_inputs(flights(rows), manifest.inputs)[0]


def test_scores_are_float64_one_for_each_row(scorer: Scorer, manifest: Manifest) -> None:
    scores = scorer.score(prepared(manifest, 64))
    assert scores.dtype == np.float64
    assert scores.shape == (64,)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert len(np.unique(scores)) > 3


def test_order_of_rows_is_kept(scorer: Scorer, manifest: Manifest) -> None:
    batch = prepared(manifest, 64)
    order = np.random.default_rng(3).permutation(64)
    shuffled = scorer.score(batch.take(pa.array(order)))
    np.testing.assert_allclose(shuffled, scorer.score(batch)[order], atol=TOLERANCE)


def test_batch_of_one_equals_batch_of_many(scorer: Scorer, manifest: Manifest) -> None:
    batch = prepared(manifest, 20)
    single = [scorer.score(batch.slice(row, 1))[0] for row in range(20)]
    np.testing.assert_allclose(single, scorer.score(batch), atol=TOLERANCE)


def test_empty_batch_gives_no_scores(scorer: Scorer, manifest: Manifest) -> None:
    scores = scorer.score(prepared(manifest, 0))
    assert scores.dtype == np.float64
    assert scores.shape == (0,)


def test_same_batch_scores_the_same_to_the_last_bit(scorer: Scorer, manifest: Manifest) -> None:
    batch = prepared(manifest, 64)
    np.testing.assert_array_equal(scorer.score(batch), scorer.score(batch))


def test_threads_get_their_own_scores(scorer: Scorer, manifest: Manifest) -> None:
    batches = [prepared(manifest, rows) for rows in range(1, 40)]
    expected = [scorer.score(batch) for batch in batches]
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(scorer.score, batches))
    for scores, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(scores, wanted, atol=TOLERANCE)


def test_null_with_a_default_scores_as_the_default(scorer: Scorer, manifest: Manifest) -> None:
    batch = flights(3)
    by_default = batch.set_column(0, "delay", pa.array([None, None, None], pa.float64()))
    by_value = batch.set_column(0, "delay", pa.array([5.0, 5.0, 5.0]))
    null, value = (prepare_inputs(given, manifest.inputs) for given in (by_default, by_value))
    assert not null[1].any()
    np.testing.assert_array_equal(scorer.score(null[0]), scorer.score(value[0]))


def test_reloaded_model_scores_the_same(bundle: Path, scorer: Scorer, manifest: Manifest) -> None:
    batch = prepared(manifest, 64)
    again = load_scorer(manifest.scorer, bundle, manifest)
    np.testing.assert_allclose(again.score(batch), scorer.score(batch), atol=TOLERANCE)


def test_wrong_file_says_what_will_not_load(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    shutil.copytree(bundle, broken)
    for path in manifest.files:
        (broken / path).write_bytes(b"this is no model")
    with pytest.raises(WillNotLoad, match=f"^{manifest.scorer}: .+") as caught:
        load_scorer(manifest.scorer, broken, replace(manifest, linear=None))
    assert "\n" not in str(caught.value)


def test_missing_payload_is_refused(bundle: Path, manifest: Manifest) -> None:
    with pytest.raises(WillNotLoad):
        load_scorer(manifest.scorer, bundle, replace(manifest, linear=None, files={}))


def test_bundle_is_admitted(bundle: Path) -> None:
    verdict = Admission(None, COLUMNS).check_folder(bundle)
    assert (verdict.admitted, verdict.reason, verdict.detail) == (True, None, "")


def test_handle_travels_before_and_after_loading(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    url = publish(bundle, manifest, tmp_path)
    handle = ModelHandle(url, manifest.model, manifest.version, manifest.digest)
    loaded = pickle.loads(pickle.dumps(handle)).load(ModelCache())
    again = pickle.loads(pickle.dumps(handle)).load(ModelCache())
    batch = prepared(manifest, 16)
    assert loaded is not again
    np.testing.assert_allclose(loaded.score(batch), again.score(batch), atol=TOLERANCE)


def test_unloading_frees_the_model(bundle: Path, manifest: Manifest, tmp_path: Path) -> None:
    cache, url = ModelCache(), publish(bundle, manifest, tmp_path)
    loaded = weakref.ref(cache.load(url, "late", "v1", manifest.digest).scorer)
    assert [freed.version for freed in cache.retain([])] == ["v1"]
    gc.collect()
    assert loaded() is None


def publish(bundle: Path, manifest: Manifest, tmp_path: Path) -> str:
    """Put the bundle as it is, with the very manifest, into a store; its URL."""
    shutil.copytree(bundle, tmp_path / "store" / "late" / "versions" / "v1")
    store = ModelStore(str(tmp_path / "store"), "late")
    assert store.read_manifest("v1").digest == manifest.digest
    return store.url
