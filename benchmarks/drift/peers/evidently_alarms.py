"""In which windows evidently finds a column drifted; runs in an environment of its own (evidently, pandas below 3).

`python evidently_alarms.py FOLDER` reads of each case CASE.reference.parquet and CASE.windows.parquet, of equal
columns, the second with `window` beside them, and prints a JSON line for each: {case: {window: [columns]}}. Test and
threshold are evidently's default for such data: of references of more than 1,000 rows the normed Wasserstein distance,
above 0.1. It is called without its reports, which take seconds for a window.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest  # type: ignore[import-not-found]
from evidently.legacy.core import ColumnType  # type: ignore[import-not-found]

_KINDS = ("reference", "windows")


def main() -> None:
    """Prints a line for each case."""
    for path in sorted(Path(sys.argv[1]).glob("*.reference.parquet")):
        case = path.name.split(".")[0]
        reference, windows = (pd.read_parquet(path.with_name(f"{case}.{kind}.parquet")) for kind in _KINDS)
        found = {
            str(window): [name for name in reference.columns if _drifted(reference[name], rows[name])]
            for window, rows in windows.groupby("window")
        }
        print(json.dumps({case: found}), flush=True)


def _drifted(reference: pd.Series, current: pd.Series) -> bool:
    test = get_stattest(reference, current, ColumnType.Numerical, None)
    return bool(test(reference, current, ColumnType.Numerical, None).drifted)


main()
