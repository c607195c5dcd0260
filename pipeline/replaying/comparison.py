"""What two versions answered for the same events: counts that add up, flips, differences and drift, as pure functions.

Scores are tables with `event_id`, `event_time` (timestamp[us, UTC]), `score` (float64) and `decision` (string or null),
one row per event.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from models.profiles import NumericColumn, build_profile
from schemas.job import DriftSpec
from schemas.times import format_time_us
from transforms.drift.drift_statistics import Statistic, ks, psi
from transforms.drift.thresholds import drifted, threshold_of

_QUANTILES = (0.5, 0.9, 0.99)
_MOST_FLIPS = 20
_ORDER = [("event_time", "ascending"), ("event_id", "ascending")]
Floats = npt.NDArray[np.float64]


def describe(scores: pa.Table, spec: DriftSpec) -> dict[str, Any]:
    """What one version answered: overall, and by window of event time.

    >>> at = pa.array([0, 1, 3_600_000_000], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    >>> rows = pa.table({"event_id": ["a", "b", "c"], "event_time": at, "score": [0.25, 0.25, 1.0],
    ...                  "decision": ["no", "no", "yes"]})
    >>> found = describe(rows, DriftSpec(3_600_000_000, 0, (), psi_threshold=0.2, ks_threshold=0.1))
    >>> found["overall"]["scored"], found["overall"]["mean"], [each["decisions"] for each in found["windows"]]
    (3, 0.5, [{'no': 2}, {'yes': 1}])
    """
    windows = [{**span_of(start, spec), **_described(rows)} for start, rows in windows_of(scores, spec)]
    return {"overall": _described(scores), "windows": windows}


def compare(first: pa.Table, second: pa.Table, spec: DriftSpec) -> dict[str, Any]:
    """What the second version answered beside the first, for the events that both scored: overall, and by window.

    `difference` is the second score minus the first; its quantiles and its greatest are of absolute values. `psi` and
    `ks` measure the second version's scores against the first's. `flips` and `flipped` are null where no version
    decides.

    >>> at = pa.array([0, 1], pa.int64()).cast(pa.timestamp("us", tz="UTC"))
    >>> rows = pa.table({"event_id": ["a", "b"], "event_time": at, "score": [0.1, 0.5], "decision": ["no", "yes"]})
    >>> other = pa.table({"event_id": ["b", "c"], "event_time": at, "score": [0.25, 0.1], "decision": ["no", "no"]})
    >>> found = compare(rows, other, DriftSpec(3_600_000_000, 0, (), psi_threshold=0.2, ks_threshold=0.1))["overall"]
    >>> found["both"], found["only_first"], found["only_second"], found["flips"], found["difference"]["mean"]
    (1, 1, 1, 1, -0.25)
    """
    joined = _joined(first, second)
    windows = [{**span_of(start, spec), **_compared(rows, spec)} for start, rows in windows_of(joined, spec)]
    return {"overall": _compared(joined, spec), "windows": windows}


def _joined(first: pa.Table, second: pa.Table) -> pa.Table:
    """The events that either scored, in order of time and id: `in_1`, `in_2`, and scores and decisions of both."""
    if first["event_id"].equals(second["event_id"]):
        return _in_order(first, second)
    ids = pa.concat_arrays([_whole(first["event_id"]), _whole(second["event_id"])]).unique()
    at_1, at_2 = (pc.index_in(ids, value_set=_whole(table["event_id"])) for table in (first, second))
    times = [_whole(table["event_time"]).take(at) for table, at in ((first, at_1), (second, at_2))]
    columns = {"event_id": ids, "event_time": pc.coalesce(*times), "in_1": at_1.is_valid(), "in_2": at_2.is_valid()}
    for name in ("score", "decision"):
        columns |= {f"{name}_1": _whole(first[name]).take(at_1), f"{name}_2": _whole(second[name]).take(at_2)}
    return pa.table(columns).sort_by(_ORDER)


def _in_order(first: pa.Table, second: pa.Table) -> pa.Table:
    """As `_joined`, of tables that have the same events in the same rows."""
    columns = {"event_id": first["event_id"], "event_time": first["event_time"]}
    columns |= {name: pa.repeat(True, first.num_rows) for name in ("in_1", "in_2")}
    for name in ("score", "decision"):
        columns |= {f"{name}_1": first[name], f"{name}_2": second[name]}
    joined = pa.table(columns)
    times = joined["event_time"].cast(pa.int64()).to_numpy()
    return joined if (times[1:] > times[:-1]).all() else joined.sort_by(_ORDER)


def _whole(column: pa.ChunkedArray) -> pa.Array:
    found = column.combine_chunks()
    return found if isinstance(found, pa.Array) else pa.concat_arrays(found.chunks)


def windows_of(rows: pa.Table, spec: DriftSpec) -> list[tuple[int, pa.Table]]:
    """The rows of each window of event time that has any, by its start in microseconds since 1970."""
    times = _whole(rows["event_time"]).cast(pa.int64()).to_numpy(zero_copy_only=False)
    if not (times[1:] >= times[:-1]).all():
        order = np.argsort(times, kind="stable")
        rows, times = rows.take(pa.array(order)), times[order]
    numbers = np.floor_divide(times, spec.window_us)
    found, firsts = np.unique(numbers, return_index=True)
    spans = zip(found.tolist(), firsts.tolist(), np.diff(firsts, append=len(times)).tolist(), strict=True)
    return [(number * spec.window_us, rows.slice(first, count)) for number, first, count in spans]


def span_of(start_us: int, spec: DriftSpec) -> dict[str, str]:
    """From when to when the window that begins there reaches."""
    return {"window_start": format_time_us(start_us), "window_end": format_time_us(start_us + spec.window_us)}


def _described(rows: pa.Table) -> dict[str, Any]:
    scores = rows["score"].to_numpy()
    counted = pc.value_counts(rows["decision"].drop_null())
    decisions = {each["values"]: each["counts"] for each in counted.to_pylist()}
    spread = {"mean": _mean(scores), "min": _extreme(scores, np.min), "max": _extreme(scores, np.max)}
    return {"scored": len(scores), **spread, **_quantiles(scores), "decisions": dict(sorted(decisions.items()))}


def _compared(rows: pa.Table, spec: DriftSpec) -> dict[str, Any]:
    in_1, in_2 = (rows[name].to_numpy() for name in ("in_1", "in_2"))
    in_both = in_1 & in_2
    both = rows if in_both.all() else rows.filter(pa.array(in_both))
    first, second = both["score_1"].to_numpy(), both["score_2"].to_numpy()
    apart = np.abs(second - first)
    difference = {"mean": _mean(second - first), **_quantiles(apart), "max": _extreme(apart, np.max)}
    return {
        "both": both.num_rows,
        "only_first": int((in_1 & ~in_2).sum()),
        "only_second": int((in_2 & ~in_1).sum()),
        "equal": int((first == second).sum()),
        **_flips(both),
        "difference": difference,
        **_distances(first, second, spec),
    }


def _flips(both: pa.Table) -> dict[str, Any]:
    """How many events the versions decide differently, and from what to what."""
    different = pc.not_equal(both["decision_1"], both["decision_2"])  # null where one does not decide
    if different.null_count == both.num_rows:
        return {"flips": None, "flipped": []}
    changed = both.filter(different)
    tallied = changed.group_by(["decision_1", "decision_2"]).aggregate([("event_id", "count")])
    kinds = sorted(_rows(tallied), key=lambda kind: (-kind[2], kind))
    named = [{"from": one, "to": other, "events": number} for one, other, number in kinds[:_MOST_FLIPS]]
    return {"flips": changed.num_rows, "flipped": named}


def _rows(tallied: pa.Table) -> list[tuple[str, str, int]]:
    names = ("decision_1", "decision_2", "event_id_count")
    return list(zip(*(tallied[name].to_pylist() for name in names), strict=True))


def _distances(first: Floats, second: Floats, spec: DriftSpec) -> dict[str, Any]:
    """How far the second version's scores are from the first's, by the statistics of drift."""
    if not len(first):
        return {"psi": None, "ks": None}
    [column] = build_profile(pa.table({"score": first}), ["score"]).columns
    assert isinstance(column, NumericColumn)
    cells, starts = len(column.cells), np.array([0])
    observed = np.bincount(column.cells_of(pa.array(second)), minlength=cells)[np.newaxis, :]
    reference = np.array(column.cells, np.int64)
    found = {"psi": psi(reference, observed, starts), "ks": ks(reference[:-1], observed[:, :-1], starts)}
    return {name: _told(statistic, threshold_of(spec, name)) for name, statistic in found.items()}


def _told(found: Statistic, threshold: float) -> dict[str, Any]:
    floor, above = float(found.noise_floor[0, 0]), bool(drifted(found, threshold)[0, 0])
    return {"value": float(found.value[0, 0]), "threshold": threshold, "noise_floor": floor, "drifted": above}


def _mean(values: Floats) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _extreme(values: Floats, which: Any) -> float | None:
    return float(which(values)) if len(values) else None


def _quantiles(values: Floats) -> dict[str, float | None]:
    if not len(values):
        return {f"p{round(q * 100)}": None for q in _QUANTILES}
    found = np.quantile(values, _QUANTILES).tolist()
    return {f"p{round(q * 100)}": value for q, value in zip(_QUANTILES, found, strict=True)}
