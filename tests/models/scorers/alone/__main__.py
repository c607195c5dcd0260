"""`python -m tests.models.scorers.alone [LABEL…]`: the full form of the contract; exit 1 when an answer differs."""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.models.scorers.alone import all_cases, differences, full

_SHOWN = 5


def main(labels: list[str]) -> int:
    """Try the cases whose label begins with one of `labels`, or all that need no server; one line for each."""
    failed = 0
    for case in all_cases():
        if labels and not case.label.startswith(tuple(labels)):
            continue
        if case.fixtures:
            print(
                f"{case.label}: left out, as pytest starts its {', '.join(case.fixtures)}: "
                "tests/models/scorers/alone/test_alone.py"
            )
            continue
        started = time.monotonic()
        with TemporaryDirectory(prefix="halflife-alone-") as folder:
            found = differences(case, Path(folder) / "bundle", full)
        print(f"{case.label}: {len(found)} answers differ, {time.monotonic() - started:.1f} s", flush=True)
        for each in found[:_SHOWN]:
            print(f"  {each}")
        failed += bool(found)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
