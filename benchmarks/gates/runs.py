"""Simulated rollouts: the shipped code on a store and on written records, one look after each window."""

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from benchmarks.gates.losses import DAY_US, DrawnArm, Losses, draw, written
from gates.acting import ActingRollout, Said
from gates.policy import read_policy
from gates.records import QualityRecords
from gates.verdicts import HOLD
from models.store.backends import Backend
from models.store.store import ModelStore
from pipeline.commands.rollout.journal import AuditJournal
from schemas.avro.files import AvroFileWriter
from schemas.records import avsc

_BEGAN_US = 1_546_300_800_000_000  # 2019-01-01
NAIVE_LOOKS = 20
_CRITICAL = 1.96


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is simulated, by which policy, `times` as often as others; runs have the seeds `seed`, `seed` + 1, …"""

    name: str
    losses: Losses
    policy: Mapping[str, Any]
    seed: int = 1
    times: int = 1


class RunOutcome(NamedTuple):
    """How one simulated rollout ended: the verdict (`hold`: none), the labelled events then, and the events that it had
    answered; whether a test of fixed n, looked at once and twenty times, called the versions different."""

    action: str
    n: int
    answered: int
    once: bool
    twenty_times: bool


def run(scenario: Scenario, seed: int) -> RunOutcome:
    """One rollout from its beginning to its end, or to the last window."""
    own, other = draw(scenario.losses, np.random.default_rng(seed))
    name = f"{scenario.name.replace(' ', '-')}-{seed}"
    acting = _rollout(scenario, name)
    acting.act(_at(0))
    action, n, answered = HOLD, 0, scenario.losses.own * scenario.losses.windows
    files = Backend(f"memory://quality-{name}")
    for number, batch in enumerate(written(own, other, _BEGAN_US, scenario.losses.paired), 1):
        stream = io.BytesIO()
        AvroFileWriter(stream, avsc("Quality")).write(batch)
        files.create(f"quality-{number:05}.avro", stream.getvalue())
        acted = acting.act(_at(number))
        if acted.written is not None:
            verdict = acted.look.verdict
            action, n, answered = verdict.action, verdict.evidence["n"], scenario.losses.own * number
            break
    return RunOutcome(action, n, answered, *_naive(own, other))


def _rollout(scenario: Scenario, name: str) -> ActingRollout:
    stated = {"rollout": "simulated", "version": "v2", "steps": [{"share": "5%"}, {"share": "100%"}]}
    store = ModelStore(f"memory://store-{name}", "simulated")
    files = Backend(store.url)
    for version in ("v1", "v2"):  # nothing is scored: a manifest makes a version
        files.create(f"simulated/versions/{version}/manifest.json", b"{}")
    store.append_release(champion="v1", effective_from_us=0, by="simulation", now_us=0)
    records = QualityRecords(f"memory://quality-{name}", "simulated")
    journal = AuditJournal(f"memory://audit-{name}", "simulated")
    return ActingRollout(read_policy({**stated, **scenario.policy}), store, records, journal)


def _at(window: int) -> Said:
    time_us = _BEGAN_US + window * DAY_US
    return Said("simulation", time_us, time_us)


def _naive(own: DrawnArm, other: DrawnArm) -> tuple[bool, bool]:
    """Whether a two-sided test at 5 % finds a difference: at the end, and at any of twenty equal looks."""
    ends = (np.arange(1, NAIVE_LOOKS + 1) * len(own.values)) // NAIVE_LOOKS
    differences, variances = [], []
    for end in ends.tolist():
        sides = [arm.values[:end].ravel() for arm in (own, other)]
        differences.append(sides[0].mean() - sides[1].mean())
        variances.append(sum(side.var(ddof=1) / len(side) for side in sides))
    crossed = np.abs(differences) > _CRITICAL * np.sqrt(variances)
    return bool(crossed[-1]), bool(crossed.any())
