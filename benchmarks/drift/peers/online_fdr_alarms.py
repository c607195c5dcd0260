"""Which windows have a discovery by BatchBH of online-fdr (BSD-3); runs in an environment of its own.

`python online_fdr_alarms.py FILE`: JSON lists of the p values of each window, in the order of time; prints a list of
how many discoveries each window has, at a false discovery rate of 1 % over all windows so far (T. Zrnic, D. Jiang,
A. Ramdas and M. Jordan, "The Power of Batching in Multiple Hypothesis Testing", 2020).
"""

import json
import sys
from pathlib import Path

from online_fdr.p_values import BatchBH  # type: ignore[import-not-found]


def main() -> None:
    """Prints the list."""
    test = BatchBH(alpha=0.01)
    windows = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(json.dumps([sum(map(bool, test.test_batch(p_values))) for p_values in windows]))


main()
