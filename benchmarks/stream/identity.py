"""What the platform costs: a Beam job on the same Flink with this job's Kafka source and sink and only a shuffle
between them.

    python -m benchmarks.stream.identity EVENTS_URI OUT_URI [Beam's options]

Each event is written unchanged, as one record. It decodes only the event times, which the watermark needs.
"""

import sys
from collections.abc import Iterator

import apache_beam as beam
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from pipeline.endpoints.kafka.address import kafka_address
from pipeline.endpoints.kafka.sink import WriteTopic
from pipeline.endpoints.kafka.source import ReadTopic
from runners.flink.settings import with_profile
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.records import DeadLetter, record_batch
from schemas.times import now_us


def as_read(block: RawBlock) -> RawBlock:
    """The block without its decoded rows: only the records are passed on."""
    return block._replace(decoded=None)


def as_they_came(block: RawBlock) -> Iterator[pa.RecordBatch]:
    """Every record of a block as one record of the output."""
    at_us = now_us()
    letters = [DeadLetter("identity", "", "", record, "", None, at_us) for record in block.records]
    if letters:
        yield record_batch("DeadLetter", letters)


def main(events_uri: str, out_uri: str, arguments: list[str]) -> None:
    """Runs until it is cancelled."""
    options = PipelineOptions(with_profile(arguments, "identity", streaming=True))
    options.view_as(StandardOptions).streaming = True
    spec = EventsSpec("", "json", "id", "departed_at", None, 1_000_000, (), (0, 2 * now_us()), "us")
    with beam.Pipeline(options=options) as pipeline:
        blocks = pipeline | ReadTopic(kafka_address(events_uri, "events.uri"), spec)
        spread = blocks | beam.Map(as_read).with_output_types(RawBlock) | beam.Reshuffle()
        told = spread | beam.FlatMap(as_they_came).with_output_types(pa.RecordBatch)
        _ = told | WriteTopic(kafka_address(out_uri, "sinks"), "DeadLetter")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
