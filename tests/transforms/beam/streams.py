"""Runs the whole job's graph over a story: batches of raw blocks, with a rise of the watermark between them."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import fastavro
import pyarrow as pa
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.pipeline import PTransformOverride
from apache_beam.runners.direct.direct_runner import BundleBasedDirectRunner
from apache_beam.runners.runner import PipelineRunner
from apache_beam.testing.test_stream import TestStream as Story  # pytest would collect a class named Test…
from apache_beam.testing.util import assert_that
from apache_beam.transforms.periodicsequence import PeriodicImpulse
from apache_beam.utils.timestamp import Timestamp

from models.serving.cache import ModelHandle, shared_cache
from models.store.store import ModelStore
from pipeline.dag import build
from pipeline.endpoints.files.source import read_file
from pipeline.endpoints.lookups.table_files import FileTables
from schemas.formats.raw import RawBlock
from schemas.job import Job

DAY_US = 86_400_000_000
Check = Callable[[Iterable[pa.RecordBatch]], None]


def replaying_runner() -> PipelineRunner:
    """The runner for `TestStream`, the only one of Beam's Python runners that plays it without a download. It keeps no
    watermark holds for timers."""
    return BundleBasedDirectRunner()


class OneTick(PTransformOverride):
    """The store is polled once: the runner of stories supports no splittable DoFn, and its clock does not advance."""

    def matches(self, applied: Any) -> bool:
        return isinstance(applied.transform, PeriodicImpulse)

    def get_replacement_transform_for_applied_ptransform(self, applied: Any) -> beam.PTransform[Any, Any]:
        return beam.Create([0])


def write_avro(path: Path, schema: Any, rows: Sequence[Any], per_block: int = 1_000_000) -> None:
    """Writes a container file with `per_block` records in each block."""
    with path.open("wb") as stream:
        writer = fastavro.write.Writer(stream, fastavro.parse_schema(schema), "deflate", sync_interval=2**31)
        for start in range(0, len(rows), per_block):
            for row in rows[start : start + per_block]:
                writer.write(row)
            writer.dump()


def story_of(folder: Path, schema: Any, batches: Sequence[Sequence[Any]], watermarks: Sequence[int]) -> Story:
    """A story in which each batch arrives at its watermark (microseconds). At the end the watermark rises by days, then
    to infinity, because this runner drops what only the rise to infinity releases."""
    story, path, reached = Story(), folder / "batch.avro", watermarks[0]
    for batch, watermark in zip(batches, watermarks, strict=True):
        if watermark > reached:
            reached, story = watermark, story.advance_watermark_to(Timestamp(micros=watermark))
        write_avro(path, schema, batch)
        story = story.add_elements(list(read_file(str(path), "avro")))
    story = story.advance_watermark_to(Timestamp(micros=watermarks[-1] + 3 * DAY_US))
    told: Story = story.advance_watermark_to_infinity()
    return told


def play(job: Job, story: Story, scores: Check, dead_letters: Check, receipts: Check | None = None) -> None:
    """Plays the whole story through the graph, with all models loaded, as in a job that has run for a while."""
    store = ModelStore(job.model.store, job.model.name)
    for version in store.versions():
        digest = store.read_manifest(version).digest
        shared_cache().load(ModelHandle(job.model.store, job.model.name, version, digest))
    with beam.Pipeline(runner=replaying_runner(), options=PipelineOptions(["--streaming"])) as pipeline:
        raw = pipeline | story | "Raw" >> beam.Map(lambda block: block).with_output_types(RawBlock)
        outputs = build(raw, job, tables=FileTables())
        assert_that(outputs.scores, scores, label="Scores")
        assert_that(outputs.dead_letters, dead_letters, label="Letters")
        if receipts is not None:
            assert_that(outputs.receipts, receipts, label="Receipts")
        pipeline.replace_all([OneTick()])


def none(found: Iterable[pa.RecordBatch]) -> None:
    """Asserts that there are no records."""
    assert [row for batch in found for row in batch.to_pylist()] == []
