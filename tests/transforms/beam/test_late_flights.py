"""Real flights by scheduled time, arriving in the order in which they left: which are late, and that all are scored."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pandas as pd
import pyarrow as pa
import pytest

from models.store.store import ModelStore
from tests.reference.streaming import behind_watermark, watermarks_of
from tests.transforms.beam import flights, streams
from tests.transforms.beam.flights import World
from transforms.flow import metrics

BOUND = "30m"
LINEAR = {"intercept": -0.5, "coefficients": {"dep_delay": 0.02}, "means": {}, "scales": {}, "categories": {}}
MANIFEST: dict[str, Any] = {
    "version": "v1",
    "scorer": "linear",
    "linear": LINEAR,
    "inputs": [{"name": "dep_delay", "type": "number", "nullable": False}],
    "output": {"kind": "probability"},
    "training": {"trained_at": "2012-12-01T00:00:00Z"},
    "created_by": "tests",
}


@pytest.fixture(scope="module")
def departures(root: Path) -> Path:
    return root / "tests" / "data" / "flights" / "departures-2013-01.avro"


def small_world(folder: Path, rows: list[Any]) -> World:
    """One model that needs no windowed feature, released once."""
    store = ModelStore(f"file://{folder / 'models'}", "flight-delay")
    (folder / "draft").mkdir()
    store.publish(folder / "draft", MANIFEST)
    store.append_release(champion="v1", effective_from_us=0, by="tests")
    return World(folder, store, [], pd.DataFrame(rows))


def on_the_timetable(spec: dict[str, Any]) -> None:
    spec["events"] |= {"event_time": "scheduled_at", "max_out_of_orderness": BOUND}
    spec["events"]["time_range"] = ["2013-01-01T00:00:00Z", "2013-01-10T00:00:00Z"]
    spec["features"] = ["dep_delay", "distance"]
    spec["windows"], spec["model"]["poll"] = {"shards": 1}, "10m"


def sizes_of(count: int, size: int) -> list[int]:
    return [min(size, count - start) for start in range(0, count, size)]


# The watermark does not rise within a batch: the larger the batches, the fewer events are behind it.
@pytest.mark.parametrize(("count", "size", "late"), [(4301, 100, 186), (840, 20, 76)])
def test_flights_behind_the_watermark_are_marked_and_every_flight_is_scored(
    departures: Path, tmp_path: Path, count: int, size: int, late: int
) -> None:
    with departures.open("rb") as stream:
        reader = fastavro.reader(stream)
        schema, rows = reader.writer_schema, list(reader)[:count]
    made, sizes = small_world(tmp_path, rows), sizes_of(count, size)
    times, ids = made.events["scheduled_at"], made.events["id"]
    behind = {name for name, is_late in zip(ids, behind_watermark(times, BOUND, sizes), strict=True) if is_late}
    assert (len(ids), len(behind)) == (count, late)

    def check(found: Iterable[pa.RecordBatch]) -> None:
        scores = [row for batch in found for row in batch.to_pylist()]
        marked = {row["event_id"] for row in scores if row["late"]}
        assert sorted(row["event_id"] for row in scores) == sorted(ids)
        assert (len(marked - behind), len(behind - marked)) == (0, 0)

    batches = [rows[start : start + size] for start in range(0, count, size)]
    story = streams.story_of(tmp_path, schema, batches, watermarks_of(times, BOUND, sizes))
    job = flights.prepared(made, str(departures), "late", on_the_timetable).job
    streams.play(job, story, check, streams.none)


class Tally(NamedTuple):
    """A counter of the job that adds up here too: the runner of stories loses counts of all bundles but some."""

    total: dict[str, int]
    name: str

    def inc(self, n: int = 1) -> None:
        self.total[self.name] = self.total.get(self.name, 0) + n


def test_a_stream_counts_the_events_that_its_condition_leaves_out(
    departures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with departures.open("rb") as stream:
        reader = fastavro.reader(stream)
        schema, rows = reader.writer_schema, [row for row in reader if isinstance(row, dict)][:100]
    made, kept = small_world(tmp_path, rows), {row["id"] for row in rows if row["dep_delay"] > 0}

    def only_late(spec: dict[str, Any]) -> None:
        on_the_timetable(spec)
        spec["events"]["where"] = "dep_delay > 0"

    def check(found: Iterable[pa.RecordBatch]) -> None:
        assert sorted(row["event_id"] for batch in found for row in batch.to_pylist()) == sorted(kept)

    batches = [rows[start : start + 50] for start in range(0, 100, 50)]
    watermarks = watermarks_of(made.events["scheduled_at"], BOUND, [50] * 2)
    job = flights.prepared(made, str(departures), "where", only_late).job
    counts: dict[str, int] = {}
    monkeypatch.setattr(metrics, "counter", lambda name: Tally(counts, name))
    streams.play(job, streams.story_of(tmp_path, schema, batches, watermarks), check, streams.none)
    counted = [counts[name] for name in (metrics.EVENTS_DECODED, metrics.EVENTS_FILTERED, metrics.EVENTS_SCORED)]
    assert counted == [100, 100 - len(kept), len(kept)]



def test_an_eighth_of_these_flights_is_late_when_each_arrives_alone(departures: Path) -> None:
    # Of the whole year, 14.9 %: 49,084 of 328,521.
    events = flights.read_events([departures])
    late = sum(behind_watermark(events["scheduled_at"], BOUND, [1] * len(events)))
    assert (late, len(events)) == (538, 4301)
