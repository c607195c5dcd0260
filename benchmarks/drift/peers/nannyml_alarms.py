"""In which windows nannyml finds a column drifted; runs in an environment of its own (nannyml, statsmodels, pandas 2).

`python nannyml_alarms.py FOLDER` as `evidently_alarms.py`. Windows are its chunks, of equal size. By its defaults the
thresholds are three standard deviations of the chunks of the reference, the method Jensen and Shannon's distance.
"""

import json
import sys
from pathlib import Path

import nannyml  # type: ignore[import-not-found]
import pandas as pd

_KINDS = ("reference", "windows")


def main() -> None:
    """Prints a line for each case."""
    for path in sorted(Path(sys.argv[1]).glob("*.reference.parquet")):
        case = path.name.split(".")[0]
        reference, windows = (pd.read_parquet(path.with_name(f"{case}.{kind}.parquet")) for kind in _KINDS)
        names = list(reference.columns)
        size = int(windows.groupby("window").size().iloc[0])
        calculator = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=size)
        calculator.fit(reference)
        result = calculator.calculate(windows[names]).filter(period="analysis").to_df()
        alerts = result.xs("alert", axis=1, level=2)
        found = {str(row): [name for name in names if alerts[name].iloc[row].any()] for row in range(len(alerts))}
        print(json.dumps({case: found}), flush=True)


main()
