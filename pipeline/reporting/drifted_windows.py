"""The windows that matter, one line each: how far the answers moved, and which columns made them differ. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from models.profiles import SCORE

_NAMED = 3
MEDIUM = 0.5
"""A difference of half a standard deviation is of medium size (J. Cohen, Statistical Power Analysis, 1988)."""


class DriftedWindow(NamedTuple):
    """A window in which a column of an answering version drifted, or whose answers moved by `MEDIUM`.

    `start`: of the window, a datetime in UTC. `severity`: how far the answers moved, in their standard deviations, or
    where the profile has none the columns, weighed by their importance. `columns`: those that drifted and would move
    the answers most, with how far they moved (`carrier_delay_sum_3h +0.84`); where none drifted, those of all.
    `drifted`: how many drifted."""

    start: Any
    version: str
    severity: float
    columns: tuple[str, ...]
    drifted: int


def drifted_windows(statistics: pa.Table) -> list[DriftedWindow]:
    """Of DriftStatistic records, those windows of all events in which a column drifted, most severe first; shadows,
    which answer nobody, apart. Of a window's panes the greatest counts."""
    return [window for window in windows_that_matter(statistics) if window.drifted]


def windows_that_matter(statistics: pa.Table) -> list[DriftedWindow]:
    """As `drifted_windows`, and beside them the windows whose answers moved by `MEDIUM` or more, although some windows
    of the training data moved as far. So a calm year names none, and a stormy one its worst days."""
    answering = pc.and_(statistics["segment"].is_null(), pc.not_equal(statistics["role"], "shadow"))
    names = ["window_start", "pane", "version", "role", "column", "drifted", "effect", "importance"]
    rows = statistics.filter(answering).select(names).to_pylist()
    panes: dict[tuple[Any, str, str], int] = {}
    for row in rows:
        key = (row["window_start"], row["version"], row["role"])
        panes[key] = max(panes.get(key, 0), row["pane"])
    groups: dict[tuple[Any, str, str], list[dict[str, Any]]] = {}
    for row in rows:
        key = (row["window_start"], row["version"], row["role"])
        if row["pane"] == panes[key]:
            groups.setdefault(key, []).append(row)
    each = [_window(key[0], key[1], group) for key, group in groups.items()]
    found = [window for window in each if window.drifted or window.severity >= MEDIUM]
    return sorted(found, key=lambda window: (-window.severity, window.start, window.version))


def _window(start: Any, version: str, rows: Sequence[dict[str, Any]]) -> DriftedWindow:
    drifted = {row["column"]: row for row in rows if row["drifted"]}
    named = drifted or {row["column"]: row for row in rows if row["column"] != SCORE}
    most = sorted(named.values(), key=lambda row: (-_weight(row), row["column"]))
    answers = [abs(row["effect"]) for row in rows if row["column"] == SCORE and row["effect"] is not None]
    severity = max(answers) if answers else max(map(_weight, most), default=0.0)
    columns = tuple(f"{row['column']} {row['effect'] or 0.0:+.2f}" for row in most[:_NAMED])
    return DriftedWindow(start, version, severity, columns, len(drifted))


def _weight(row: dict[str, Any]) -> float:
    importance = row["importance"]
    return float(abs(row["effect"] or 0.0) * (1.0 if importance is None else abs(importance)))
