"""Which version is trained until when, and which serves from when: three versions of one model and seven releases."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MODEL = "flight-delay"
LATE_MINUTES = 15.0
BROKEN = "3-broken"
CANARY_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Training:
    """A version: its scorer's kind, and the moment (RFC 3339) by which its training labels had landed."""

    version: str
    kind: str
    until: str


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """A release as it will stand in the store; `challengers` maps versions to shares."""

    effective_from: str
    champion: str
    reason: str
    challengers: Mapping[str, float] = field(default_factory=dict)
    shadows: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """Versions in the order of their training, and releases in the order of their effect."""

    trainings: tuple[Training, ...]
    releases: tuple[PlannedRelease, ...]


def plan_of(first: str, second: str, shadow: str, canary: str, promoted: str, broken: str, third: str) -> Plan:
    """The releases at given times: 1 champion, 2 shadow, 2 canary, 2 champion, a broken one, 3 shadow, 3 champion.

    `first`, `second` and `broken` also end the training of versions 1, 2 and 3.
    """
    trainings = (
        Training("1", "linear", first),
        Training("2", "sklearn", second),
        Training("3", "tensorflow", broken),
    )
    releases = (
        PlannedRelease(first, "1", "first version"),
        PlannedRelease(shadow, "1", "watch version 2 on live traffic before it answers anyone", shadows=("2",)),
        PlannedRelease(canary, "1", "version 2 answers for a tenth of the flights", challengers={"2": CANARY_SHARE}),
        PlannedRelease(promoted, "2", "version 2 held up as a canary"),
        PlannedRelease(broken, BROKEN, "version 3, exported with a wrong sign: never serves"),
        PlannedRelease(broken, "2", "watch version 3 before it answers", shadows=("3",)),
        PlannedRelease(third, "3", "version 3 held up as a shadow"),
    )
    return Plan(trainings, releases)


YEAR_PLAN = plan_of(
    first="2013-03-01T05:00:00Z",
    second="2013-05-01T04:00:00Z",
    shadow="2013-05-01T04:00:00Z",
    canary="2013-06-01T04:00:00Z",
    promoted="2013-07-01T04:00:00Z",
    broken="2013-09-01T04:00:00Z",
    third="2013-10-01T04:00:00Z",
)
# For the five days that are committed for the tests.
SMALL_PLAN = plan_of(
    first="2013-01-02T12:00:00Z",
    second="2013-01-03T05:00:00Z",
    shadow="2013-01-03T05:00:00Z",
    canary="2013-01-03T17:00:00Z",
    promoted="2013-01-04T05:00:00Z",
    broken="2013-01-04T17:00:00Z",
    third="2013-01-05T05:00:00Z",
)
