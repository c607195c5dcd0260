"""A steady stream of flights, as long as it is wanted."""

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from itertools import count

from examples.flights.service import Event
from tests.flink.running import Running

_MONTH = timedelta(days=31)
# A month of the test data passes in three days of event time: enough flights an hour for features to have values, and
# few enough for what a restore repeats to lie within `windows.allowed_lateness`.
SQUEEZE = 10
_TICK_SECONDS = 1.0


def endless(flights: Sequence[Event]) -> Iterator[Event]:
    """The flights of a month again and again, each time later and under other ids, ten times as fast."""
    first = flights[0]["departed_at"].replace(hour=0, minute=0, second=0, microsecond=0)
    for turn in count():
        for flight in flights:
            at = first + (flight["departed_at"] - first + _MONTH * turn) / SQUEEZE
            yield flight | {"id": f"{flight['id']}~{turn}", "departed_at": at}


@contextmanager
def flowing(live: Running, per_second: float) -> Iterator[None]:
    """Sends events at this rate as long as the block lasts; events that a silent broker held up are sent once it is
    back."""
    ended, began, before = threading.Event(), time.monotonic(), len(live.sent)

    def send() -> None:
        while not ended.wait(_TICK_SECONDS):
            due = int((time.monotonic() - began) * per_second) - (len(live.sent) - before)
            live.send(max(due, 0))

    with ThreadPoolExecutor(1, "stream") as executor:
        sending = executor.submit(send)
        try:
            yield
        except AssertionError:
            ended.set()
            sending.result()  # where the stream itself failed, that is why
            raise
        finally:
            ended.set()
        sending.result()
