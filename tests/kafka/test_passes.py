"""One pass over a topic after another, as a runner makes them: watermark, residual, and when offsets are committed."""

import itertools
import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from apache_beam.runners.sdf_utils import (
    RestrictionTrackerView,
    ThreadsafeRestrictionTracker,
    ThreadsafeWatermarkEstimator,
)
from apache_beam.transforms.core import _BundleFinalizerParam
from apache_beam.utils.timestamp import Duration, Timestamp

from pipeline.endpoints.kafka import source as kafka
from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.progress import TopicStretch, TopicTracker, TopicWatermark
from pipeline.endpoints.kafka.source import _FollowFn
from runners.flink.local.processes import free_port
from schemas.job import EventsSpec
from schemas.times import now_us
from tests.kafka.topics import START_US, Topics, event

MINUTE = 60_000_000
BOUND_US = 5 * MINUTE
SPEC = EventsSpec("", "json", "id", "at", None, BOUND_US, (("delay", "number"),), (0, 2 * now_us()), "us")
PASSES = 60


class Pass(NamedTuple):
    """The results of one bundle: its output, the rest for the next one, the requested delay, and how to finalize it."""

    blocks: list[Any]
    rest: TopicStretch
    delay: Any
    finalize: Callable[[], None]


class Job:
    """Passes over a topic; each continues where the one before ended, as after a checkpoint."""

    def __init__(self, address: KafkaAddress, spec: EventsSpec = SPEC, silent_after_us: int | None = None) -> None:
        self._address, self._reading = address, _FollowFn(spec, silent_after_us)
        self.rest = self._reading.initial_restriction(address)
        self._state: Any = None

    def run(self) -> Pass:
        """One call of `process` with Beam's own tracker, estimator and finalizer."""
        tracker = ThreadsafeRestrictionTracker(TopicTracker(self.rest))
        estimator = ThreadsafeWatermarkEstimator(TopicWatermark(self._state))
        finalizer = _BundleFinalizerParam()
        found = list(self._reading.process(self._address, finalizer, RestrictionTrackerView(tracker), estimator))
        self._state = estimator.get_estimator_state()
        residual, delay = tracker.deferred_status() or pytest.fail("the pass left nothing for the next")
        self.rest = residual
        tracker.check_done()
        return Pass([one.value for one in found], residual, delay, finalizer.finalize_bundle)

    @property
    def watermark_us(self) -> int | None:
        """The event time reached so far."""
        at: Timestamp | None = TopicWatermark(self._state).current_watermark()
        return None if at is None else at.micros

    def run_until(self, holds: Callable[[], bool]) -> list[Any]:
        """Makes passes until the condition holds; all records that they read."""
        blocks: list[Any] = []
        for _ in range(PASSES):
            blocks += self.run().blocks
            if holds():
                return blocks
        pytest.fail(f"not after {PASSES} passes; at {self.rest}, watermark {self.watermark_us}")


@pytest.fixture(autouse=True)
def short_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "_PASS_SECONDS", 0.3)


@pytest.fixture
def topic(topics: Topics) -> str:
    return topics.create(2)


def test_slowest_partition_less_the_bound_is_the_watermark(topics: Topics, topic: str) -> None:
    topics.write(topic, [event(0, 60), event(1, 90)])
    topics.write(topic, [event(2, 70), event(3, 62)], partition=1)
    job = Job(topics.address(topic))
    job.run_until(lambda: job.rest.start == {0: 2, 1: 2} and job.watermark_us is not None)
    assert job.watermark_us == START_US + 70 * MINUTE - BOUND_US


