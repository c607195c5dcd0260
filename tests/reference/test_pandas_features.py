"""The features that benchmarks/many_features.py has pandas compute are those of the job, but for the last digits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from benchmarks.many_features import COLUMNS, KEYS, features, write_events
from benchmarks.peers.pandas_features import computed
from schemas import batches
from schemas.job import FeatureSpec
from schemas.times import parse_duration_us
from transforms.features.feature_state import features_of
from transforms.features.key_plans import observations, plan_key
from transforms.features.tiles import fold


def test_pandas_computes_the_features_of_the_job(tmp_path: Path) -> None:
    write_events(tmp_path / "events.json", 600)
    frame = pd.read_json(tmp_path / "events.json", lines=True)
    asked = [feature for feature in features(1_000) if feature["key"] in ("country", "device")]
    theirs = computed(frame, asked)
    arrays = {batches.EVENT_ID: frame["id"].tolist(), batches.ROW: range(600)}
    arrays |= {batches.EVENT_TIME: pa.array(frame["at"].to_numpy()).cast(batches.TIME_TYPE)}
    events = pa.RecordBatch.from_pydict(arrays | {name: frame[name].tolist() for name in (*KEYS, *COLUMNS)})
    for key in ("country", "device"):
        specs = [_spec(**feature) for feature in asked if feature["key"] == key]
        plan = plan_key(specs, key)
        rows = observations(plan, events)
        mine = features_of(plan, fold(plan, rows, 100), rows).to_pandas()
        for spec in specs:
            np.testing.assert_allclose(mine[spec.name].to_numpy(float), theirs[spec.name], 1e-7, 1e-7, True, spec.name)


def _spec(name: str, key: str, column: str, aggregate: str, size: str, every: str) -> FeatureSpec:
    return FeatureSpec(name, key, column, aggregate, parse_duration_us(size), parse_duration_us(every))
