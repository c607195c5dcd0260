"""DriftStatistic records: one per group, column and statistic, in the schema of the .avsc."""

import io
import json

import fastavro
import numpy as np
import pyarrow as pa
import pytest

from models.profiles import build_profile
from schemas.job import DriftSpec
from schemas.records import arrow_schema, avsc
from transforms.drift.drift_groups import GroupCounts, count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

DAY = 86_400_000_000
SPEC = DriftSpec(DAY, 0, ("origin",), psi_threshold=0.2, ks_threshold=0.1)
ORIGIN = DriftOrigin(DAY, 2 * DAY, 3, "flight-delay", "v1")
RNG = np.random.default_rng(0)
REFERENCE = pa.record_batch(
    {
        "score": RNG.random(4_000),
        "delay": RNG.normal(size=4_000),
        "origin": np.array(["JFK", "LGA"])[RNG.integers(0, 2, 4_000)],
        "absent": RNG.random(4_000),
    }
)
PROFILE = build_profile(REFERENCE, REFERENCE.schema.names)


def counted(rows: int = 900) -> GroupCounts:
    batch = pa.record_batch(
        {
            "__event_time": pa.array([DAY] * rows, pa.timestamp("us", "UTC")),
            "__role": ["champion"] * rows,
            "score": RNG.random(rows),
            "delay": pa.array(RNG.normal(1, 1, rows), mask=np.arange(rows) < 300),
            "origin": ["JFK"] * rows,
        }
    )
    (piece,) = count_windows(PROFILE, batch, ("origin",), DAY)
    return piece.counts


RECORDS = drift_records(PROFILE, [Pane(counted(), ORIGIN)], SPEC)


def test_records_are_one_per_group_column_and_statistic() -> None:
    found = sorted(RECORDS.select(["segment", "statistic", "column"]).to_pylist(), key=str)
    measured = [("psi", "delay"), ("psi", "origin"), ("psi", "score"), ("ks", "delay"), ("ks", "score")]
    expected = [
        {"segment": segment, "statistic": statistic, "column": column}
        for segment in (None, "origin=JFK")
        for statistic, column in measured
    ]
    assert found == sorted(expected, key=str)


def test_shifted_columns_have_drifted_and_others_have_not() -> None:
    drifted = {(row["statistic"], row["column"]) for row in RECORDS.to_pylist() if row["drifted"]}
    assert drifted == {("psi", "delay"), ("ks", "delay"), ("psi", "origin")}


def test_ks_compares_only_what_is_not_null() -> None:
    rows = {row["statistic"]: row for row in RECORDS.to_pylist() if row["column"] == "delay" and not row["segment"]}
    assert (rows["psi"]["n"], rows["ks"]["n"]) == (900, 600)
    assert (rows["psi"]["threshold"], rows["ks"]["threshold"]) == (0.2, 0.1)


def test_drifted_is_value_above_threshold_and_noise_floor() -> None:
    for row in RECORDS.to_pylist():
        above = row["value"] > max(row["threshold"], row["noise_floor"])
        assert row["drifted"] == (above and row["segment"] is None)  # of a segment alone the profile knows nothing


def test_records_fit_the_avro_schema() -> None:
    assert RECORDS.schema == arrow_schema("DriftStatistic")
    schema = fastavro.parse_schema(json.loads(avsc("DriftStatistic")))
    rows = RECORDS.to_pylist()
    fastavro.writer(stream := io.BytesIO(), schema, rows)
    stream.seek(0)
    assert list(fastavro.reader(stream)) == rows


def test_profile_without_numbers_has_psi_only() -> None:
    profile = build_profile(REFERENCE, ["origin"])
    batch = REFERENCE.append_column("__role", pa.array(["shadow"] * 4_000))
    batch = batch.append_column("__event_time", pa.array([0] * 4_000, pa.timestamp("us", "UTC")))
    (piece,) = count_windows(profile, batch, (), DAY)
    records = drift_records(profile, [Pane(piece.counts, ORIGIN)], SPEC)
    assert records["statistic"].to_pylist() == ["psi"]
    assert records["value"].to_pylist() == pytest.approx([0.0], abs=1e-12)
