"""What the job must compute, the slow and obvious way: from the contracts' words alone, in pandas.

Nothing here is shared with the transforms or the models, and nothing is incremental: each event's aggregate
is taken anew from the raw values of the events that it may see. Times are timestamps (naive ones are UTC) or
whole microseconds since 1970; durations are anything `pd.Timedelta` reads ("5m", "1h").
"""

import hashlib
import json
import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

Duration = str | pd.Timedelta
Times = pd.Series | Sequence[pd.Timestamp] | npt.NDArray[np.int64]
Release = Mapping[str, Any]
Int64s = npt.NDArray[np.int64]
# Watermarks before the first event has arrived, and after the last one.
BEFORE_ALL, AFTER_ALL = -(2**62), 2**62


def microseconds(times: Times) -> Int64s:
    """Times as whole microseconds since 1970-01-01T00:00:00Z."""
    if not isinstance(times, pd.Series):
        times = pd.Series(times)
    if pd.api.types.is_integer_dtype(times):
        return times.to_numpy("int64")
    instants = pd.to_datetime(times, utc=True).dt.tz_convert(None)
    return instants.to_numpy("datetime64[us]").astype("int64")


def span_us(duration: Duration) -> int:
    """A duration as whole microseconds."""
    if isinstance(duration, str) and duration.endswith("d"):
        duration = duration.upper()  # pandas 3 deprecates the job spec's "1d" for its own "1D"
    return int(pd.Timedelta(duration) // pd.Timedelta(1, "us"))


def _top(values: list[Any]) -> Any:
    counts = Counter(values)
    most = max(counts.values())
    return min(value for value, n in counts.items() if n == most)


# Of the non-null values of a window, in the order of (event time, event id); there is at least one.
_OF_VALUES: Mapping[str, Callable[[list[Any]], Any]] = {
    "sum": math.fsum,
    "mean": lambda values: math.fsum(values) / len(values),
    "min": min,
    "max": max,
    "std": lambda values: float(np.std(values, ddof=1)) if len(values) > 1 else None,
    "last": lambda values: values[-1],
    "distinct": lambda values: len(set(values)),
    "top": _top,
    "median": lambda values: float(np.quantile(np.asarray(values, dtype="float64"), 0.5)),
    "mode_share": lambda values: max(Counter(values).values()) / len(values),
    "variance": lambda values: float(np.var(values, ddof=1)) if len(values) > 1 else None,
}


def of_nothing(aggregate: str) -> Any:
    """What an aggregate is of no values."""
    return 0.0 if aggregate == "decayed_count" else aggregate_of([], aggregate)


def aggregate_of(values: Iterable[Any], aggregate: str, q: float | None = None) -> Any:
    """The aggregate of a window's values, ordered by (event time, event id); None where it has none.

    Nulls (None, NaN) count for nothing. `count` and `rate` are 0 of no values, all others are None; `std` and
    `variance` are the sample's and need two; `quantile` interpolates linearly; of equally frequent values `top` is
    the smallest.
    """
    known = [value for value in values if not pd.isna(value)]
    if aggregate == "count":
        return len(known)
    if not known:
        return 0.0 if aggregate == "rate" else None
    if aggregate == "quantile":
        if q is None:
            raise ValueError("quantile needs q")
        return float(np.quantile(np.asarray(known, dtype="float64"), q))
    return _OF_VALUES[aggregate](known)


class History(NamedTuple):
    """One key's events in order of (event time, event id)."""

    times: Int64s
    values: npt.NDArray[np.object_]
    indexes: Int64s


def _first(known: list[tuple[int, Any]]) -> Any:
    return [value for at, value in known if at == known[0][0]][-1]


def _trend(known: list[tuple[int, Any]]) -> float | None:
    """The slope per second, in fractions: of values by time, both from their means."""
    times, values = ([Fraction(one) for one in column] for column in zip(*known, strict=True))
    middle, mean = sum(times) / len(times), sum(values) / len(values)
    spread = sum((at - middle) ** 2 for at in times)
    above = sum((at - middle) * (value - mean) for at, value in zip(times, values, strict=True))
    return float(above / spread * 1_000_000) if spread else None


def _decayed(known: list[tuple[int, Any]], aggregate: str, end: int, half_life_us: int) -> float | None:
    weights = [0.5 ** ((end - at) / half_life_us) for at, _ in known]
    if aggregate == "decayed_count":
        return math.fsum(weights)
    total = math.fsum(weight * value for weight, (_, value) in zip(weights, known, strict=True))
    return total / math.fsum(weights) if aggregate == "decayed_mean" else total


class Window(NamedTuple):
    """What an aggregate is asked for: the end and the size of the window, and its own numbers."""

    end: int
    size_us: int
    q: float | None = None
    half_life_us: int | None = None


def aggregate_at(history: History, seen: Any, moment: int, aggregate: str, window: Window) -> Any:
    """The aggregate for an event at `moment` (microseconds) of what it sees of its key's history."""
    seen_values = zip(history.times[seen].tolist(), history.values[seen], strict=True)
    own = [(at, value) for at, value in seen_values if not pd.isna(value)]
    if aggregate.startswith("decayed"):
        none = 0.0 if aggregate == "decayed_count" else None
        return _decayed(own, aggregate, window.end, window.half_life_us or 0) if own else none
    if aggregate in ("first", "trend"):
        return {"first": _first, "trend": _trend}[aggregate](own) if own else None
    if aggregate == "rate":
        return aggregate_of(history.values[seen], "count") / (window.size_us / 1e6)
    if aggregate == "time_since_last":
        return float(moment - own[-1][0]) / 1e6 if own else None
    return aggregate_of(history.values[seen], aggregate, window.q)


def histories(
    events: pd.DataFrame, key: str, column: str | None, time: str, id: str
) -> dict[Hashable, History]:
    """Each key's history; an event whose key is null is in none. Without a column each event is worth 1."""
    frame = pd.DataFrame(
        {
            "time": microseconds(events[time]),
            "id": events[id].to_numpy(object),
            "key": events[key].to_numpy(object),
            "value": 1 if column is None else events[column].to_numpy(object),
            "index": np.arange(len(events)),
        }
    )
    frame["value"] = frame["value"].astype(object)
    ordered = frame.sort_values(["time", "id"])
    return {
        name: History(rows["time"].to_numpy(), rows["value"].to_numpy(object), rows["index"].to_numpy())
        for name, rows in ordered.groupby("key", dropna=True)
    }


def as_series(values: list[Any], aggregate: str, index: pd.Index) -> pd.Series:
    """Feature values (None for null) as counts in int64, numbers in float64, or texts in objects."""
    if aggregate == "count":
        return pd.Series(values, index=index, dtype="int64")
    if any(isinstance(value, str) for value in values):
        return pd.Series(values, index=index, dtype=object)
    return pd.Series([math.nan if value is None else value for value in values], index=index, dtype="float64")


def windowed_feature(
    events: pd.DataFrame,
    *,
    key: str,
    column: str | None,
    aggregate: str,
    size: Duration,
    every: Duration,
    q: float | None = None,
    half_life_us: int | None = None,
    time: str = "departed_at",
    id: str = "id",
) -> pd.Series:
    """docs/design.md §7 for a bounded input, where nothing is late: one value per row, on the events' index.

    With T = floor(event time / every) · every, the aggregate of `column` over the events of the same key in
    [T − size, T). Counts are int64, numbers float64 with NaN for null, texts objects with None for null.
    """
    size_us, every_us = span_us(size), span_us(every)
    values: list[Any] = [of_nothing(aggregate)] * len(events)
    for history in histories(events, key, column, time, id).values():
        for moment, index in zip(history.times, history.indexes, strict=True):
            end = moment // every_us * every_us
            first, stop = np.searchsorted(history.times, [end - size_us, end], side="left")
            window = Window(int(end), size_us, q, half_life_us)
            values[index] = aggregate_at(history, slice(first, stop), moment, aggregate, window)
    return as_series(values, aggregate, events.index)


def release_in_force(releases: Sequence[Release], times: Times) -> list[int]:
    """The sequence of the release that serves each event time (docs/design.md §5), of admitted releases.

    It is the one with the greatest (effective_from, sequence) whose effective_from ≤ event time; the first
    one in that order also serves what came before it. Raises ValueError where there is no release.
    """
    if not releases:
        raise ValueError("no release: bounded runs dead-letter their events as unserved")
    starts = microseconds([pd.Timestamp(release["effective_from"]) for release in releases])
    sequences = [int(release["sequence"]) for release in releases]
    in_order = sorted(zip(starts.tolist(), sequences, strict=True))
    return [
        max((entry for entry in in_order if entry[0] <= moment), default=in_order[0])[1]
        for moment in microseconds(times).tolist()
    ]


def unit_interval(salt: str, value: object) -> float:
    """Where a value falls in [0, 1] (docs/design.md §5): the first 8 bytes of sha256(`salt|value`) over 2⁶⁴."""
    return int.from_bytes(hashlib.sha256(f"{salt}|{value}".encode()).digest()[:8], "big") / 2**64


def role_of(
    release: Release, event_id: str, subject: str | None = None, row: Mapping[str, Any] | None = None
) -> list[tuple[str, str]]:
    """Who scores the event, as (version, role): first who answers, then the shadows in the release's order.

    `row` is read only where the release splits on a column. Raises ValueError where the value to split on is
    null, which no event of the tests has (the job then splits on the id: docs/design.md §5).
    """
    challengers: Sequence[Mapping[str, Any]] = release.get("challengers") or []
    answer = (str(release["champion"]), "champion")
    if challengers:
        split_on = release["split_on"]
        value = {"event_id": event_id, "subject": subject}.get(split_on, (row or {}).get(split_on))
        if value is None or pd.isna(value):
            raise ValueError(f"event {event_id} has no {split_on} to split on")
        point, reached = unit_interval(release["salt"], value), 0.0
        for challenger in challengers:
            reached += challenger["share"]
            if point < reached:
                answer = (str(challenger["version"]), "challenger")
                break
    return [answer, *((str(version), "shadow") for version in release.get("shadows") or [])]


def definitions(features: Iterable[Any], inputs: Sequence[str], max_values_per_tile: int) -> str:
    """docs/design.md §6: what the windowed features that a version reads mean, from the job spec's own words."""
    stated = {feature["name"]: feature for feature in features if not isinstance(feature, str)}
    read = [
        {key: span_us(value) if key in ("size", "every") else value for key, value in stated[name].items()}
        for name in inputs
        if name in stated
    ]
    document = {"features": read, "max_values_per_tile": max_values_per_tile}
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def score_id(event_id: str, digest: str, role: str, defined: str) -> str:
    """docs/design.md §6: the first 32 hex digits of sha256(`event_id|digest|role|definitions`)."""
    return hashlib.sha256(f"{event_id}|{digest}|{role}|{defined}".encode()).hexdigest()[:32]


def expected_scores(
    events: pd.DataFrame,
    releases: Sequence[Release],
    *,
    time: str = "departed_at",
    id: str = "id",
    subject: str | None = "tailnum",
) -> pd.DataFrame:
    """One row per score that the job must make: `event_id`, `release` (sequence), `version`, `role`."""
    entries = {int(release["sequence"]): release for release in releases}
    rows: list[tuple[str, int, str, str]] = []
    sequences = release_in_force(releases, events[time])
    for row, sequence in zip(events.to_dict("records"), sequences, strict=True):
        columns = {str(name): value for name, value in row.items()}
        person = columns[subject] if subject else None
        for version, role in role_of(entries[sequence], columns[id], person, columns):
            rows.append((columns[id], sequence, version, role))
    return pd.DataFrame(rows, columns=["event_id", "release", "version", "role"])


def expected_counts(
    events: pd.DataFrame,
    releases: Sequence[Release],
    *,
    time: str = "departed_at",
    id: str = "id",
    subject: str | None = "tailnum",
) -> dict[str, Any]:
    """`{"versions": {version: {role: scores}}, "releases": {sequence: events}}`, without zeros."""
    scores = expected_scores(events, releases, time=time, id=id, subject=subject)
    versions: dict[str, dict[str, int]] = {}
    pairs = zip(scores["version"], scores["role"], strict=True)
    for (version, role), n in Counter(pairs).items():
        versions.setdefault(version, {})[role] = n
    served = Counter(release_in_force(releases, events[time]))
    return {"versions": versions, "releases": dict(sorted(served.items()))}
