"""`make demo-flink`: the job on Kafka, S3 and Flink; a model takes over, one is refused, a machine dies."""

import os
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from examples.flights import service
from examples.flights.service import records, time_us
from models.store.store import ModelStore
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from runners.flink.local.objects import S3Server
from runners.flink.local.parts import PartMissing
from runners.flink.local.processes import DidNotStart
from schemas.times import parse_time_us

_SLICE = Path("tests/data/flights/departures-2013-01.avro")
_FIRST, _CUT_OVER = "2013-01-01T00:00:00Z", "2013-01-03T00:00:00Z"
_SECONDS = 300.0
_started = time.monotonic()


def say(text: str) -> None:
    """One line of the story, with the seconds since it began."""
    print(f"{time.monotonic() - _started:6.1f} s  {text}", flush=True)


def main() -> int:
    """Tells the story; 0 when every event was scored by the version in force at its time."""
    folder = Path("out")
    folder.mkdir(exist_ok=True)
    try:
        with TemporaryDirectory(prefix="demo-flink-", dir=folder) as here:
            return _tell(Path(here).absolute())
    except (PartMissing, DidNotStart) as error:
        print(f"demo-flink: {error}", file=sys.stderr)
        return 1


def _tell(here: Path) -> int:
    say("starting an S3 server, a Kafka broker, and Flink with two task managers (the first time, fetching them)")
    with S3Server(here / "s3") as s3, KafkaBroker(here / "kafka") as broker, FlinkCluster(here / "flink") as cluster:
        os.environ.update(s3.environment)  # obstore reads them, here and in the job
        url = f"{s3.create_bucket('models')}/store"
        store = ModelStore(url, service.MODEL)
        service.create_topics(broker)
        for version, slope in (("v1", 0.03), ("v2", 0.06)):
            service.publish(store, version, slope, here / "payload")
        store.append_release(champion="v1", effective_from_us=parse_time_us(_FIRST), by="demo", reason="the first")
        say(f"v1 is released in {url}; Flink's page: http://{cluster.master}")
        events = service.flights(_SLICE)
        uri = f"events.uri=kafka://{broker.bootstrap}/flights?idle_after=5s"
        given = [*service.arguments(broker, url), "--set", uri]
        with service.submitted(cluster, given, here) as job:
            _serve(job, broker, cluster, store, events)
        return _account(broker, len(events))


def _serve(
    job: service.Job, broker: KafkaBroker, cluster: FlinkCluster, store: ModelStore, events: list[service.Event]
) -> None:
    third = len(events) // 3
    service.produce(broker, events[:third])
    say(f"{third} flights are on the topic; the job is being submitted")
    job.wait_until(lambda: len(records(broker, "scores")) > third // 2, _SECONDS, "scores by v1")
    say(f"{len(records(broker, 'scores'))} scores by v1")
    store.append_release(champion="v2", effective_from_us=parse_time_us(_CUT_OVER), by="demo", reason="a steeper one")
    job.wait_until(lambda: bool(service.told(broker, "released", "v2")), _SECONDS, "v2 admitted")
    say(f"v2 was released from {_CUT_OVER} on, and admitted while the job runs")
    service.publish_broken(store, "v3")
    store.append_release(champion="v3", effective_from_us=parse_time_us(_FIRST), by="demo", reason="a bad one")
    job.wait_until(lambda: bool(service.told(broker, "refused", "v3")), _SECONDS, "v3 refused")
    say(f"v3 was refused: {service.told(broker, 'refused', 'v3')[0]['reason']}; what serves goes on serving")
    service.produce(broker, events[third : 2 * third])
    job.wait_until(lambda: any(score["version"] == "v2" for score in records(broker, "scores")), _SECONDS, "v2 scores")
    say("v2 answers for the events from its time on")
    dead = cluster.kill_busy_task_manager()
    cluster.add_task_manager()
    killed = time.monotonic()
    say(f"kill -9 of {dead.name}; another one is starting")
    service.produce(broker, events[2 * third :])
    wanted = len(events)
    job.wait_until(lambda: len(service.scored_ids(broker)) == wanted, _SECONDS, "all events scored")
    say(f"all {wanted} events are scored, {time.monotonic() - killed:.0f} s after the failure")


def _account(broker: KafkaBroker, wanted: int) -> int:
    scores = records(broker, "scores")
    ids = {score["score_id"] for score in scores}
    at = parse_time_us(_CUT_OVER)
    wrong = [score["score_id"] for score in scores if (score["version"] == "v2") != (time_us(score) >= at)]
    say(f"{wanted} events in, {len(ids)} scores out, {len(scores) - len(ids)} of them written twice for the failure")
    say(f"{len(wrong)} answered by a version that was not in force at their time")
    return 0 if len(ids) == wanted and not wrong else 1


if __name__ == "__main__":
    sys.exit(main())
