"""The Open Inference Protocol against the real KServe model server, over REST and gRPC."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from models.scorers import NotReady, PartlyScored, Scorer
from tests.remote.manifests import batch, loaded
from tests.remote.servers.servers import KServe

SCHEMES = pytest.mark.parametrize("scheme", ["http", "grpc"])


def with_kserve(server: KServe, scheme: str, folder: Path, **more: Any) -> Scorer:
    parameters = {"model": "late", "input": "features", "datatypes": {"features": "FP64"}, "url": server.url(scheme)}
    return loaded(folder, "openinference", {**parameters, **more})


@SCHEMES
def test_scores_are_those_of_the_servers_model(kserve: KServe, scheme: str, tmp_path: Path) -> None:
    rows = batch(350)
    scores = with_kserve(kserve, scheme, tmp_path, max_rows=100).score(rows)
    np.testing.assert_array_equal(scores, [row["weekend"] / 2 for row in rows.to_pylist()])


@SCHEMES
def test_a_record_that_the_model_refuses_costs_one_failure(kserve: KServe, scheme: str, tmp_path: Path) -> None:
    delays = [1e6 if row == 9 else 0.0 for row in range(32)]
    rows = batch(32).set_column(0, "delay", pa.array(delays))
    with pytest.raises(PartlyScored, match="delay is poison") as caught:
        with_kserve(kserve, scheme, tmp_path).score(rows)
    assert list(caught.value.failures) == [9]


@SCHEMES
def test_a_model_that_is_not_served_is_not_ready(kserve: KServe, scheme: str, tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="early"):
        with_kserve(kserve, scheme, tmp_path, model="early")
