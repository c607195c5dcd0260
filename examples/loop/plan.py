"""The two loops: when each model is born, and on which days somebody looks. Days are of event time: the demo lets a
year pass."""

from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

HERE = Path(__file__).resolve().parent
BY = "examples.loop"
FIRST = "1"
"""The version that is trained before the loop begins."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A model and its year. `born`: when the first version is released, trained on what was known by then; `looks`:
    the days on which what has arrived since is scored, and the loop goes on; `recent`: of so many of these stretches a
    run reads the events, for features and for labels that come late; `texts`: the inputs that are texts; `trains_on`:
    the advice on which a version is trained, and `rule` the same for people."""

    name: str
    model: str
    title: str
    born: date
    looks: tuple[date, ...]
    recent: int
    texts: tuple[str, ...]
    trains_on: tuple[str, ...]
    rule: str

    @property
    def job(self) -> Path:
        """The spec of the job."""
        return HERE / f"{self.name}.yaml"

    @property
    def policy(self) -> Path:
        """The policy by which a version becomes champion."""
        return HERE / f"{self.name}-rollout.yaml"


def every(first: date, last: date, days: int) -> tuple[date, ...]:
    """Days that are so far apart.

    >>> [str(day) for day in every(date(2019, 1, 3), date(2019, 2, 1), 14)]
    ['2019-01-03', '2019-01-17', '2019-01-31']
    """
    return tuple(first + timedelta(days=after) for after in range(0, (last - first).days + 1, days))


LOANS = Loop(
    "loans",
    "loop-car-loan",
    "car loans: will it be repaid? (synthetic data; an outcome is known two weeks after its application)",
    born=date(2018, 11, 1),
    looks=every(date(2018, 11, 29), date(2019, 9, 19), 28),
    recent=2,
    texts=("salary_range", "size_of_downpayment"),
    trains_on=("retrain",),
    rule="A version is trained where the advice is to retrain, on what is known since the change.",
)
FLIGHTS = Loop(
    "flights",
    "loop-flight-delay",
    "flights from New York: will it arrive more than 15 minutes late? (a label is there when it lands)",
    born=date(2013, 1, 11),
    looks=(*(date(2013, month, 1) for month in range(2, 13)), date(2014, 1, 2)),
    recent=2,
    texts=("carrier",),
    trains_on=("retrain", "look"),
    rule="The first version has seen ten days of January and no more. A version is trained where the advice is to "
    "retrain, on what is known since the change, or to look, on all that is known. Advice is by the loss of days, "
    "which weather moves too; whether a version is better is seen in pairs, on the same flights, where the weather "
    "cancels out. So the gate alone decides, and a version that is not shown to be better within a month is stopped.",
)
