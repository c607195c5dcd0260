"""One soak: the job under a stream of events, the failures, the wait for the rest, the account."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from examples.flights import service
from examples.flights.service import Event, records
from tests.flink.running import FIRST_EVENTS, Machines, Resumable, Running, following, running, undisturbed
from tests.flink.soak.account import Account, Left, account_of
from tests.flink.soak.machines import Disturbance
from tests.flink.soak.plan import planned
from tests.flink.soak.stream import endless, flowing
from tests.flink.soak.watch import watched

_CATCH_UP_SECONDS = 900.0
# A Kafka client tries again at most 10 s after the broker is back. A partition that is silent only because the sender
# still waits must not count as idle: its next records would be late.
_IDLE_AFTER = "15s"


class Trial(NamedTuple):
    """How long failures come, how many, by which seed, and how many events a second meanwhile."""

    minutes: float
    kills: int
    seed: int
    per_second: float = 20.0


@contextmanager
def started(machines: Machines, flights: Sequence[Event], folder: Path) -> Iterator[Resumable]:
    """The job with workers of the pool, once it has scored its first events."""
    broker = machines.broker
    topic = f"events.uri=kafka://{broker.bootstrap}/flights?idle_after={_IDLE_AFTER}"
    with ExitStack() as stack:
        live = stack.enter_context(running(machines, endless(flights), folder, [topic]))
        given = [*following(broker, live.store.url), "--set", topic]
        yield Resumable(stack, live, machines.pool, given, folder)


def release_for_the_middle(live: Running, trial: Trial, flights: Sequence[Event]) -> None:
    """v2 from the event time on that is reached in the middle: the cut-over comes while machines die."""
    at_us = middle_us(trial, flights)
    live.store.append_release(champion="v2", effective_from_us=at_us, by="soak")
    live.wait_until(lambda: bool(service.told(live.broker, "released", "v2")), 120, "v2 admitted")


def middle_us(trial: Trial, flights: Sequence[Event]) -> int:
    """The time of the event that is sent when half of the trial is over, in microseconds."""
    number = FIRST_EVENTS + round(trial.minutes * 30 * trial.per_second)
    return int(next(islice(endless(flights), number, None))["departed_at"].timestamp() * 1e6)


def account(
    trial: Trial, machines: Machines, flights: Sequence[Event], folder: Path, say: Callable[[str], None]
) -> Account:
    """Runs the trial and returns its account. Raises `AssertionError` when the job ends or does not catch up."""
    with started(machines, flights, folder) as soaked:
        release_for_the_middle(soaked.live, trial, flights)
        say(f"{len(soaked.live.sent)} events scored; Flink's page: http://{machines.cluster.master}; {trial}")
        disturbance = Disturbance(soaked, machines, say)
        with watched(machines.cluster) as seen:
            with flowing(soaked.live, trial.per_second):
                disturbance.run(planned(trial.minutes, trial.kills, trial.seed))
            say(f"the machines are left alone; {len(soaked.live.sent)} events sent")
            began = time.monotonic()
            soaked.live.wait_for_scores(_CATCH_UP_SECONDS, f"{len(soaked.live.sent)} events scored")
            say(f"all of them have scores {time.monotonic() - began:.0f} s later")
        return account_of(left_by(soaked.live, folder), seen, disturbance.kills)


def left_by(live: Running, folder: Path) -> Left:
    """Everything on the topics, and a bounded run over the same events."""
    return Left(
        events=[event["id"] for event in live.sent],
        scores=live.scores(),
        receipts=records(live.broker, "audit.receipts"),
        dead_letters=records(live.broker, "dead"),
        undisturbed=undisturbed(live.broker, live.store.url, folder),
    )
