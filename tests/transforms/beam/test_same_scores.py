"""The same flights in other orders, blocks, files and formats, and as a stream, have the very same scores."""

import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import fastavro
import pandas as pd
import pyarrow as pa
import pytest

from tests.reference.reference import microseconds
from tests.reference.streaming import watermarks_of
from tests.transforms.beam import flights, streams
from tests.transforms.beam.flights import Change, Ran, World
from transforms.arrivals import track_arrivals
from transforms.features import join_features, window_features

COUNT, BATCH = 840, 168  # a day; each of its five batches lets the watermark leap over many windows
Rows = list[dict[str, Any]]


class Case(NamedTuple):
    """Flights in the order of their file, and what a run of the job gave for them."""

    world: World
    schema: Any
    rows: Rows
    ran: Ran


@pytest.fixture(scope="module")
def case(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    folder = tmp_path_factory.mktemp("same")
    with (root / "tests/data/flights/departures-2013-01.avro").open("rb") as stream:
        reader = fastavro.reader(stream)
        schema, rows = reader.writer_schema, [row for row in reader if isinstance(row, dict)][:COUNT]
    for row in rows:  # whole minutes would add up to the same bits in any order
        row["dep_delay"] += random.Random(row["id"]).random()
    streams.write_avro(folder / "given.avro", schema, rows)
    made = flights.world(folder, pd.DataFrame(rows))
    ran = flights.run(made, str(folder / "given.avro"), "ran")
    assert len(ran.pairs) == len(ran.scores) == COUNT
    return Case(made, schema, rows, ran)


def rerun(case: Case, folder: Path, change: Change | None = None) -> set[tuple[str, float]]:
    """The scores of a run over the files in `folder`."""
    name = folder.name
    made = flights.run(case.world, str(folder / "in*"), name, change)
    assert len(made.scores) == COUNT
    return made.pairs


def shuffled(case: Case, seed: int) -> Rows:
    return random.Random(seed).sample(case.rows, len(case.rows))


@pytest.mark.parametrize("shards", [1, 5])
def test_random_order_over_several_files_gives_the_same_scores(case: Case, tmp_path: Path, shards: int) -> None:
    rows = shuffled(case, shards)
    for file in range(7):
        streams.write_avro(tmp_path / f"in{file}.avro", case.schema, rows[file::7], per_block=50)
    assert rerun(case, tmp_path, lambda spec: spec.update(windows={"shards": shards})) == case.ran.pairs


def test_blocks_of_one_record_and_small_batches_give_the_same_scores(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (track_arrivals, window_features, join_features):
        monkeypatch.setattr(module, "EMIT_ROWS", 37)
    streams.write_avro(tmp_path / "in1.avro", case.schema, case.rows[:300], per_block=1)
    streams.write_avro(tmp_path / "in2.avro", case.schema, case.rows[300:])
    assert rerun(case, tmp_path) == case.ran.pairs


def test_json_lines_give_the_same_scores_as_avro(case: Case, tmp_path: Path) -> None:
    lines = [json.dumps(row, default=lambda at: at.isoformat()) for row in shuffled(case, 0)]
    (tmp_path / "in.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert rerun(case, tmp_path, lambda spec: spec["events"].update(format="json")) == case.ran.pairs


def in_a_stream(spec: dict[str, Any]) -> None:
    # The range of times ends soon after the flights, since a story takes longer the further a watermark can jump.
    spec["events"]["time_range"] = ["2013-01-01T00:00:00Z", "2013-01-10T00:00:00Z"]
    spec["windows"] = {"shards": 1}
    spec["model"]["poll"] = "10m"  # admission may take half of it, and there is only one poll


def test_stream_with_a_perfect_watermark_gives_the_same_scores(case: Case, tmp_path: Path) -> None:
    starts = range(0, COUNT, BATCH)
    watermarks = watermarks_of(microseconds(case.world.events["departed_at"]), "0s", [BATCH] * len(starts))
    batches = [case.rows[start : start + BATCH] for start in starts]
    expected = case.ran.pairs

    def check(found: Iterable[pa.RecordBatch]) -> None:
        rows = [row for batch in found for row in batch.to_pylist()]
        pairs = {(row["score_id"], row["score"]) for row in rows}
        assert not any(row["late"] for row in rows)
        assert (len(rows), len(expected - pairs), len(pairs - expected)) == (len(expected), 0, 0)

    story = streams.story_of(tmp_path, case.schema, batches, watermarks)
    uri = str(case.world.folder / "given.avro")
    job = flights.prepared(case.world, uri, "stream", in_a_stream).job
    streams.play(job, story, check, streams.none)
