"""Rollouts that act on a store: every step in the timeline, whoever else writes, whenever they are killed."""

import json
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from gates.acting import Acted, ActingRollout, Said
from gates.policy import read_policy
from gates.records import QualityRecords, QualityRow
from gates.stages import written_by
from models.store.backends import Backend
from models.store.release_log import ReleasedMeanwhile
from models.store.store import ModelStore
from pipeline.commands.rollout.journal import AuditJournal
from schemas.records import ModelEvent
from tests.gates.written import DAY_US, FIRST_US, row, write
from tests.pipeline.commands.commands import Models

POLICY = {
    "rollout": "test", "margin": 0.05, "minimum": {"n": 500}, "labels": {"wait": "3d"},
    "steps": [{"share": "shadow"}, {"share": "5%"}, {"share": "25%"}, {"share": "100%"}],
}  # fmt: skip


class Written:
    """A journal in memory."""

    def __init__(self) -> None:
        self.events: list[ModelEvent] = []

    def known(self) -> Iterable[Mapping[str, Any]]:
        return [each._asdict() for each in self.events]

    def append(self, event: ModelEvent) -> None:
        self.events.append(event)

    def said(self, name: str = "decision") -> list[Any]:
        return [json.loads(each.evidence).get(name) for each in self.events]


class _Until(QualityRecords):
    """The records that are there on a day."""

    def __init__(self, url: str, day: int) -> None:
        super().__init__(url, "late")
        self._day = day

    def latest(self) -> list[QualityRow]:
        return [each for each in super().latest() if each.window_end <= FIRST_US + self._day * DAY_US]


class World:
    """A store whose champion is v1, records of quality, and rollouts of v2."""

    def __init__(self, folder: Path) -> None:
        self.models, self.folder, self.journal = Models(str(folder / "store")), folder, Written()
        self.models.put(folder / "empty", "v1", "v2", "v3")
        self.store.append_release(champion="v1", effective_from_us=0, by="ann", shadows=("v3",))
        self._files = 0

    @property
    def store(self) -> ModelStore:
        return self.models.store

    def rollout(self, version: str = "v2", **keys: Any) -> ActingRollout:
        policy = read_policy({**POLICY, **keys}, version)
        return ActingRollout(policy, self.store, QualityRecords(str(self.folder / "q"), "late"), self.journal)

    def measure(self, first: int, last: int, value: float, **fields: Any) -> None:
        """A shadow in the first ten days, a challenger after them."""
        served = [(day, {"role": "shadow" if day < 10 else "challenger", **fields}) for day in range(first, last)]
        rows = [row(day, value=value + 0.01 * (-1) ** day, **each) for day, each in served]
        write(self.folder / "q", rows, f"quality-{self._files}.avro")
        self._files += 1

    def audited(self, until: int) -> ActingRollout:
        """A rollout in a process of its own, with an audit in files, which knows the records before this day."""
        policy = read_policy(POLICY, "v2")
        journal = AuditJournal(str(self.folder / "a"), None)
        return ActingRollout(policy, self.store, _Until(str(self.folder / "q"), until), journal)

    def act(self, day: int, rollout: ActingRollout | None = None, **how: Any) -> Acted:
        return (rollout or self.rollout()).act(at(day), **how)

    def roles(self) -> list[tuple[str, float, tuple[str, ...]]]:
        """Champion, share of the challenger, shadows of each release."""
        return [
            (each.champion, sum(one.share for one in each.challengers), each.shadows) for each in self.store.releases()
        ]


