"""`python -m pipeline`: run a job."""

import sys
import time

STARTED = time.time()

if __name__ == "__main__":
    from pipeline.run import run  # imported late, so that its own import time counts as start-up

    sys.exit(run(sys.argv[1:], started=STARTED))
