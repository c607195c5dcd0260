"""What Flink says of its checkpoints while the job runs, asked once a second: a job manager that dies forgets it."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import NamedTuple

from runners.flink.local.cluster import ClusterFailed, FlinkCluster

_EVERY_SECONDS = 1.0


class Seen(NamedTuple):
    """When a job was restored from a checkpoint (microseconds since the epoch), and the size of each checkpoint."""

    restored_us: set[int]
    sizes: list[int]


@contextmanager
def watched(cluster: FlinkCluster) -> Iterator[Seen]:
    """What is seen as long as the block lasts; it grows meanwhile."""
    seen, ended = Seen(set(), []), threading.Event()

    def look_on() -> None:
        completed: set[tuple[str, int]] = set()
        while not ended.wait(_EVERY_SECONDS):
            try:
                _look(cluster, seen, completed)
            except ClusterFailed:  # the job manager is dead, or just back
                continue

    with ThreadPoolExecutor(1, "watch") as executor:
        looking = executor.submit(look_on)
        try:
            yield seen
        finally:
            ended.set()
        looking.result()


def _look(cluster: FlinkCluster, seen: Seen, completed: set[tuple[str, int]]) -> None:
    for job_id in cluster.job_states():
        latest = cluster.rest(f"/jobs/{job_id}/checkpoints")["latest"]
        if latest["restored"]:
            seen.restored_us.add(int(latest["restored"]["restore_timestamp"]) * 1000)
        if latest["completed"] and (job_id, latest["completed"]["id"]) not in completed:
            completed.add((job_id, latest["completed"]["id"]))
            seen.sizes.append(int(latest["completed"]["state_size"]))
