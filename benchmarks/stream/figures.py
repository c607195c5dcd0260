"""What the broker's own clock says of a run: when each event was appended, and when its answer was."""

import os
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from confluent_kafka import Consumer, Message, TopicPartition

from runners.flink.local.processes import Process, members

_MANY = 20_000
_SECONDS = 30.0
Times = npt.NDArray[np.int64]


class Flow(NamedTuple):
    """Milliseconds since the epoch by event, in the order of their numbers; `answered` is 0 where no answer came."""

    sent: Times
    answered: Times

    def between(self, first: int, count: int) -> "Flow":
        """The events of one phase."""
        return Flow(self.sent[first : first + count], self.answered[first : first + count])

    @property
    def missing(self) -> int:
        """How many events have no answer."""
        return int(np.count_nonzero(self.answered == 0))

    @property
    def complete(self) -> "Flow":
        """The events that have an answer."""
        return Flow(self.sent[self.answered > 0], self.answered[self.answered > 0])

    @property
    def waited_ms(self) -> Times:
        """From the append of each event to that of its first answer, both by the broker; all must have one."""
        return self.answered - self.sent

    def lag(self, every_s: float) -> list[int]:
        """How many events waited, at steady times from the first event to the last; all must have an answer."""
        at = np.arange(self.sent.min() + every_s * 1000, self.sent.max() + 1, every_s * 1000)
        sent, answered = np.sort(self.sent), np.sort(self.answered)
        waiting = np.searchsorted(sent, at, "right") - np.searchsorted(answered, at, "right")
        return [int(count) for count in waiting]

    def rate(self) -> float:
        """Answers a second from the first event to the last answer."""
        return len(self.answered) / int(self.answered.max() - self.sent.min()) * 1000


class Recovery(NamedTuple):
    """Seconds from a failure to the first answer after the silence, and to the last that took twice the usual p99."""

    silent_s: float
    caught_up_s: float


def recovery(flow: Flow, killed_ms: int) -> Recovery:
    """How long a failure at `killed_ms` had effects: the longest silence after it, and the backlog that it left."""
    answered = np.sort(flow.answered)
    after = answered[np.searchsorted(answered, killed_ms) - 1 :]
    gap = int(np.argmax(np.diff(after)))
    resumed = int(after[gap + 1])
    usual = np.percentile(flow.waited_ms[flow.answered < killed_ms], 99)
    slow = flow.answered[(flow.waited_ms > 2 * usual) & (flow.answered > killed_ms)]
    caught_up = int(slow.max()) if len(slow) else resumed
    return Recovery((resumed - killed_ms) / 1000, (caught_up - killed_ms) / 1000)


def flow(bootstrap: str, answers: str, number_of: Callable[[bytes], int], events: int) -> Flow:
    """Both topics, whole: `events` in one and their answers in the other, whose numbers `number_of` finds."""
    sent, answered = np.zeros(events, np.int64), np.zeros(events, np.int64)
    for message in _records(bootstrap, "flights"):
        sent[int(message.key() or b"")] = message.timestamp()[1]
    for message in _records(bootstrap, answers):
        number = number_of(message.value() or b"")
        answered[number] = answered[number] or message.timestamp()[1]  # a repeated answer is not the first
    return Flow(sent, answered)


def _records(bootstrap: str, topic: str) -> Iterator[Message]:
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "figures", "enable.auto.commit": False})
    try:
        for partition in consumer.list_topics(topic, _SECONDS).topics[topic].partitions:
            _, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), _SECONDS)
            consumer.assign([TopicPartition(topic, partition, 0)])
            reached = 0
            while reached < end:
                for message in consumer.consume(min(_MANY, end - reached), 5.0):
                    if message.error() is not None:
                        raise RuntimeError(f"{topic}[{partition}]: {message.error()}")
                    reached = (message.offset() or 0) + 1
                    yield message
    finally:
        consumer.close()


def cpu_seconds(process: Process | None) -> float:
    """Processor time of a server, of its children that live now, and of their ended ones."""
    found = () if process is None else members(process.pid)
    return sum(int(ticks) for _, words in found for ticks in words[11:15]) / os.sysconf("SC_CLK_TCK")


def resident_bytes(process: Process | None) -> int:
    """Memory in use by a server and its children that live now; what they share is counted in each."""
    found = () if process is None else members(process.pid)
    return sum(int(words[21]) for _, words in found) * os.sysconf("SC_PAGE_SIZE")