def at(day: int) -> Said:
    time_us = FIRST_US + day * DAY_US
    return Said("gate", time_us, time_us)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def test_a_good_version_becomes_champion_step_by_step(world: World) -> None:
    for day in (0, 10, 20, 30):
        world.measure(day, day + 10, -0.3)
        world.act(day)
    assert world.roles() == [
        ("v1", 0, ("v3",)), ("v1", 0, ("v3", "v2")), ("v1", 0.05, ("v3",)), ("v1", 0.25, ("v3",)), ("v2", 0, ("v3",)),
    ]  # fmt: skip
    assert world.journal.said() == ["begin", "promote", "promote", "promote"]
    assert [each.release for each in world.journal.events] == [2, 3, 4, 5]
    last = world.store.releases()[-1]
    assert last.evidence.startswith(f"rollout:{world.rollout().policy.id}; step:4/4; promote; ")
    assert json.loads(last.evidence.partition("promote; ")[2])["high"] < 0.05
    assert len({each.salt for each in world.store.releases()[1:]}) == 1
    assert world.act(40).look.stage.over == "v2 is the champion"


def test_a_bad_version_is_stopped_and_stays_stopped(world: World) -> None:
    world.act(0)
    world.measure(0, 10, 0.4)
    acted = world.act(10)
    assert (acted.look.verdict.action, world.roles()[-1]) == ("stop", ("v1", 0, ("v3",)))
    world.measure(10, 20, -0.9)
    assert (world.act(20).written, world.act(20).look.stage.over) == (None, "v2 was stopped")
    assert world.journal.said() == ["begin", "stop"]


def test_nothing_is_done_twice(world: World) -> None:
    world.act(0)
    world.measure(0, 10, -0.3)
    world.act(10)
    for _ in range(3):
        assert world.act(11).look.verdict.reason == "waits"
    assert [len(world.store.releases()), world.journal.said()] == [3, ["begin", "promote", "hold"]]


@pytest.mark.parametrize("evidence", ["no JSON", "[]", ""])
def test_gate_events_of_others_do_no_harm(world: World, evidence: str) -> None:
    world.journal.append(ModelEvent(0, "gate", "late", "v2", None, None, "ann", "by hand", evidence))
    assert world.act(0).written is not None
    assert [each.release for each in world.journal.events] == [None, 2]


class Killed(BaseException):
    pass


@pytest.mark.parametrize("at_release", [2, 3])
def test_what_a_kill_kept_out_of_the_audit_is_added(world: World, at_release: int) -> None:
    """The process ends after the release and before the audit has it."""
    rollout, append = world.rollout(), world.journal.append

    def killed(event: ModelEvent) -> None:
        if event.release == at_release:
            raise Killed
        append(event)

    world.journal.append = killed  # type: ignore[method-assign]
    world.measure(0, 10, -0.3)
    for day in (0, 10):
        with suppress(Killed):
            world.act(day, rollout)
    world.journal.append = append  # type: ignore[method-assign]
    world.act(11)
    assert [each.release for each in world.journal.events if each.release] == list(range(2, len(world.roles()) + 1))
    assert world.journal.events[at_release - 2].at_us == world.store.releases()[at_release - 1].at_us


@pytest.mark.parametrize("done", [True, False], ids=["after", "before"])
def test_killed_at_any_write_it_goes_on_as_if_nothing_had_happened(
    world: World, monkeypatch: pytest.MonkeyPatch, done: bool
) -> None:
    """Every object that it writes is once the last one: written, or just not."""
    create, killed = Backend.create, set[str]()

    def dying(backend: Backend, key: str, content: Any) -> bool:
        kind = f"{key.split('/')[-2]} {len(world.roles())} {len(list(world.folder.glob('a/models/*')))}"
        if kind in killed:
            return create(backend, key, content)
        killed.add(kind)
        if done:
            create(backend, key, content)
        raise Killed

    for first in range(0, 40, 10):
        world.measure(first, first + 10, -0.3)
    with monkeypatch.context() as patched:
        patched.setattr(Backend, "create", dying)
        for day in sorted([0, 10, 20, 30] * 6):
            with suppress(Killed):
                world.act(day, world.audited(day))
    assert len(killed) >= 8
    assert [each[:2] for each in world.roles()] == [("v1", 0), ("v1", 0), ("v1", 0.05), ("v1", 0.25), ("v2", 0)]
    said = [each for each in AuditJournal(str(world.folder / "a"), None).known() if each["release"]]
    assert sorted(each["release"] for each in said) == [2, 3, 4, 5]


