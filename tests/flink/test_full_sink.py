"""A sink of files on a disk that takes nothing. The oracle is that of `test_failures.py`.

The job's scores are files on a small disk, its receipts records of a topic.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fastavro
import pytest

from examples.flights.service import Event
from tests.disks import SmallDisk, small_disk
from tests.flink.running import Machines, Running, running
from tests.servers import needs

pytestmark = needs("java", "mvn", "go")


def files_in(folder: Path) -> list[Path]:
    """The files of scores that readers see."""
    return sorted(folder.glob("scores-*.avro"))


def scores_in(folder: Path) -> list[dict[str, Any]]:
    """Every score in the files of a folder. Raises for a file that is not whole."""
    found: list[dict[str, Any]] = []
    for path in files_in(folder):
        with path.open("rb") as stream:
            found += [row for row in fastavro.reader(stream) if isinstance(row, dict)]
    return found


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDisk]:
    with small_disk(tmp_path_factory.mktemp("disk") / "small", 64) as mounted:
        yield mounted


@pytest.fixture(scope="module")
def live(
    machines: Machines, month: list[Event], disk: SmallDisk, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    scores, folder = disk.folder / "scores", tmp_path_factory.mktemp("job")
    with running(machines, month, folder, [f"sinks.scores={scores}"], lambda: scores_in(scores)) as started:
        yield started


def failures(live: Running) -> list[str]:
    """What Flink says the job failed of."""
    told = live.cluster.rest(f"/jobs/{live.job_id}/exceptions")["exceptionHistory"]["entries"]
    return [entry["stacktrace"] for entry in told]


def test_full_disk_fails_the_job_until_there_is_room_and_nothing_is_lost_or_torn(
    live: Running, disk: SmallDisk
) -> None:
    folder, before = disk.folder / "scores", live.restores
    seen = files_in(folder)
    disk.fill()
    live.send(200)
    live.wait_until(lambda: live.restores >= before + 2, 180, "two restarts for the full disk")
    said = [line for text in failures(live) for line in text.splitlines() if "No space left on device" in line]
    assert any(f"{folder}/scores-" in line for line in said)
    assert files_in(folder) == seen
    disk.make_room()
    live.send(100)
    live.wait_until_all_scored("a full disk")
