"""In which windows evidently finds a column drifted; runs in an environment of its own (evidently, pandas below 3).

`python evidently_alarms.py FOLDER` reads FOLDER/reference.parquet and FOLDER/windows.parquet, of equal columns, the
second with `window` beside them, and prints a JSON object {window: [columns]}. Test and
threshold are evidently's default for such data: of references of more than 1,000 rows the normed Wasserstein distance,
above 0.1. It is called without its reports, which take seconds for a window.
"""

import json
import sys
from pathlib import Path

import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest  # type: ignore[import-not-found]
from evidently.legacy.core import ColumnType  # type: ignore[import-not-found]


def main() -> None:
    """Prints the object."""
    folder = Path(sys.argv[1])
    reference, windows = (pd.read_parquet(folder / f"{kind}.parquet") for kind in ("reference", "windows"))
    known = {name: reference[name].sort_values() for name in reference.columns}  # it would be sorted for each window
    found = {
        str(window): [name for name, values in known.items() if _drifted(values, rows[name])]
        for window, rows in windows.groupby("window")
    }
    print(json.dumps(found), flush=True)


def _drifted(reference: pd.Series, current: pd.Series) -> bool:
    test = get_stattest(reference, current, ColumnType.Numerical, None)
    return bool(test(reference, current, ColumnType.Numerical, None).drifted)


main()
