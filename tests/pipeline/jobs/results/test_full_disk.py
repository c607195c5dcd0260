"""A full disk under a job's sinks: the run fails with the file's name, and leaves no useless file."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.disks import SmallDisk, small_disk
from tests.pipeline.jobs.flows import Flow, json_lines, read_avro, said_nothing_of_python, trips


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "small", 1) as mounted:
        yield mounted


@pytest.mark.parametrize("left", [0, 4096], ids=["no room", "room for a page"])
@pytest.mark.parametrize("format_name", ["avro", "parquet"])
def test_full_disk_is_one_line_with_the_file_and_leaves_no_file(
    flow: Flow, disk: SmallDisk, format_name: str, left: int
) -> None:
    flow.feed(json_lines(trips(2000)))
    disk.fill(but=left)
    spec = flow.spec()
    spec["sinks"] |= {"scores": str(disk.folder / "scores"), "format": format_name}
    outcome = flow.run(spec)
    assert outcome.code == 1
    assert said_nothing_of_python(outcome), outcome.err
    assert "while running" not in outcome.err
    full = f"{disk.folder}/scores/scores-[^ ]*[.]{format_name}" if left else f"{disk.folder}/scores"  # found by a trial
    assert re.search(f"{full} cannot be written: No space left on device", outcome.err), outcome.err
    assert list((disk.folder / "scores").iterdir()) == []


def test_run_after_there_is_space_again_has_every_answer(flow: Flow, disk: SmallDisk) -> None:
    flow.feed(json_lines(trips(300)))
    spec = flow.spec()
    spec["sinks"]["scores"] = str(disk.folder / "scores")
    disk.fill()
    assert flow.run(spec).code == 1
    disk.make_room()
    assert flow.run(spec).code == 0
    assert len({row["event_id"] for row in read_avro(disk.folder / "scores")}) == 300
