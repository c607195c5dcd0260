"""Which version a score names after a load that failed: RunInference the wrong one, this job the right one."""

import pickle
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.ml.inference.base import ModelMetadata, _RunInferenceDoFn
from apache_beam.ml.inference.sklearn_inference import SklearnModelHandlerNumpy
from apache_beam.testing.util import assert_that
from sklearn.dummy import DummyRegressor

from runners.direct import bounded_runner
from tests.models.loading.gated import GatedScorer, events, new_store, released
from tests.models.loading.test_scored_events import are, digests_of, score


def test_run_inference_gives_the_old_models_score_the_failed_versions_name(tmp_path: Path) -> None:
    paths = {version: str(tmp_path / f"{version}.pkl") for version in ("v1", "v2")}
    answers_one = DummyRegressor(strategy="constant", constant=1.0).fit([[0.0]], [1.0])
    Path(paths["v1"]).write_bytes(pickle.dumps(answers_one))
    Path(paths["v2"]).write_bytes(b"no model")
    # The DoFn itself, called as a runner that continues after a failed batch would call it.
    peer: Any = _RunInferenceDoFn(SklearnModelHandlerNumpy(paths["v1"]), time, None)
    peer.setup()
    batch, updates = [np.array([1.0])], {name: ModelMetadata(path, name) for name, path in paths.items()}
    assert [result.model_id for result in peer.process(batch, None, updates["v1"])] == [paths["v1"]]
    with pytest.raises(pickle.UnpicklingError):
        peer.process(batch, None, updates["v2"])
    (result,) = peer.process(batch, None, updates["v2"])
    assert (result.inference, result.model_id) == (1.0, paths["v2"])


@pytest.mark.usefixtures("gated")
def test_receipt_names_the_version_whose_object_scored_after_a_load_that_failed(tmp_path: Path) -> None:
    store = new_store()
    digests = digests_of(store, tmp_path, "v1", "v2")
    GatedScorer.broken = {"v2"}
    timeline = [released(digests, 1, 0, "v1"), released(digests, 2, 10, "v2")]
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        outputs = score(pipeline, store, timeline, events(5), events(11), events(12))
        expected = [(1.0, "v1", 1, digests["v1"])] * 3
        assert_that(outputs.receipts, are("score version release digest", expected), label="Receipts")
        assert_that(outputs.dead_letters, are("event_id", []), label="Letters")
