"""A topic of labels that falls silent: its event time goes on, and it is said."""

import logging

import pytest

from pipeline.endpoints.kafka.progress import TopicWatermark
from pipeline.endpoints.kafka.silence import Silence

HOUR = 3_600_000_000
AFTER = 12 * HOUR
CLOCK = 1_000_000 * HOUR  # far from the times of events: they may be old
TOPIC = "kafka://b:9092/labels"


def silence() -> Silence:
    return Silence("labels", TOPIC, AFTER)


def labelled(*hours: int) -> TopicWatermark:
    """A topic in which something came at `CLOCK`: of each partition the event time."""
    found = TopicWatermark(None)
    found.observe({partition: hour * HOUR for partition, hour in enumerate(hours)})
    found.heard(CLOCK)
    found.advance([*range(len(hours))], [*range(len(hours))], 0)
    return found


def reached_hours(topic: TopicWatermark) -> float | None:
    at = topic.current_watermark()
    return None if at is None else at.micros / HOUR


@pytest.mark.parametrize(("silent", "reached"), [(0, 50), (6, 50), (12, 50), (13, 51), (60, 98)])
def test_event_time_goes_on_with_the_clock_once_a_topic_was_silent_for_long(silent: int, reached: int) -> None:
    topic = labelled(40, 50)
    silence().look(topic, True, CLOCK + silent * HOUR)
    assert reached_hours(topic) == reached


def test_a_topic_that_is_not_read_to_its_end_is_not_silent() -> None:
    topic = labelled(50)
    silence().look(topic, False, CLOCK + 60 * HOUR)
    assert reached_hours(topic) == 50


def test_where_no_label_ever_came_time_goes_on_from_when_they_were_waited_for() -> None:
    topic, kept = TopicWatermark(None), silence()
    for hours in (0, 11, 12, 20):
        kept.look(topic, True, CLOCK + hours * HOUR)
        assert reached_hours(topic) == (None if hours < 12 else (CLOCK + (hours - 12) * HOUR) / HOUR)


def test_a_silence_lasts_through_a_restart_and_ends_with_a_label() -> None:
    topic = labelled(50)
    silence().look(topic, True, CLOCK + 20 * HOUR)
    again, kept = TopicWatermark(topic.get_estimator_state()), silence()
    kept.look(again, True, CLOCK + 21 * HOUR)
    assert reached_hours(again) == 59
    again.heard(CLOCK + 22 * HOUR)
    again.observe({0: 70 * HOUR})
    again.advance([0], [], 0)
    kept.look(again, True, CLOCK + 30 * HOUR)
    assert reached_hours(again) == 70


def test_state_of_a_topic_whose_silence_has_no_end_is_as_it_was() -> None:
    topic = TopicWatermark((5, {0: 6}))
    assert topic.get_estimator_state() == (5, {0: 6})
    assert TopicWatermark((5, {0: 6}, 7)).get_estimator_state() == (5, {0: 6}, 7)


def test_a_silence_is_said_at_half_of_what_is_allowed_and_then_each_time_that_it_has_doubled(
    caplog: pytest.LogCaptureFixture,
) -> None:
    topic, kept = labelled(50), silence()
    with caplog.at_level(logging.WARNING):
        for hours in range(60):
            kept.look(topic, True, CLOCK + hours * HOUR)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(": ")[:2] for line in said] == [
        [TOPIC, f"no label has come for {time}"] for time in ("6h", "12h", "1d", "2d")
    ]
    assert ["more windows wait for one" in line for line in said] == [True, False, False, False]
    assert "for 6h more windows wait" in said[0]
    assert all("; next: see why nothing is written to the topic, or set labels.silent_after" in line for line in said)


def test_the_next_silence_is_said_from_its_beginning(caplog: pytest.LogCaptureFixture) -> None:
    topic, kept = labelled(50), silence()
    with caplog.at_level(logging.WARNING):
        kept.look(topic, True, CLOCK + 100 * HOUR)
        topic.heard(CLOCK + 101 * HOUR)
        for hours in (101, 106, 107, 108):
            kept.look(topic, True, CLOCK + hours * HOUR)
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "no label has come for 4d4h", "no label has come for 6h"
    ]  # fmt: skip
