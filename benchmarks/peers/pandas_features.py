"""The features of `benchmarks.many_features` as one writes them in pandas, point in time, from JSON lines to Parquet.

    python -m benchmarks.peers.pandas_features EVENTS.json FEATURES.json OUT.parquet

Times are rounded down to the step before the rolling windows, which leave out their end: so a window holds the events
of `[T - size, T)`, as the job's do. The whole input is in memory, in order of time.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

UNITS = {"m": "min", "h": "h", "d": "D"}


def main(words: Sequence[str]) -> int:
    """Reads events and features, and writes a column for each feature beside the events' ids."""
    events, features, out = map(Path, words)
    frame = pd.read_json(events, lines=True)
    computed(frame, json.loads(features.read_text())).to_parquet(out, index=False)
    return 0


def computed(frame: pd.DataFrame, features: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The id of each event and a column for each feature."""
    frame = frame.sort_values("at", kind="stable")
    found = {"id": frame["id"]}
    for key in dict.fromkeys(feature["key"] for feature in features):
        found |= _of_key(frame, key, [feature for feature in features if feature["key"] == key])
    return pd.DataFrame(found)[["id", *(feature["name"] for feature in features)]]


def _of_key(frame: pd.DataFrame, key: str, features: list[dict[str, Any]]) -> dict[str, pd.Series]:
    """Features of one key and one step; windows are shared by the features of one size."""
    ordered = frame.sort_values([key, "at"], kind="stable")
    moments = pd.to_datetime(ordered["at"], unit="us").dt.floor(_duration(features[0]["every"]))
    columns = list(dict.fromkeys(feature["column"] for feature in features))
    table = ordered[[key, *columns]].set_axis(pd.DatetimeIndex(moments))
    moment_of = {column: ordered["at"].where(ordered[column].notna()).to_numpy() for column in columns}
    seen = table[[key]].assign(**moment_of)
    found: dict[str, Any] = {}
    for size in dict.fromkeys(feature["size"] for feature in features):
        own = [feature for feature in features if feature["size"] == size]
        found |= _of_size(table, seen, ordered["at"].to_numpy(), key, own)
    return {name: pd.Series(values, ordered.index) for name, values in found.items()}


def _of_size(
    table: pd.DataFrame, seen: pd.DataFrame, at: np.ndarray[Any, Any], key: str, features: list[dict[str, Any]]
) -> dict[str, Any]:
    size = pd.Timedelta(_duration(features[0]["size"]))
    windows, times = (each.groupby(key).rolling(size, closed="left") for each in (table, seen))
    found: dict[str, Any] = {}
    for aggregate in dict.fromkeys(feature["aggregate"] for feature in features):
        own = {feature["name"]: feature["column"] for feature in features if feature["aggregate"] == aggregate}
        columns = list(dict.fromkeys(own.values()))
        if aggregate == "time_since_last":
            latest = times[columns].max()
            found |= {name: (at - latest[column].to_numpy()) / 1e6 for name, column in own.items()}
            continue
        values = getattr(windows[columns], "count" if aggregate == "rate" else aggregate)()
        if aggregate in ("count", "rate"):
            values = values.fillna(0) / (size.total_seconds() if aggregate == "rate" else 1)
        found |= {name: values[column].to_numpy() for name, column in own.items()}
    return found


def _duration(text: str) -> str:
    return text[:-1] + UNITS[text[-1]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
