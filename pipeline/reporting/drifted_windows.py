"""The windows that drifted, one line each: which matter most, and which columns made them differ. Pure."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from models.profiles import SCORE

_NAMED = 3


class DriftedWindow(NamedTuple):
    """A window in which a column of an answering version drifted. `start`: of the window, a datetime in UTC.
    `severity`:
    how far the answers moved, or where the profile has none the columns, weighed by their importance. `columns`: those
    that
    drifted and moved most, with how far (`carrier_delay_sum_3h +0.84`); `drifted`: how many there are."""

    start: Any
    version: str
    severity: float
    columns: tuple[str, ...]
    drifted: int


def drifted_windows(statistics: pa.Table) -> list[DriftedWindow]:
    """Of DriftStatistic records, those windows of all events, most severe first; shadows, which answer nobody, apart.

    Of a window's panes the greatest counts.
    """
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
    found = [_window(key[0], key[1], group) for key, group in groups.items() if any(row["drifted"] for row in group)]
    return sorted(found, key=lambda window: (-window.severity, window.start, window.version))


def _window(start: Any, version: str, rows: Sequence[dict[str, Any]]) -> DriftedWindow:
    drifted = {row["column"]: row for row in rows if row["drifted"]}
    most = sorted(drifted.values(), key=lambda row: (-_weight(row), row["column"]))
    answers = [abs(row["effect"]) for row in rows if row["column"] == SCORE and row["effect"] is not None]
    severity = max(answers) if answers else _weight(most[0])
    columns = tuple(f"{row['column']} {row['effect'] or 0.0:+.2f}" for row in most[:_NAMED])
    return DriftedWindow(start, version, severity, columns, len(drifted))


def _weight(row: dict[str, Any]) -> float:
    importance = row["importance"]
    return float(abs(row["effect"] or 0.0) * (1.0 if importance is None else abs(importance)))
