"""In which windows nannyml finds a column drifted; runs in an environment of its own (nannyml, statsmodels, pandas 2).

`python nannyml_alarms.py FOLDER` as `evidently_alarms.py`. Windows are its chunks, of equal size. By its defaults the
thresholds are three standard deviations of the chunks of the reference, the method Jensen and Shannon's distance.
"""

import json
import sys
from pathlib import Path

import nannyml  # type: ignore[import-not-found]
import pandas as pd


def main() -> None:
    """Prints the object."""
    folder = Path(sys.argv[1])
    reference, windows = (pd.read_parquet(folder / f"{kind}.parquet") for kind in ("reference", "windows"))
    names = list(reference.columns)
    size = int(windows.groupby("window").size().iloc[0])
    calculator = nannyml.UnivariateDriftCalculator(column_names=names, chunk_size=size)
    calculator.fit(reference)
    result = calculator.calculate(windows[names]).filter(period="analysis").to_df()
    alerts = result.xs("alert", axis=1, level=2)
    found = {str(row): [name for name in names if alerts[name].iloc[row].any()] for row in range(len(alerts))}
    print(json.dumps(found), flush=True)


main()