def test_of_two_that_look_at_once_one_is_first(world: World) -> None:
    """The other one has looked before, and writes after."""
    one, other = world.rollout(), world.rollout()
    world.act(0)
    world.measure(0, 10, -0.3)
    write_it, late = other._write, list[Acted]()

    def slow(*given: Any) -> Any:
        if not late:
            late.append(world.act(10, one))
        return write_it(*given)

    other._write = slow  # type: ignore[method-assign,assignment]  # any arguments
    acted = world.act(10, other)
    assert (late[0].written and late[0].written.sequence, acted.written) == (3, None)
    assert "release 3 of 'late' was written meanwhile; nothing was released" in acted.meanwhile[0]
    assert [len(world.roles()), acted.look.stage.step, acted.look.verdict.reason] == [3, 2, "meanwhile"]
    assert "release 3 by gate was first (rollout test: promote: the difference is below" in acted.look.verdict.why
    assert world.act(11, other).look.verdict.reason == "waits"


def test_two_that_begin_at_once_do_not_fight(world: World) -> None:
    one, other = world.rollout("v2"), world.rollout("v3")
    first = world.act(0, one)
    second = world.act(0, other)
    assert first.written is not None
    assert (second.written, second.look.verdict.reason) == (None, "cannot_begin")
    assert f"rollout test of v2 ({one.policy.id}) is at step 1 of 4 (release 2)" in second.look.verdict.why
    assert "next: end it by halflife models rollback --model late, or follow it" in second.look.verdict.why


def test_a_release_right_after_another_only(world: World) -> None:
    draft = world.store.draft_release(champion="v2", effective_from_us=1, by="ann")
    with pytest.raises(ReleasedMeanwhile, match="release 1 of 'late' was written meanwhile"):
        world.store.append(draft, after=0)
    assert world.store.append(draft, after=1).sequence == 2


