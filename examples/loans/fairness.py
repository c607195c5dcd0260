"""What the decisions of one week did to groups of applicants, from the records that a run wrote."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from schemas.avro.datums import decode_block
from schemas.avro.files import read_blocks

COLUMN = "driver_tenure"
"""Stands for age: the data name neither sex nor age."""
_RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")
_PARITY = "demographic_parity_difference"
_DISPARITIES = {
    _PARITY: "demographic parity: approved",
    "equal_opportunity_difference": "equal opportunity: approved of those who repay",
    "equalized_odds_difference": "equalised odds: the greater of that and of those who do not repay",
}
_LEAST_COVERAGE = 0.8
_WHOLE = 0.9
"""Of the events of the fullest week: fewer are a part of one."""
Record = Mapping[str, Any]


class FairWeek(NamedTuple):
    """A week of decisions: its first day, by which version, of each group the applications and its rates as texts, and
    of each disparity what it is and its value."""

    begins: str
    version: str
    groups: Sequence[tuple[str, ...]]
    disparities: Sequence[tuple[str, str]]


def fair_week(folder: Path, run: str) -> FairWeek | None:
    """The first whole week of a champion in which groups were compared and most outcomes are known; None where there is
    none."""
    weeks = dict[tuple[Any, str], list[Record]]()
    for row in _records(folder, run):
        if row["role"] == "champion" and (row["segment"] == COLUMN or f"{COLUMN} " in row["segment"]):
            weeks.setdefault((row["window_start"], row["version"]), []).append(row)
    compared = {week: {row["metric"]: row for row in rows if row["segment"] == COLUMN} for week, rows in weeks.items()}
    most = max((whole[_PARITY]["events"] for whole in compared.values()), default=0)
    for week in sorted(compared):
        whole = compared[week]
        if whole[_PARITY]["value"] is not None and whole[_PARITY]["events"] >= _WHOLE * most and _is_covered(whole):
            disparities = [(said, _of(whole[metric])) for metric, said in _DISPARITIES.items()]
            return FairWeek(f"{week[0]:%Y-%m-%d}", week[1], list(_groups(weeks[week])), disparities)
    return None


def _is_covered(whole: Mapping[str, Record]) -> bool:
    return (whole["equalized_odds_difference"]["label_coverage"] or 0.0) >= _LEAST_COVERAGE


def _groups(rows: Sequence[Record]) -> Iterator[tuple[str, ...]]:
    """In order of the numbers that bound them."""
    of_group = dict[str, dict[str, Record]]()
    for row in rows:
        if row["segment"] != COLUMN and row["metric"] in _RATES:
            of_group.setdefault(row["segment"], {})[row["metric"]] = row
    for group in sorted(of_group, key=_bounds):
        own = of_group[group]
        yield (group, f"{own['selection_rate']['events']:,}", *(_of(own[metric], share=True) for metric in _RATES))


def _bounds(group: str) -> tuple[list[float], str]:
    """
    >>> sorted(["3 <= driver_tenure < 6", "driver_tenure >= 9", "driver_tenure < 3"], key=_bounds)
    ['driver_tenure < 3', '3 <= driver_tenure < 6', 'driver_tenure >= 9']
    """
    found = [float(word) for word in group.split() if word.replace(".", "").isdigit()]
    return sorted([*found, -1.0] if group.startswith(f"{COLUMN} <") else found), group


def _of(row: Record, share: bool = False) -> str:
    """A value with its interval."""
    if row["value"] is None:
        return row["why"] or "not known"
    numbers = [row["value"], row["low"], row["high"]]
    if share:
        value, low, high = (f"{100 * each:.0f}" for each in numbers)
        return f"{value} % ({low} to {high})"
    value, low, high = (f"{each:.2f}" for each in numbers)
    return f"{value} ({low} to {high})"


def _records(folder: Path, run: str) -> Iterator[Record]:
    for path in sorted(folder.glob(f"quality-{run}-*.avro")):
        with path.open("rb") as stream:
            for block in read_blocks(stream):
                yield from decode_block(block.data, block.datums, block.schema).rows.to_pylist()
