"""Which version is trained until when, and which serves from when: two versions, four releases and a rollback."""

from dataclasses import dataclass

from examples.loans.source import ANALYSIS, REFERENCE

MODEL = "car-loan"
BY = "examples.loans"
APPROVED, REJECTED = "approved", "rejected"
EXPORTED = "2-export"
"""The version that must be refused: the golden records of version 2 with the trees of version 1."""


@dataclass(frozen=True, slots=True)
class Training:
    """A version: the moment (RFC 3339) until which outcomes were known to it, from which score on it approves, and the
    files of the applications that it may learn from."""

    version: str
    until: str
    threshold: float
    files: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PlannedRelease:
    """A release as it will stand in the store."""

    effective_from: str
    champion: str
    reason: str
    shadows: tuple[str, ...] = ()


TRAININGS = (
    Training("1", "2018-10-30T18:00:00Z", 0.5, (REFERENCE,)),
    Training("2", "2019-02-01T00:00:00Z", 0.6, (REFERENCE, ANALYSIS)),
)
RELEASES = (
    PlannedRelease("2018-10-30T18:00:00Z", "1", "the first version"),
    PlannedRelease("2019-02-01T06:00:00Z", EXPORTED, "version 2, trained on the outcomes of three more months"),
    PlannedRelease("2019-02-01T12:00:00Z", "1", "watch version 2 before it decides anything", shadows=("2",)),
    PlannedRelease("2019-03-01T00:00:00Z", "2", "of what version 2 approves from 0.6 on, less is not repaid"),
)
ROLLBACK_FROM = "2019-05-10T00:00:00Z"
ROLLBACK_REASON = "twice as many approved loans are not repaid since 31 March: version 1 until it is known why"
