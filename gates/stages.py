"""Where a rollout is, as its model's timeline says: a rollout has no state of its own.

Each release that a rollout writes says so in its evidence: `rollout:4f0c6e2a9b1d7735; step:2/5; promote; {…}`, with the
rollout's id, the step that it begins or stays in, what was decided, and the numbers of the verdict as JSON.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from gates.policy import SHADOW, Policy, PolicyStep
from gates.windows import CHALLENGER
from gates.windows import SHADOW as SHADOW_ROLE
from models.releases.release import Challenger, Release
from models.releases.timeline import serving_order
from schemas.times import MalformedTime, parse_time_us

BEGIN, PAUSE, RESUME = "begin", "pause", "resume"
_WRITTEN = re.compile(r"^rollout:([0-9a-f]{16}); step:(\d{1,2})/(\d{1,2}); (begin|promote|stop|pause|resume)(?:; |$)")

_POLICY_NAME = re.compile(r"^rollout ([^:]+): ")


class WrittenByRollout(NamedTuple):
    """What the evidence of a release says of the rollout that wrote it."""

    rollout: str
    step: int
    steps: int
    decision: str

    @property
    def has_ended(self) -> bool:
        """Whether nothing follows: the version was stopped, or is the champion."""
        return self.decision == "stop" or self.step == self.steps


def written_by(release: Release) -> WrittenByRollout | None:
    """What a release's evidence says of its rollout; None where no rollout wrote it.

    >>> written_by(Release(4, "delays", 0, "v1", evidence="rollout:4f0c6e2a9b1d7735; step:2/5; promote"))
    WrittenByRollout(rollout='4f0c6e2a9b1d7735', step=2, steps=5, decision='promote')
    """
    found = _WRITTEN.match(release.evidence)
    return None if found is None else WrittenByRollout(found[1], int(found[2]), int(found[3]), found[4])


def evidence_text(policy: Policy, step: int, decision: str, numbers: Mapping[str, Any]) -> str:
    """The evidence of a release that a rollout writes."""
    head = f"rollout:{policy.id}; step:{step}/{len(policy.steps)}; {decision}"
    return f"{head}; {json.dumps(numbers, ensure_ascii=False)}"


def numbers_in(release: Release) -> dict[str, Any]:
    """The numbers of the verdict in the evidence of a release; empty where there are none."""
    head, brace, rest = release.evidence.partition("{")
    try:
        found = json.loads(brace + rest) if brace and head else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


class KnownBefore(NamedTuple):
    """Up to which window there were records when a step was released, and when that was, where the step before serves
    in the same role; microseconds since 1970."""

    until_us: int
    released_us: int


NOTHING_KNOWN = KnownBefore(0, 0)


class Stage(NamedTuple):
    """Where a rollout is. Times in microseconds since 1970.

    `step`: 0 before the first; `release`: the last that the rollout wrote; `since_us`: from which event time on the
    rollout, and its step, serve; `paused`: by a person; `over`: why nothing more is to be decided, empty where it
    goes on; `last`: the sequence of the last release of the timeline, which the next one must follow; `known`: what was
    there when the step was released, where the step before has the same role.
    """

    step: int
    release: Release | None
    since_us: int
    step_since_us: int
    paused: bool
    over: str
    last: int
    known: KnownBefore = NOTHING_KNOWN

    @property
    def begun(self) -> bool:
        return self.release is not None


def stage_of(policy: Policy, history: Sequence[Release], last: int) -> Stage:
    """Where the rollout of a policy is.

    Args:
        policy: with the version.
        history: the valid releases, in the order of their sequences.
        last: the greatest sequence among them, 0 without any.
    """
    own = [(each, said) for each in history if (said := written_by(each)) is not None and said.rollout == policy.id]
    if not own:
        return Stage(0, None, 0, 0, False, "", last)
    release, said = own[-1]
    of_step = [each for each, other in own if other.step == said.step]
    moves = [other.decision for _, other in own if other.decision in (PAUSE, RESUME)]
    paused = bool(moves) and moves[-1] == PAUSE
    over = _over(policy, history, release, said)
    since_us, step_since_us = own[0][0].effective_from_us, of_step[0].effective_from_us
    return Stage(
        said.step, release, since_us, step_since_us, paused, over, last, _known_before(policy, said.step, of_step[0])
    )


def role_of(step: PolicyStep) -> str:
    """In which role a version serves in a step."""
    return SHADOW_ROLE if step.share == SHADOW else CHALLENGER


def _known_before(policy: Policy, step: int, released: Release) -> KnownBefore:
    """`released`: the release that began the step, whose evidence says until when there were records."""
    if step < 2 or role_of(policy.steps[step - 2]) != role_of(policy.steps[step - 1]):
        return NOTHING_KNOWN
    until = numbers_in(released).get("until")
    try:
        return KnownBefore(parse_time_us(str(until)), released.at_us)
    except MalformedTime:
        return NOTHING_KNOWN


def _over(policy: Policy, history: Sequence[Release], release: Release, said: WrittenByRollout) -> str:
    later = [each for each in history if each.sequence > release.sequence]
    if said.has_ended:
        return f"{policy.version} was stopped" if said.decision == "stop" else f"{policy.version} is the champion"
    if later:
        by = f"release {later[-1].sequence} by {later[-1].by}"
        return f"{by} is not of this rollout: somebody else has decided; next: another rollout, from a changed policy"
    return ""


def why_not_begun(policy: Policy, history: Sequence[Release]) -> str:
    """Why a rollout cannot begin where the timeline is; empty where it can."""
    if not history:
        return "the model has no release yet; next: halflife models release --champion VERSION"
    ordered = serving_order(history)
    newest, serves_last = history[-1], ordered[-1]
    said = written_by(newest)
    if said is not None and not said.has_ended:
        which = f"{_named(newest, said)} is at step {said.step} of {said.steps} (release {newest.sequence})"
        ends = f"end it by halflife models rollback --model {newest.model}"
        return f"{which}; next: {ends}, or follow it with the policy that it was begun with"
    if serves_last.sequence != newest.sequence:
        return f"release {serves_last.sequence} is scheduled and would take over; next: halflife models rollback"
    others = [each.version for each in newest.challengers if each.version != policy.version]
    if others:
        return f"release {newest.sequence} has another challenger, {', '.join(others)}; next: release without it"
    if newest.champion == policy.version:
        return f"{policy.version} is the champion already (release {newest.sequence})"
    return ""


def _named(release: Release, said: WrittenByRollout) -> str:
    """`rollout weekly of v2 (4f0c6e2a9b1d7735)`, as far as the release says so."""
    policy = _POLICY_NAME.match(release.reason)
    name, version = policy[1] if policy else "", numbers_in(release).get("version")
    return " ".join(filter(None, ["rollout", name, version and f"of {version}", f"({said.rollout})"]))


class Roles(NamedTuple):
    """Which versions serve in which roles."""

    champion: str
    challengers: tuple[Challenger, ...]
    shadows: tuple[str, ...]


def roles_at(policy: Policy, before: Release, step: PolicyStep) -> Roles:
    """The roles of a step, where a release of the step before, or from before the rollout, serves."""
    others = tuple(each for each in before.shadows if each != policy.version)
    if step.share == 1:
        return Roles(policy.version, (), others)
    if step.share == SHADOW:
        return Roles(before.champion, (), (*others, policy.version))
    return Roles(before.champion, (Challenger(policy.version, step.share),), others)


def roles_stopped(policy: Policy, before: Release) -> Roles:
    """The champion answers alone again."""
    return Roles(before.champion, (), tuple(each for each in before.shadows if each != policy.version))
