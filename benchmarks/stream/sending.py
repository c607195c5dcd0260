"""Sends flights to a topic at a steady rate, each with the time of its sending as its event time.

    python -m benchmarks.stream.sending --bootstrap HOST:PORT --rate 5000 --seconds 60

It is a process of its own, so that it shares no interpreter with what is measured. Prints a line of JSON at its end.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from confluent_kafka import Producer

from examples.flights.service import Event, flights

_TICK_SECONDS = 0.02
_LEFT_OUT = ("id", "departed_at")
_FLUSH_SECONDS = 60


def templates(events: Sequence[Event]) -> list[bytes]:
    """Each flight in JSON without its id and time, so that sending costs little."""
    plain = [{name: value for name, value in event.items() if name not in _LEFT_OUT} for event in events]
    return [b"," + json.dumps(event, default=str).encode()[1:] for event in plain]


def send(producer: Producer, values: Sequence[bytes], first: int, rate: int, seconds: float) -> tuple[int, float]:
    """Sends `rate * seconds` events, numbered from `first` on; how many, and how far it ever lagged (seconds)."""
    count, sent, behind = round(rate * seconds), 0, 0.0
    began = time.monotonic()
    while sent < count:
        passed = time.monotonic() - began
        due = min(round(passed * rate), count)
        behind = max(behind, passed - sent / rate)
        at = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        for number in range(first + sent, first + due):
            value = b'{"id":"%d","departed_at":"%b"%b' % (number, at.encode(), values[number % len(values)])
            producer.produce("flights", value, b"%d" % number)
        sent = due
        producer.poll(0)
        time.sleep(_TICK_SECONDS)  # the pace itself, not a wait for something
    if producer.flush(_FLUSH_SECONDS):
        raise RuntimeError(f"{len(producer)} events were not taken within {_FLUSH_SECONDS} s")
    return sent, behind


def main() -> int:
    """Sends as the command line says."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.stream.sending", allow_abbrev=False)
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--first", type=int, default=0, help="the number of the first event")
    parser.add_argument("--rate", type=int, required=True, help="events a second")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--flights", type=Path, required=True, help="an Avro file of departures")
    given = parser.parse_args()
    settings = {"bootstrap.servers": given.bootstrap, "linger.ms": 5, "compression.type": "lz4", "acks": "all"}
    values = templates(flights(given.flights))
    sent, behind = send(Producer(settings), values, given.first, given.rate, given.seconds)
    print(json.dumps({"sent": sent, "behind_s": round(behind, 3)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
