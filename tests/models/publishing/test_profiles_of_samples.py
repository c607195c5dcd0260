"""A version published with a sample knows how far windows of it were from all of it, and what its inputs weigh."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import yaml
from sklearn.linear_model import LinearRegression, LogisticRegression

import halflife
from models.errors import StoreError
from models.profiles import Profile, parse_profile
from models.publishing.importance import importance_of
from models.store.store import ModelStore

RANDOM = np.random.default_rng(3)
ROWS = 60 * 48
SAMPLE = pd.DataFrame(
    {
        "amount": RANDOM.normal(50, 10, ROWS),
        "age": RANDOM.normal(0, 2, ROWS),
        "hour": RANDOM.integers(0, 24, ROWS),
        "event_time": pd.date_range("2019-01-01", periods=ROWS, freq="30min", tz="UTC"),
    }
)
INPUTS = ["amount", "age", "hour"]
MODEL = LinearRegression().fit(SAMPLE[INPUTS], 3 * SAMPLE.amount - 40 * SAMPLE.age)


def published(root: Path, sample: pd.DataFrame, model: Any = MODEL, **stated: Any) -> tuple[dict[str, Any], Profile]:
    """The manifest and profile of a version."""
    halflife.publish(model, store=root, name="m", version="1", sample=sample, **stated)
    bundle = ModelStore(str(root), "m").fetch("1", root / "bundle")
    manifest = json.loads((bundle / "manifest.json").read_bytes())
    return manifest, parse_profile((bundle / manifest["profile"]).read_bytes())


def test_a_sample_with_event_times_gives_windows_of_the_training_data(tmp_path: Path) -> None:
    _, profile = published(tmp_path, SAMPLE)
    assert {each.length: each.windows for each in profile.windows} == {"1h": 1_440, "1d": 60, "7d": 10}
    assert set(profile.windows[1].usual) == {*INPUTS, "score"}


@pytest.mark.parametrize(
    "times",
    [
        SAMPLE.event_time.dt.strftime("%Y-%m-%dT%H:%M:%SZ"),
        SAMPLE.event_time.dt.strftime("%Y-%m-%d %H:%M:%S"),
        SAMPLE.event_time.dt.tz_convert("America/New_York"),
        pd.Series(SAMPLE.event_time.dt.tz_convert(None), dtype="datetime64[ms]"),
    ],
    ids=["text in UTC", "text without a zone", "zoned", "milliseconds"],
)
def test_times_of_any_form_give_the_same_windows(tmp_path: Path, times: Any) -> None:
    sample = SAMPLE.assign(sold_at=times).drop(columns="event_time")
    _, stated = published(tmp_path / "1", sample, event_time="sold_at")
    job = {**yaml.safe_load(Path("pipeline/jobs/flights.yaml").read_text()), "features": INPUTS}
    job["events"] = {"uri": "none.csv", "event_id": "id", "event_time": "sold_at"}
    _, of_job = published(tmp_path / "2", sample, job=job, check=False)
    _, usual = published(tmp_path / "3", SAMPLE)
    assert stated.windows == of_job.windows == usual.windows != ()


def test_publish_says_why_no_windows_are_known(tmp_path: Path) -> None:
    expected = {
        "it has no column event_time": SAMPLE[INPUTS],
        "its column event_time holds double, no times": SAMPLE.assign(event_time=1.5),
        "of its 2,880 values of event_time are null": SAMPLE.assign(event_time=SAMPLE.event_time.shift(3)),
        "it has rows of fewer than five hours": SAMPLE.assign(event_time=SAMPLE.event_time[0]),
    }
    for number, (why, sample) in enumerate(expected.items()):
        done = halflife.publish(MODEL, store=tmp_path, name="m", version=str(number), sample=sample)
        assert [note for note in done.notes if "no windows of its own: " in note and why in note], why
    with pytest.raises(StoreError, match=r"'age' is not allowed \(its column age holds double.*such as event_time"):
        halflife.publish(MODEL, store=tmp_path, name="m", version="x", sample=SAMPLE, event_time="age")
    with pytest.raises(StoreError, match="the sample has no column when"):
        halflife.publish(MODEL, store=tmp_path, name="m", version="x", sample=SAMPLE, event_time="when")


@pytest.mark.parametrize("times", [None, pd.Series([None] * ROWS, dtype="datetime64[us]"), ["2019"] * ROWS])
def test_a_sample_without_usable_event_times_has_the_whole_as_its_reference(tmp_path: Path, times: Any) -> None:
    sample = SAMPLE[INPUTS] if times is None else SAMPLE.assign(event_time=times)
    _, profile = published(tmp_path, sample)
    assert profile.windows == ()


def test_importance_of_a_linear_model_is_its_coefficients_times_deviations(tmp_path: Path) -> None:
    manifest, _ = published(tmp_path, SAMPLE)
    spread = float(np.std(MODEL.predict(SAMPLE[INPUTS])))
    expected = {"amount": 3 * 10 / spread, "age": 40 * 2 / spread, "hour": 0.0}
    assert manifest["format"] == 2
    for name, weight in manifest["importance"].items():
        assert weight == pytest.approx(expected[name], rel=0.06, abs=1e-9)


def test_importance_of_a_probability_is_in_the_order_of_what_moves_it(tmp_path: Path) -> None:
    model = LogisticRegression(max_iter=1_000).fit(SAMPLE[INPUTS], SAMPLE.amount + 2 * SAMPLE.age > 50)
    found = published(tmp_path, SAMPLE, model)[0]["importance"]
    assert found["amount"] > found["age"] > 5 * found["hour"]


def test_nothing_is_said_of_too_few_rows_or_of_a_constant_answer() -> None:
    rows = pa.record_batch({"x": RANDOM.normal(size=50)})
    assert importance_of(lambda one: np.zeros(one.num_rows), rows) == {}
    assert importance_of(lambda one: one.column("x").to_numpy(), rows.slice(0, 9)) == {}
    assert importance_of(lambda one: one.column("x").to_numpy(), rows) == pytest.approx({"x": 1.0}, rel=0.2)
