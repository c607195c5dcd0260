"""A job of two steps in a process of its own: follows a topic and writes what it decoded to another.

    python -m tests.kafka.following EVENTS_URI OUT_URI BOUND_US
"""

import sys
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa

from pipeline.endpoints.kafka.address import kafka_address
from pipeline.endpoints.kafka.sink import WriteTopic
from pipeline.endpoints.kafka.source import ReadTopic
from runners.direct import bounded_runner
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.records import DeadLetter, record_batch
from schemas.times import now_us
from transforms.decoding.decode_raw import decode_raw


class _TellFn(beam.DoFn):
    """Every event as a letter of stage `event`, so that one sink writes everything."""

    def __init__(self, spec: EventsSpec) -> None:
        self._spec = spec

    def process(self, block: RawBlock) -> Iterator[pa.RecordBatch]:
        events, letters, *_ = decode_raw(block, self._spec, now_us())
        ids = [] if events is None else events.column("__event_id").to_pylist()
        told = [DeadLetter("event", "", "", one.encode(), one, None, now_us()) for one in ids]
        yield record_batch("DeadLetter", [*told, *letters])


def main(events_uri: str, out_uri: str, bound_us: str) -> None:
    """Runs until it is killed."""
    spec = EventsSpec("", "json", "id", "at", None, int(bound_us), (("delay", "number"),), (0, 2 * now_us()), "us")
    with beam.Pipeline(runner=bounded_runner()) as pipeline:
        blocks = pipeline | ReadTopic(kafka_address(events_uri, "events.uri"), spec)
        told = blocks | beam.ParDo(_TellFn(spec)).with_output_types(pa.RecordBatch)
        _ = told | WriteTopic(kafka_address(out_uri, "sinks"), "DeadLetter")


if __name__ == "__main__":
    main(*sys.argv[1:])
