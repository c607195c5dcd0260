"""What waiting loses beside what a retraining costs, and how far back its data should go. Pure.

loss of waiting = (loss now − loss of a fresh model) × events per day × `value` × days of `pays_within`
price           = `price` + `price_of_event` × labelled events of the training data
"""

from collections.abc import Sequence
from typing import NamedTuple

from gates.retraining.losses import LossWindow, WornBy
from gates.retraining.policy import RetrainingPolicy

_DAY_US = 86_400_000_000


class LossOfWaiting(NamedTuple):
    """In the policy's unit: for a day, and within `pays_within`, each with the interval of the loss."""

    per_day: tuple[float, float, float]
    within: tuple[float, float, float]


class TrainingSpan(NamedTuple):
    """The event times whose data a retraining should have, the end not included, how many labelled events these are,
    and what they cost with the retraining itself; `shortened`: older windows since the change cost more than they
    save."""

    from_us: int
    to_us: int
    n: int
    price: float
    shortened: bool


def loss_of_waiting(policy: RetrainingPolicy, worn: WornBy, per_day: float) -> LossOfWaiting | None:
    """What not retraining loses; None where the policy does not say what loss is worth."""
    if policy.value is None:
        return None
    days = policy.pays_us / _DAY_US
    value, low, high = (each * per_day * policy.value for each in (worn.value, worn.low, worn.high))
    return LossOfWaiting((value, low, high), (value * days, low * days, high * days))


def training_span(policy: RetrainingPolicy, now: Sequence[LossWindow], most: float | None) -> TrainingSpan:
    """The windows since the change, the newest first, as long as a retraining on them costs no more than `most`, but
    at least those with the policy's minimum of events. Older data is of another time: of it a model would learn what
    is no longer so.

    Args:
        now: the windows since the last change.
        most: what may be spent; None where no price is declared.
    """
    price, taken, n = policy.price or 0.0, 0, 0
    for window in reversed(now):
        cost = price + policy.price_of_event * (n + window.n)
        if n >= policy.least_n and most is not None and cost > most:
            break
        n, taken = n + window.n, taken + 1
    chosen = now[len(now) - taken :]
    return TrainingSpan(chosen[0].start_us, chosen[-1].end_us, n, price + policy.price_of_event * n, taken < len(now))
