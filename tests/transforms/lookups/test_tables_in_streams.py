"""Tables in the store while a stream runs: new versions answer from their time on, and no event waits for one."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.testing.test_stream import TestStream as Story
from apache_beam.testing.util import assert_that

from models.tables.table_store import TableStore
from schemas import batches
from schemas.job import EventsSpec, LookupSpec, StoredTable, TableRelease
from tests.transforms.beam.streams import replaying_runner
from transforms.decoding.join_tables import JoinTables
from transforms.flow import metrics
from transforms.flow.dead_letters import DEAD_LETTERS
from transforms.lookups.as_of import AsOfTable
from transforms.lookups.following import FollowedTable
from transforms.lookups.held_tables import NoTables
from transforms.lookups.joining import ANSWERED
from transforms.lookups.stored_versions import HELD_VERSIONS, version_of_release
from transforms.lookups.watch_tables import ReleasedTable, TableProgress, _TableWatcher

SECOND = 1_000_000


def publish(store: TableStore, folder: Path, version: str, year: int, columns: str = "year") -> TableRelease:
    """A version in which the year of every plane is this one, released from that second on."""
    path = folder / f"{version}.parquet"
    pq.write_table(pa.table({"code": ["A", "B"], columns: [year, year]}), path)
    told = {"version": version, "key": ["code"], "columns": {columns: "integer"}, "rows": 2}
    made = store.publish(path, {**told, "created_by": "tests", "created_at": "now"})
    release = store.append_release(version=version, effective_from_us=year * SECOND, by="tests")
    return TableRelease(release.sequence, release.effective_from_us, version, made.digest, by="tests")


def lookup_of(store: TableStore, *releases: TableRelease) -> LookupSpec:
    stored = StoredTable(store.url, store.table, releases, last=max(each.sequence for each in releases))
    read = (("year", "integer"),)
    return LookupSpec("plane", "code", (), None, read, False, 10, "", None, (), stored)


def events(*seconds: int) -> pa.RecordBatch:
    count = len(seconds)
    times = pa.array([second * SECOND for second in seconds]).cast(batches.TIME_TYPE)
    ids = pa.array([f"e{second}" for second in seconds])
    own = [ids, times, pa.nulls(count, pa.string()), pa.array([b"{}"] * count), pa.array([False] * count)]
    schema = batches.event_schema([("code", "string")])
    return pa.RecordBatch.from_arrays([*own, pa.array(["A"] * count)], schema=schema)


@pytest.fixture
def store(tmp_path: Path) -> TableStore:
    return TableStore(str(tmp_path / "store"), "planes")


def test_a_release_in_mid_stream_answers_from_its_time_on_late_events_too(store: TableStore, tmp_path: Path) -> None:
    first, second = publish(store, tmp_path, "v10", 10), publish(store, tmp_path, "v20", 20)
    lookup = lookup_of(store, first)
    HELD_VERSIONS.awaited(version_of_release(lookup, second))  # it is loaded by then
    spec = EventsSpec("", "json", "id", "at", None, 0, (("code", "string"),), (0, 2**60), "us", lookups=(lookup,))
    story = Story().add_elements([events(5, 12, 25)]).add_elements([ReleasedTable("plane", second)])
    story = story.add_elements([events(19, 26), events(3, 20)]).advance_watermark_to_infinity()

    def check(found: Iterable[pa.RecordBatch]) -> None:
        rows = [row for batch in found for row in batch.to_pylist()]
        assert {row[batches.EVENT_ID]: (row["plane.year"], row[f"{ANSWERED}plane"]) for row in rows} == {
            **dict.fromkeys(("e3", "e5"), (None, None)),
            **dict.fromkeys(("e12", "e19", "e25"), (10, "v10")),  # e25 came before the release
            **dict.fromkeys(("e20", "e26"), (20, "v20")),
        }

    with beam.Pipeline(runner=replaying_runner(), options=PipelineOptions(["--streaming"])) as pipeline:
        told = pipeline | story
        released, given = (
            told | kind.__name__ >> beam.Filter(isinstance, kind).with_output_types(kind)
            for kind in (ReleasedTable, pa.RecordBatch)
        )
        joined = given | JoinTables(spec, NoTables(), released)
        assert_that(joined.good, check, label="Good")
        assert_that(joined[DEAD_LETTERS], lambda found: None, label="Letters")


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many events another version answered, by counter."""
    counts: dict[str, int] = {}

    class _Counter:
        def __init__(self, name: str) -> None:
            self._name = name

        def inc(self, number: int) -> None:
            counts[self._name] = counts.get(self._name, 0) + number

    monkeypatch.setattr(metrics, "counter", _Counter)
    return counts


def answered(table: FollowedTable, *seconds: int) -> list[Any]:
    found = table.answer(pa.array(["A"] * len(seconds)), np.array(seconds) * SECOND)
    assert found.versions is not None
    return list(found.versions.to_pylist())


def test_until_a_version_is_loaded_the_former_one_answers_and_such_events_are_counted(
    store: TableStore, tmp_path: Path, counted: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = publish(store, tmp_path, "v10", 10), publish(store, tmp_path, "v20", 20)
    third = publish(store, tmp_path, "v30", 30)
    table, loaded = FollowedTable(lookup_of(store, first), 0), dict[str, AsOfTable]()
    monkeypatch.setattr(HELD_VERSIONS, "now", lambda wanted: loaded.get(wanted.version))
    assert answered(table, 9, 10, 21, 22, 31) == [None, "v10", "v10", "v10", "v10"]
    for release in (third, second, second):
        table.hear(release)
    assert counted == {"events_by_former_table/plane": 3}  # those from 20 on, each once
    assert answered(table, 21, 31) == ["v10", "v10"]
    assert counted == {"events_by_former_table/plane": 5}
    for release in (second, third):
        wanted = version_of_release(lookup_of(store, first), release)
        loaded[release.version] = HELD_VERSIONS.awaited(wanted)
        assert answered(table, 21, 31) == ["v20", release.version]
    assert counted == {"events_by_former_table/plane": 6}


def test_the_watcher_tells_each_release_once_and_refuses_what_fails_its_checks(
    store: TableStore, tmp_path: Path
) -> None:
    first = publish(store, tmp_path, "v10", 10)
    lookup = lookup_of(store, first)
    good = publish(store, tmp_path, "v20", 20)
    publish(store, tmp_path, "seats", 25, "seats")
    (tmp_path / "store/tables/planes/releases/00000004.json").write_text("{}")
    watcher = _TableWatcher(lookup, patience_s=30)
    found, progress = watcher.poll(TableProgress(first.sequence))
    told = {each.sequence: getattr(each, "reason", "") for each in found if each != good}
    assert (good in found, told) == (True, {3: "wrong_inputs", 4: "invalid_release"})
    assert watcher.poll(progress) == ([], progress)
    last = publish(store, tmp_path, "v40", 40)
    assert watcher.poll(progress)[0] == [last]
    assert _TableWatcher(lookup, patience_s=30).poll(progress)[0] == [last]  # another process goes on from the state

