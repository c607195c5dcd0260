"""The Open Inference Protocol against the real MLServer, over REST and gRPC."""

from pathlib import Path

import numpy as np
import pytest

from tests.remote.manifests import batch, loaded
from tests.remote.servers import MlServer

BASE = {"model": "late", "version": "v1", "input": "features", "datatypes": {"features": "FP64"}}
PROBABILITY = {**BASE, "output": "predict_proba"}


@pytest.mark.parametrize("scheme", ["http", "grpc"])
def test_scores_are_those_of_the_servers_model(mlserver: MlServer, scheme: str, tmp_path: Path) -> None:
    scorer = loaded(tmp_path, "openinference", {**PROBABILITY, "url": mlserver.url(scheme), "max_rows": 100})
    rows = batch(350)
    np.testing.assert_allclose(scorer.score(rows), mlserver.expected(rows), atol=1e-9)
    scorer.close()
