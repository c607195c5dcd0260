"""Where river's Page-Hinkley sees changes in fixed streams, for tests/gates/retraining/river.json.

It runs in an environment of its own, since the project does not need river (BSD-3):

    python -m venv apart && apart/bin/pip install river==0.26.1
    apart/bin/python benchmarks/gates/river_changes.py > tests/gates/retraining/river.json
"""

import importlib
import json
import random
import sys

SLACK, LIMIT = 0.5, 8.0
LENGTH, BEGINS = 120, 80
SHIFTS = (0.0, 2.0, 3.0, 5.0, -3.0)


def stream(seed: int, shift: float) -> list[float]:
    """Values of deviation 1 whose mean moves by `shift` at `BEGINS`; the test makes the same."""
    chance = random.Random(seed)
    return [chance.gauss(shift if index >= BEGINS else 0.0, 1.0) for index in range(LENGTH)]


def seen(values: list[float]) -> int | None:
    """The index of the first alarm."""
    page_hinkley = importlib.import_module("river.drift").PageHinkley
    detector = page_hinkley(min_instances=4, delta=SLACK, threshold=LIMIT, alpha=1.0)
    for index, value in enumerate(values):
        detector.update(value)
        if detector.drift_detected:
            return index
    return None


def main() -> None:
    """Prints the document."""
    found = [{"seed": seed, "shift": shift, "seen": seen(stream(seed, shift))} for shift in SHIFTS for seed in range(8)]
    json.dump({"length": LENGTH, "begins": BEGINS, "streams": found}, sys.stdout)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
