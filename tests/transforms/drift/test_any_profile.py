"""Drift can be counted and measured against any profile that can be read."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from models.profiles import InvalidProfile, parse_profile
from schemas.job import DriftSpec
from transforms.drift.drift_groups import count_windows
from transforms.drift.drift_records import DriftOrigin, Pane, drift_records

SPEC = DriftSpec(3_600_000_000, 0, ("origin",), psi_threshold=0.2, ks_threshold=0.1)
COUNTS = st.one_of(st.integers(0, 5), st.just(2**45))
FINITE = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(FINITE, st.sampled_from([1.7e308, -1.7e308, 5e-324, 0.0, -0.0]))
KNOWN = ["delay", "origin", "score", "weekend", "__role", "__event_time"]
NAMES = st.one_of(st.sampled_from(KNOWN), st.text(min_size=1, max_size=3))


@st.composite
def numeric(draw: st.DrawFn) -> dict[str, Any]:
    edges = sorted(set(draw(st.lists(NUMBERS, max_size=70))))
    counts = draw(st.lists(COUNTS, min_size=len(edges) + 1, max_size=len(edges) + 1))
    nulls = draw(COUNTS)
    moments: list[Any] = sorted(draw(st.lists(NUMBERS, min_size=3, max_size=3)))
    low, mean, high = moments if sum(counts) else (None, None, None)
    return {"kind": "numeric", "name": draw(NAMES), "edges": edges, "counts": counts, "nulls": nulls,
            "n": sum(counts) + nulls, "min": low, "mean": mean, "max": high}  # fmt: skip


@st.composite
def categorical(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(["string", "boolean"]))
    texts = st.sampled_from(["true", "false"]) if kind == "boolean" else st.text(max_size=4)
    values = draw(st.lists(texts, unique=True, max_size=70))
    counts = draw(st.lists(COUNTS, min_size=len(values), max_size=len(values)))
    other, nulls = draw(COUNTS), draw(COUNTS)
    return {"kind": "categorical", "name": draw(NAMES), "type": kind, "values": values, "counts": counts,
            "other": other, "nulls": nulls, "n": sum(counts) + other + nulls}  # fmt: skip


def rows() -> pa.RecordBatch:
    number = 6
    return pa.record_batch(
        {
            "__event_time": pa.array(range(number), pa.timestamp("us", "UTC")),
            "__role": ["champion"] * number,
            "delay": pa.array([1.7e308, -1.7e308, float("nan"), None, 0.0, 5e-324]),
            "score": np.array([0.0, 1.0, np.inf, -np.inf, 0.5, 0.5]),
            "origin": pa.array(["JFK", None, "", "x" * 1000, "\0", "é"]),
            "weekend": pa.array([True, False, None, True, True, False]),
        }
    )


@settings(max_examples=100, deadline=None)
@given(st.lists(st.one_of(numeric(), categorical()), min_size=1, max_size=4))
def test_profile_that_is_read_can_be_measured(columns: list[dict[str, Any]]) -> None:
    ordered = sorted({column["name"]: column for column in columns}.values(), key=lambda column: column["name"])
    try:
        profile = parse_profile(json.dumps({"format": 1, "columns": ordered}).encode())
    except InvalidProfile:
        return
    for piece in count_windows(profile, rows(), SPEC.segments, SPEC.window_us):
        records = drift_records(profile, [Pane(piece.counts, DriftOrigin(0, SPEC.window_us, 0, "m", "v"))], SPEC)
        assert np.isfinite(records.column("value").to_numpy()).all()
        assert set(records.column("column").to_pylist()) <= {column["name"] for column in ordered}