def test_many_records_are_emitted_before_the_pass_is_over(
    topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_PASS_SECONDS", 3600.0)  # a pass that has received little would not end
    topics.write(topic, [event(number, 60) for number in range(10 * kafka._BUSY_RECORDS)])
    blocks = Job(topics.address(topic)).run().blocks
    assert sum(len(block.records) for block in blocks) >= kafka._BUSY_RECORDS


def test_partition_that_is_idle_does_not_hold_the_watermark(topics: Topics, topic: str) -> None:
    topics.write(topic, [event(0, 60)])
    job = Job(topics.address(topic, "?idle_after=1s"))
    written = itertools.count(61)

    def reached() -> bool:
        topics.write(topic, [event(0, next(written))])  # one partition gets more, the other was never written to
        return job.watermark_us is not None and job.watermark_us >= START_US + 60 * MINUTE - BOUND_US

    job.run_until(reached)
    assert job.watermark_us is not None
    assert job.watermark_us <= START_US + next(written) * MINUTE - BOUND_US


def test_first_partition_to_wake_after_a_silence_waits_for_the_others(topics: Topics, topic: str) -> None:
    for partition in (0, 1):
        topics.write(topic, [event(partition, 60)], partition=partition)
    job = Job(topics.address(topic, "?idle_after=3s"))
    job.run_until(lambda: job.watermark_us == START_US + 60 * MINUTE)  # all idle
    topics.write(topic, [event(2, 90)])
    job.run_until(lambda: job.rest.start[0] == 2)
    assert job.watermark_us == START_US + 60 * MINUTE
    job.run_until(lambda: job.watermark_us != START_US + 60 * MINUTE)  # the other stays silent: both are idle again
    assert job.watermark_us == START_US + 90 * MINUTE


@pytest.mark.parametrize("written", [[event(0, 60), event(1, 61)], []], ids=["old labels", "none ever"])
def test_event_time_of_a_topic_that_stays_silent_goes_on_with_the_clock(
    topics: Topics, topic: str, written: list[bytes]
) -> None:
    began_us = now_us()
    topics.write(topic, written)
    job = Job(topics.address(topic, "?idle_after=1s"), silent_after_us=2_000_000)
    latest_us = START_US + 61 * MINUTE if written else began_us
    job.run_until(lambda: job.watermark_us is not None and job.watermark_us > latest_us)
    assert job.watermark_us is not None
    assert job.watermark_us < latest_us + now_us() - began_us - 1_000_000


def test_record_from_the_future_does_not_advance_the_watermark_and_is_read(topics: Topics, topic: str) -> None:
    ahead = (now_us() - START_US) / MINUTE + 60 * 24 * 365
    topics.write(topic, [event(0, 60), event(1, ahead), event(2, 61)])
    topics.write(topic, [event(3, 65)], partition=1)
    job = Job(topics.address(topic))
    blocks = job.run_until(lambda: job.rest.start == {0: 3, 1: 1} and job.watermark_us is not None)
    assert sum(len(block.records) for block in blocks) == 4
    assert job.watermark_us == START_US + 61 * MINUTE - BOUND_US


def test_offsets_are_committed_when_the_bundle_is_final_and_not_before(topics: Topics, topic: str) -> None:
    group = uuid.uuid4().hex
    topics.write(topic, [event(0), event(1)])
    job = Job(topics.address(topic, f"?group={group}"))
    done = job.run()
    while job.rest.start[0] < 2:
        done = job.run()
    assert topics.committed(topic, group) == {0: -1001}
    done.finalize()
    assert topics.committed(topic, group) == {0: 2}


def test_new_partition_is_part_of_what_the_next_pass_is_given(
    topics: Topics, topic: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kafka, "_LIST_SECONDS", 0.0)
    job = Job(topics.address(topic))
    job.run()
    topics.widen(topic, 3)
    topics.write(topic, [event(5)], partition=2)
    blocks = job.run_until(lambda: job.rest.start.get(2) == 1)
    assert [block.source.rpartition("/")[2] for block in blocks] == [f"{topic}[2]@0"]


def test_silent_registry_leaves_all_for_a_later_pass(topics: Topics, topic: str) -> None:
    topics.write(topic, [b"\x00\x00\x00\x00\x07..."])
    job = Job(topics.address(topic, f"?registry=http://127.0.0.1:{free_port()}"), replace(SPEC, format="avro"))
    waits = 0
    while not waits:
        done = job.run()
        waits += done.delay is not None and Duration.of(done.delay).micros > 0
        assert (done.blocks, done.rest.start) == ([], {0: 0, 1: 0})
