"""What other packages compute on fixed samples, for tests/gates/oracles.json.

They run in an environment of their own: savvi (MIT) needs a solver, and confseq (MIT) Boost for parts that
are not needed here, so its unpacked source on the path is enough:

    uv venv apart && uv pip install --python apart/bin/python savvi matplotlib multiprocess
    pip download confseq==0.0.11 --no-deps && tar xzf confseq-0.0.11.tar.gz
    PYTHONPATH=confseq-0.0.11/src apart/bin/python benchmarks/gates/oracles.py > tests/gates/oracles.json
"""

import json
import sys

import numpy as np

np.float_ = np.float64  # type: ignore[attr-defined]  # confseq 0.0.11 was written for numpy 1

from confseq.betting import hedged_cs  # type: ignore[import-not-found]  # noqa: E402
from savvi.linear_regression import LinearRegression  # type: ignore[import-not-found]  # noqa: E402

ERROR_RATE = 0.05
SIZES = (50, 200, 1000)


def main() -> None:
    """Prints the document."""
    draw = np.random.default_rng(7)
    values = draw.beta(2, 3, SIZES[-1]).round(6)
    low, high = hedged_cs(values, alpha=ERROR_RATE, breaks=20_000)
    regression, radii = LinearRegression(ERROR_RATE, 1, phi=100.0), {}
    for count, value in enumerate(values, 1):
        regression.update(np.array([value, 1.0]))
        if count in SIZES:
            first, last = regression.calculate_conf_int()[0]
            radii[count] = [float(first), float(last)]
    document = {
        "values": values.tolist(),
        "betting": {count: [float(low[count - 1]), float(high[count - 1])] for count in SIZES},
        "mixture": {"phi": 100.0, "intervals": radii},
    }
    json.dump(document, sys.stdout)


main()