def test_who_creates_the_release_a_moment_later_has_not_released(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both have listed the releases when the first one writes."""
    create = Backend.create
    drafts = [world.store.draft_release(champion=v, effective_from_us=1, by=v) for v in ("v2", "v3")]

    def second(backend: Backend, key: str, content: Any) -> bool:
        monkeypatch.setattr(Backend, "create", create)
        world.store.append(drafts[0], after=1)
        return create(backend, key, content)

    monkeypatch.setattr(Backend, "create", second)
    with pytest.raises(ReleasedMeanwhile, match="release 2 of 'late' was written meanwhile"):
        world.store.append(drafts[1], after=1)
    assert [each.champion for each in world.store.releases()] == ["v1", "v2"]


def test_a_person_who_releases_ends_the_rollout(world: World) -> None:
    world.act(0)
    world.store.append_release(champion="v1", effective_from_us=FIRST_US, by="ann")
    world.measure(0, 10, -0.3)
    acted = world.act(10)
    assert (acted.written, "release 3 by ann is not of this rollout" in acted.look.verdict.why) == (None, True)
    assert world.journal.said("held")[-1] == "over"


@pytest.mark.parametrize("withdrawn", [True, False])
def test_a_version_that_is_not_there_holds(world: World, withdrawn: bool) -> None:
    version = "v4"
    if withdrawn:
        world.models.put(world.folder / "more", version)
        world.store.withdraw(version, "ann", "wrong labels")
    acted = world.act(0, world.rollout(version))
    assert (acted.written, acted.look.verdict.action, acted.look.verdict.reason) == (None, "hold", "unusable")
    assert ("was withdrawn" in acted.look.verdict.why) is withdrawn
    assert (world.journal.said("held"), len(world.roles())) == (["unusable"], 1)


def test_a_version_that_is_withdrawn_between_look_and_release_holds(world: World) -> None:
    rollout = world.rollout()
    rollout._refusal = lambda draft: str(world.store.withdraw("v2", "ann").reason)
    acted = world.act(0, rollout)
    assert (acted.written, acted.look.verdict.reason) == (None, "unusable")
    assert "was withdrawn" in acted.look.verdict.why


@pytest.mark.parametrize(
    ("release", "why"),
    [
        ({"champion": "v1", "challengers": "v3"}, "release 2 has another challenger, v3"),
        ({"champion": "v2"}, "v2 is the champion already (release 2)"),
    ],
)
def test_what_serves_may_forbid_to_begin(world: World, release: dict[str, Any], why: str) -> None:
    from models.releases.release import Challenger

    if "challengers" in release:
        release = {**release, "challengers": (Challenger(release["challengers"], 0.1),)}
    world.store.append_release(**release, effective_from_us=1, by="ann")
    acted = world.act(0)
    assert (acted.written, why in acted.look.verdict.why) == (None, True), acted.look.verdict.why


def test_a_scheduled_release_forbids_to_begin(world: World) -> None:
    world.store.append_release(champion="v3", effective_from_us=FIRST_US * 2, by="ann")
    world.store.append_release(champion="v1", effective_from_us=1, by="ann")
    assert "release 2 is scheduled and would take over" in world.act(0).look.verdict.why


def test_a_pause_holds_promotions_and_no_stop(world: World) -> None:
    world.act(0)
    world.rollout().pause(at(1))
    world.measure(0, 10, -0.3)
    acted = world.act(10)
    assert (acted.written, acted.look.verdict.reason) == (None, "paused")
    assert world.roles()[1] == world.roles()[2]
    world.rollout().pause(at(11), resume=True)
    assert world.act(12).look.verdict.action == "promote"
    world.rollout().pause(at(12))
    world.measure(10, 60, 0.9)
    assert world.act(60).look.verdict.action == "stop"
    assert world.journal.said() == ["begin", "pause", "hold", "resume", "promote", "pause", "stop"]


@pytest.mark.parametrize(("approve", "waits"), [("always", 2), ("last", 4), ("never", 5)])
def test_a_person_is_asked_where_the_policy_says_so(world: World, approve: str, waits: int) -> None:
    for day in range(0, 60, 10):
        world.measure(day, day + 10, -0.3)
        acted = world.act(day, world.rollout(approve=approve))
    assert len(world.roles()) == waits
    if approve != "never":
        assert acted.look.verdict.reason == "approval"
        assert f"step {waits} ({POLICY['steps'][waits - 1]['share']}) waits for a person" in acted.look.verdict.why  # type: ignore[index]
        assert world.act(61, world.rollout(approve=approve), approved=True).written is not None


def test_a_release_never_begins_before_the_one_that_serves(world: World) -> None:
    world.act(20)
    world.measure(20, 30, 0.9)
    assert world.act(10).written is not None
    assert [each.effective_from_us for each in world.store.releases()] == sorted(
        each.effective_from_us for each in world.store.releases()
    )


def test_late_panes_replace_earlier_ones_and_damage_is_named(world: World) -> None:
    world.act(0)
    world.measure(0, 10, -0.3, n=60)
    world.measure(0, 10, 0.4, n=90, pane=1)
    (world.folder / "q" / "quality-9.avro").write_bytes(b"no Avro")
    rollout = world.rollout()
    acted = world.act(10, rollout)
    assert (acted.look.verdict.action, acted.look.verdict.evidence["n"]) == ("stop", 900)
    assert "not an Avro container file" in rollout._records.broken["quality-9.avro"]


def test_a_policy_that_changed_midway_is_another_rollout(world: World) -> None:
    world.act(0)
    acted = world.act(1, world.rollout(margin=0.2))
    assert (acted.written, "follow it with the policy that it was begun with" in acted.look.verdict.why) == (None, True)
    assert [written_by(each) is not None for each in world.store.releases()] == [False, True]
