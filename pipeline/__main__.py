"""`python -m pipeline`: run a job."""

import sys
import time

from pipeline.interruption import program

STARTED = time.time()


def _run() -> int:
    from pipeline.run import run  # imported late, so that its own import time counts as start-up

    return run(sys.argv[1:], started=STARTED)


if __name__ == "__main__":
    program(_run, at_once=True)
