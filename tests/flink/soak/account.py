"""The account of a soak: every event and answer, in figures."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from schemas.times import parse_time_us
from tests.flink.running import Answer, answers_of
from tests.flink.soak.plan import Kind
from tests.flink.soak.watch import Seen


class Left(NamedTuple):
    """What the job left on its topics, in the order of each, and the answers of an undisturbed run over its events."""

    events: Sequence[str]
    scores: Sequence[Mapping[str, Any]]
    receipts: Sequence[dict[str, Any]]
    dead_letters: Sequence[Mapping[str, Any]]
    undisturbed: set[Answer]


class Account(NamedTuple):
    """The figures. `unexplained`: scores written again though no restore lies between the two."""

    kills: Counter[Kind]
    restores: int
    events: int
    scored: int
    lost: list[str]
    repeated: int
    unexplained: int
    late: int
    dead_letters: int
    differing: list[Answer]
    versions: Counter[str]
    silent_seconds: float
    checkpoints: list[int]

    @property
    def holds(self) -> bool:
        """Whether nothing was lost and every answer is that of an undisturbed run."""
        return not (self.lost or self.differing or self.dead_letters) and self.events == self.scored


def account_of(left: Left, seen: Seen, kills: Counter[Kind]) -> Account:
    """Adds up what was found.

    An answer differs when only one side has it: a receipt that no undisturbed run writes, or a missing one; or when a
    score differs from its receipt's answer.
    """
    wanted = set(left.events)
    scored = {score["event_id"] for score in left.scores}
    answered = {receipt["event_id"] for receipt in left.receipts}
    differing = answers_of(list(left.receipts)) ^ left.undisturbed
    expected = {answer.score_id: answer for answer in left.undisturbed}
    differing |= {expected[score["score_id"]] for score in left.scores if not _agrees(score, expected)}
    return Account(
        kills=kills,
        restores=len(seen.restored_us),
        events=len(left.events),
        scored=len(scored),
        lost=sorted(wanted - (scored & answered)),
        repeated=len(left.scores) - len({score["score_id"] for score in left.scores}),
        unexplained=unexplained(left.scores, seen.restored_us),
        late=len({score["event_id"] for score in left.scores if score["late"]}),
        dead_letters=len(left.dead_letters),
        differing=sorted(differing),
        versions=Counter(answer.version for answer in left.undisturbed),
        silent_seconds=longest_silence(left.scores),
        checkpoints=seen.sizes,
    )


def _agrees(score: Mapping[str, Any], expected: Mapping[str, Answer]) -> bool:
    answer = expected.get(score["score_id"])
    return answer is None or (answer.version, answer.score) == (score["version"], score["score"])


def unexplained(scores: Iterable[Mapping[str, Any]], restored_us: Iterable[int]) -> int:
    """How many scores were computed again without a restore between the two times."""
    restores = sorted(restored_us)
    before: dict[str, int] = {}
    found = 0
    for score in scores:
        at = parse_time_us(score["scored_at"])
        first, last = sorted((before.get(score["score_id"], at), at))
        found += score["score_id"] in before and not any(first <= restore <= last for restore in restores)
        before[score["score_id"]] = at
    return found


def longest_silence(scores: Iterable[Mapping[str, Any]]) -> float:
    """The longest time in which no event was scored for the first time, in seconds."""
    first: dict[str, int] = {}
    for score in scores:
        at = parse_time_us(score["scored_at"])
        first[score["score_id"]] = min(at, first.get(score["score_id"], at))
    times = sorted(first.values())
    return max((after - before for before, after in pairwise(times)), default=0) / 1e6


def table(account: Account) -> str:
    """The account for people, one figure a line."""
    by_kind = ", ".join(f"{kind} {account.kills[kind]}" for kind in Kind)
    rows = {
        "kills": f"{account.kills.total()}: {by_kind}",
        "restores": account.restores,
        "events in": account.events,
        "events scored": account.scored,
        "lost": _some(account.lost),
        "scores written twice": f"{account.repeated}: repeated by a restore from the last checkpoint before it"
        f"{f', but {account.unexplained} without a restore between' if account.unexplained else ''}",
        "answers that differ": _some(account.differing),
        "marked late, dead letters": f"{account.late}, {account.dead_letters}",
        "versions": ", ".join(f"{version} {times}" for version, times in sorted(account.versions.items())),
        "checkpoint, kB": sizes(account.checkpoints),
        "longest without a new score": f"{account.silent_seconds:.0f} s",
    }
    return "\n".join(f"{name:<28} {value}" for name, value in rows.items())


def sizes(checkpoints: Sequence[int]) -> str:
    """The size at the start, after each quarter and at the end."""
    indexes = [round(part * (len(checkpoints) - 1) / 4) for part in range(5)] if checkpoints else []
    return " → ".join(f"{checkpoints[index] / 1000:.0f}" for index in indexes)


def _some(found: Sequence[object]) -> str:
    return f"{len(found)}{f', such as {found[0]}' if found else ''}"
