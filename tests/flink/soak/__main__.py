"""`make soak`: machines die at random under a running job for half an hour, and every event is accounted for.

    python -m tests.flink.soak --minutes 30 --seed 1

Ends with 0 when nothing was lost and every answer is that of a run that nothing disturbed.
"""

import argparse
import os
import random
import shutil
import sys
import time
from pathlib import Path

from examples.flights import service
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.local.parts import PartMissing
from runners.flink.local.processes import DidNotStart
from runners.flink.worker_pool import WorkerPool
from tests.flink.running import Machines
from tests.flink.soak.account import Account, table
from tests.flink.soak.trial import Trial, account

_FLIGHTS = Path("tests/data/flights/departures-2013-01.avro")
_SECONDS_BETWEEN_KILLS = 18.0
# With the cluster's own 30 s the job would spend most of the time after the first ten failures waiting for its restart,
# and further kills would not hit it. With half of the time between two failures it runs when they come.
_CHANGED = {"restart-strategy.exponential-delay.max-backoff": "5 s"}


def say(text: str) -> None:
    """One line of the story, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {text}", flush=True)


def main() -> int:
    """Runs the soak; 0 when the account holds."""
    parser = argparse.ArgumentParser(prog="python -m tests.flink.soak", allow_abbrev=False)
    parser.add_argument("--minutes", type=float, default=30.0, help="how long machines die (default 30)")
    parser.add_argument("--seed", type=int, help="which machines die, and when (default: drawn and printed)")
    given = parser.parse_args()
    if given.minutes <= 0:
        parser.error(f"argument --minutes: {given.minutes:g}; allowed: more than 0")
    seed = random.randrange(1_000_000) if given.seed is None else given.seed
    trial = Trial(given.minutes, max(round(given.minutes * 60 / _SECONDS_BETWEEN_KILLS), 1), seed)
    folder = Path(f"out/soak-{time.strftime('%Y%m%d-%H%M%S')}").absolute()
    folder.mkdir(parents=True)
    try:
        found = _run(trial, folder)
    except (PartMissing, DidNotStart, AssertionError) as error:
        print(f"soak: {error}\nThe logs are in {folder}", file=sys.stderr)
        return 1
    print(f"\n{table(found)}\n")
    if not found.holds:
        print(f"soak: the account does not hold; the logs are in {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    return 0


def _run(trial: Trial, folder: Path) -> Account:
    say("starting an S3 server, a Kafka broker, Flink with two task managers and Python workers")
    with S3Server(folder / "s3") as s3, KafkaBroker(folder / "kafka") as broker:
        os.environ.update(s3.environment)
        service.create_topics(broker)
        with FlinkCluster(folder / "flink", changed=_CHANGED) as cluster, WorkerPool(folder / "workers") as pool:
            machines = Machines(cluster, broker, s3, pool)
            return account(trial, machines, service.flights(_FLIGHTS), folder, say)


if __name__ == "__main__":
    sys.exit(main())
