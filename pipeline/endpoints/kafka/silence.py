"""Silence: a topic that delivers nothing for long does not hold back for ever those who wait for it."""

import logging

from pipeline.endpoints.kafka.progress import TopicWatermark
from schemas.times import format_duration_us
from transforms.flow import metrics

_LOG = logging.getLogger(__name__)
_SECOND = 1_000_000


class Silence:
    """How long a topic of labels may be silent, and what is said about it; one in each process that reads.

    From `after_us` of silence on the topic's event time goes on at the pace of the clock, `after_us` behind it, so that
    windows of a stream end and their answers leave the state. Said when half of that has passed, when all of it has,
    and then each time that the silence has doubled. Gauge: `labels_silent_s/<topic>`.
    """

    def __init__(self, topic: str, about: str, after_us: int) -> None:
        self._about, self._after_us = about, after_us
        self._first_us = self._next_us = max(after_us // 2, 1)
        self._gauge = metrics.gauge(metrics.LABELS_SILENT_PREFIX + topic)

    def look(self, estimator: TopicWatermark, idle: bool, at_us: int) -> None:
        """To be called after each poll. `idle`: whether all partitions are read to their end; `at_us`: the clock."""
        silent_us = estimator.silent_us(at_us)
        self._gauge.set(silent_us // _SECOND)
        if silent_us < self._first_us:
            self._next_us = self._first_us
        if silent_us >= self._next_us:
            self._say(silent_us)
        while silent_us >= self._next_us:
            self._next_us *= 2
        if idle and silent_us >= self._after_us:
            estimator.go_on(silent_us - self._after_us)

    def _say(self, silent_us: int) -> None:
        after, silent, left = map(_rounded, (self._after_us, silent_us, self._after_us - silent_us))
        what = (
            f"for {left} more windows wait for one, and their answers are held in state; then they end without"
            if silent_us < self._after_us
            else f"windows end by the clock since labels.silent_after, {after}, without the labels that are missing; "
            "those that come after the last pane of their window are dead letters"
        )
        look = "next: see why nothing is written to the topic, or set labels.silent_after to how long that may be"
        _LOG.warning("%s: no label has come for %s: %s; %s", self._about, silent, what, look)


def _rounded(duration_us: int) -> str:
    return format_duration_us(duration_us // _SECOND * _SECOND or max(duration_us, 0))
