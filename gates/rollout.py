"""One look of a rollout: where it is, what the records say, and what is to be written. Nothing is written here."""

from collections.abc import Sequence
from typing import NamedTuple

from gates.policy import Policy
from gates.records import QualityRow
from gates.stages import BEGIN, PAUSE, RESUME, Roles, Stage, roles_at, roles_stopped, stage_of, why_not_begun
from gates.verdicts import HOLD, PROMOTE, STOP, GateVerdict, StepServed, judge
from models.releases.release import Release

NOT_PAUSED = "not_paused"
"""The reason of a look that was to pause or resume, where there is nothing to pause or resume."""


class Move(NamedTuple):
    """A release that is to follow `after`: what is decided, the step that it begins or stays in, and the roles."""

    decision: str
    step: int
    roles: Roles
    after: int


class RolloutLook(NamedTuple):
    """What one look found: the stage, the verdict, and the move that follows from it; None where nothing is written."""

    stage: Stage
    verdict: GateVerdict
    move: Move | None


def look_at(
    policy: Policy,
    history: Sequence[Release],
    rows: Sequence[QualityRow],
    *,
    last: int,
    unusable: str = "",
    approved: bool = False,
) -> RolloutLook:
    """What is to be done now. Pure: the same timeline and records give the same look, so that one that was
    interrupted is simply done again.

    Args:
        policy: of the rollout.
        history: the valid releases, in the order of their sequences.
        rows: the records of quality of the model.
        last: the sequence of the last valid release.
        unusable: why the version may not serve: it was withdrawn, does not exist or was refused; empty if it may.
        approved: whether a person agrees to what the policy lets wait.
    """
    stage = stage_of(policy, history, last)
    if stage.over:
        return RolloutLook(stage, GateVerdict(HOLD, "over", stage.over), None)
    if stage.release is None:
        return _beginning(policy, history, stage, unusable)
    step = policy.steps[stage.step - 1]
    served = StepServed(stage.release.champion, stage.since_us, stage.step_since_us, step, stage.known)
    verdict = judge(policy, served, rows)
    if verdict.action == STOP:
        return RolloutLook(stage, verdict, Move(STOP, stage.step, roles_stopped(policy, stage.release), last))
    if verdict.action == HOLD:
        return RolloutLook(stage, verdict, None)
    return _promoting(policy, stage, stage.release, verdict, approved)


def _beginning(policy: Policy, history: Sequence[Release], stage: Stage, unusable: str) -> RolloutLook:
    why = unusable or why_not_begun(policy, history)
    if why:
        return RolloutLook(stage, GateVerdict(HOLD, "unusable" if unusable else "cannot_begin", why), None)
    verdict = GateVerdict(PROMOTE, BEGIN, f"the rollout begins: {policy.version} at {policy.steps[0]}")
    return RolloutLook(stage, verdict, Move(BEGIN, 1, roles_at(policy, history[-1], policy.steps[0]), stage.last))


def _promoting(policy: Policy, stage: Stage, serving: Release, verdict: GateVerdict, approved: bool) -> RolloutLook:
    following = stage.step + 1
    if stage.paused:
        held = f"paused at step {stage.step}, though {verdict.why}; next: halflife rollout --resume"
        return RolloutLook(stage, GateVerdict(HOLD, "paused", held, verdict.evidence), None)
    if policy.awaits(following) and not approved:
        held = f"step {following} ({policy.steps[following - 1]}) waits for a person, as {verdict.why}"
        return RolloutLook(
            stage, GateVerdict(HOLD, "approval", f"{held}; next: halflife rollout --approve", verdict.evidence), None
        )
    roles = roles_at(policy, serving, policy.steps[following - 1])
    return RolloutLook(stage, verdict, Move(PROMOTE, following, roles, stage.last))


def pausing(policy: Policy, history: Sequence[Release], last: int, resume: bool = False) -> RolloutLook:
    """What a person's `--pause`, or `--resume`, writes: the same roles again, so that every rollout knows of it."""
    stage, verb = stage_of(policy, history, last), RESUME if resume else PAUSE
    if stage.release is None or stage.over or stage.paused is not resume:
        begun = "it is paused already" if stage.paused else "it is not paused"
        why = stage.over or (begun if stage.release else "the rollout has not begun")
        return RolloutLook(stage, GateVerdict(HOLD, NOT_PAUSED, f"there is nothing to {verb}: {why}"), None)
    serving = stage.release
    roles = Roles(serving.champion, serving.challengers, serving.shadows)
    return RolloutLook(stage, GateVerdict(HOLD, verb, f"{verb}d by a person"), Move(verb, stage.step, roles, last))
