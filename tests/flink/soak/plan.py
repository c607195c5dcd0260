"""Which machines die, and when: drawn by chance, and the same again for the same seed."""

import random
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple


class Kind(StrEnum):
    """What can die."""

    WORKER = "Python workers"
    POOL = "worker pool"
    TASK_MANAGER = "busy task manager"
    JOB_MANAGER = "job manager"
    BROKER = "broker"
    STORE = "store"


# How often each is among twenty failures. The job manager is rare because only an operator can restore the job.
DECK: Mapping[Kind, int] = {
    Kind.WORKER: 5,
    Kind.TASK_MANAGER: 5,
    Kind.BROKER: 4,
    Kind.POOL: 3,
    Kind.STORE: 2,
    Kind.JOB_MANAGER: 1,
}
# The longest down time of servers that are not restarted at once; the others have their keepers.
AWAY_SECONDS: Mapping[Kind, float] = {Kind.BROKER: 10.0, Kind.STORE: 40.0}


class Failure(NamedTuple):
    """One `kill -9`: `at` seconds after the first event of the soak, `away` seconds until it is started again."""

    at: float
    kind: Kind
    away: float


class Step(NamedTuple):
    """One thing to do: to kill, or to start again what was killed."""

    at: float
    kind: Kind
    kill: bool


def planned(minutes: float, kills: int, seed: int) -> list[Failure]:
    """So many failures at random times within the minutes, in their order; a machine that is down is not killed
    again."""
    chance = random.Random(seed)
    back_at: dict[Kind, float] = {}
    deck: list[Kind] = []
    plan = []
    for at in sorted(chance.uniform(0.0, minutes * 60) for _ in range(kills)):
        while all(back_at.get(kind, 0.0) > at for kind in deck):
            deck += _shuffled(chance)
        kind = next(kind for kind in deck if back_at.get(kind, 0.0) <= at)
        deck.remove(kind)
        away = chance.uniform(0.0, AWAY_SECONDS.get(kind, 0.0))
        back_at[kind] = at + away
        plan.append(Failure(at, kind, away))
    return plan


def _shuffled(chance: random.Random) -> list[Kind]:
    cards = [kind for kind, times in DECK.items() for _ in range(times)]
    chance.shuffle(cards)
    return cards


def steps(plan: list[Failure]) -> list[Step]:
    """The plan as single actions, in their order: others are killed while one is down."""
    dying = [Step(failure.at, failure.kind, True) for failure in plan]
    coming = [Step(failure.at + failure.away, failure.kind, False) for failure in plan if failure.kind in AWAY_SECONDS]
    return sorted([*dying, *coming])
