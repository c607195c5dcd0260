"""What a checkpoint keeps of a topic: offsets claimed, and how far event time has come."""

import pytest
from apache_beam.utils.timestamp import Timestamp

from pipeline.endpoints.kafka.progress import TopicStretch, TopicTracker, TopicWatermark

MINUTE = 60_000_000


def test_the_rest_starts_where_the_last_claim_ended() -> None:
    tracker = TopicTracker(TopicStretch({0: 5, 1: 7}, None))
    assert tracker.try_claim({0: 9, 1: 7})
    read, rest = tracker.try_split(0) or pytest.fail("nothing was split off")
    assert read == TopicStretch({0: 5, 1: 7}, {0: 9, 1: 7})
    assert rest == TopicStretch({0: 9, 1: 7}, None)
    assert not tracker.try_claim({0: 10, 1: 7})
    tracker.check_done()


def test_only_fraction_zero_splits() -> None:
    tracker = TopicTracker(TopicStretch({0: 0}, None))
    assert tracker.try_split(0.5) is None
    assert tracker.try_claim({0: 3})


def test_progress_is_known_before_the_first_claim() -> None:
    progress = TopicTracker(TopicStretch({0: 10}, {0: 30})).current_progress()
    assert (progress.completed_work, progress.remaining_work) == (0, 20)


def test_a_stretch_that_was_not_read_to_its_end_is_not_done() -> None:
    tracker = TopicTracker(TopicStretch({0: 0, 1: 0}, {0: 2, 1: 2}))
    assert tracker.try_claim({0: 2, 1: 1})
    with pytest.raises(ValueError, match="was asked for"):
        tracker.check_done()


def test_new_partition_joins_the_claim() -> None:
    tracker = TopicTracker(TopicStretch({0: 4}, None))
    assert tracker.try_claim({0: 4, 1: 2})
    assert (tracker.try_split(0) or pytest.fail("nothing was split off"))[1].start == {0: 4, 1: 2}


def test_claim_behind_an_earlier_one_is_a_bug() -> None:
    with pytest.raises(ValueError, match="behind"):
        TopicTracker(TopicStretch({0: 4}, None)).try_claim({0: 3})


def test_slowest_partition_holds_the_watermark() -> None:
    watermark = TopicWatermark(None)
    watermark.observe({0: 100 * MINUTE, 1: 80 * MINUTE})
    watermark.advance([0, 1], [], 30 * MINUTE)
    assert watermark.current_watermark() == Timestamp(micros=50 * MINUTE)


def test_partition_without_records_holds_the_watermark_until_it_is_idle() -> None:
    watermark = TopicWatermark(None)
    watermark.observe({0: 100 * MINUTE})
    watermark.advance([0, 1], [], 30 * MINUTE)
    assert watermark.current_watermark() is None
    watermark.advance([0, 1], [1], 30 * MINUTE)
    assert watermark.current_watermark() == Timestamp(micros=70 * MINUTE)


def test_when_all_are_idle_the_greatest_event_time_is_reached() -> None:
    watermark = TopicWatermark(None)
    watermark.observe({0: 100 * MINUTE, 1: 80 * MINUTE})
    watermark.advance([0, 1], [0, 1], 30 * MINUTE)
    assert watermark.current_watermark() == Timestamp(micros=100 * MINUTE)


def test_watermark_never_decreases_and_survives_a_checkpoint() -> None:
    watermark = TopicWatermark(None)
    watermark.observe({0: 100 * MINUTE})
    watermark.advance([0], [0], 30 * MINUTE)
    restored = TopicWatermark(watermark.get_estimator_state())
    restored.observe({0: 90 * MINUTE})
    restored.advance([0], [], 30 * MINUTE)
    assert restored.current_watermark() == Timestamp(micros=100 * MINUTE)
