"""The scenario on each runner; every run gives the answers that its receipts hold."""

import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from audit.files.audit import Audit
from audit.files.found.receipt_keys import ReceiptKeys
from audit.files.found.receipts import FoundReceipt
from examples.flights import service
from pipeline.command_line.options import parse_run_options
from pipeline.run import prepare
from runners.flink.local import parts
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from schemas.job import Job
from tests.conformance.quality import (
    encoded,
    labels_file,
    labels_of,
    letters_on_direct,
    measured_on_direct,
    the_end,
    whole_keys,
    with_labels,
)
from tests.conformance.scenario import Answer, Scenario, answers_of
from tests.flink.running import KeptRecords
from tests.reference.reference import microseconds
from tests.reference.streaming import watermarks_of
from tests.transforms.beam import flights, streams

# Five leaps of the watermark over many windows each.
_STORY_BATCHES = 5
_SECONDS = 300.0
# All of the first release.
_FIRST_EVENTS, _FEW = 100, 10


class Streamed(NamedTuple):
    """What a job that follows topics answered, its records of quality, and its dead letters."""

    answers: set[Answer]
    quality: list[dict[str, Any]]
    letters: list[dict[str, Any]]


def on_direct(scenario: Scenario) -> set[Answer]:
    """The events' file on DirectRunner, by a job that measures quality by the labels in another file."""
    labelled = with_labels(scenario, labels_file(scenario))
    return answers_of(flights.records(_from_files(labelled, "direct", [], "quality") / "receipts"))


def on_flink_bounded(scenario: Scenario, master: str) -> set[Answer]:
    """The events' file on Flink, with two subtasks for each step, by a job that encrypts what it writes; the answers
    are those that the keys open."""
    jar = parts.job_server_jar()
    options = ["--runner=FlinkRunner", f"--flink_master={master}", f"--flink_job_server_jar={jar}", "--parallelism=2"]
    keys = scenario.folder / "keys"
    audit = _from_files(_private(scenario, keys), "flink-bounded", [*options, "--environment_type=LOOPBACK"])
    return answers_of(one.receipt for one in _opened(audit, keys))


def _private(scenario: Scenario, keys: Path) -> Scenario:
    return scenario._replace(document=scenario.document | {"privacy": {"keys": str(keys)}})


def _opened(audit: Path, keys: Path) -> list[FoundReceipt]:
    """The receipts of an audit, each of which the keys must open."""
    opened = list(Audit(str(audit), ReceiptKeys(str(keys))).scan())
    assert {one.locked for one in opened} <= {""}
    assert {str(one.named("subject"))[:3] for one in opened} <= {"h1:"}
    return opened


def _from_files(scenario: Scenario, name: str, options: Sequence[str], *more: str) -> Path:
    """The audit of a job over the events' file, which has `more` sinks."""
    out = scenario.folder / name
    sinks = {sink: str(out / sink) for sink in ("audit", "dead_letters", *more)}
    spec = scenario.spec(name, str(scenario.folder / "events.avro"), sinks)
    command = [sys.executable, "-m", "pipeline", "--job", str(spec), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {letter["stage"] for letter in flights.records(out / "dead_letters")} <= {"labels"}
    return out / "audit"


def in_a_story(scenario: Scenario) -> set[Answer]:
    """The events as a TestStream with a perfect watermark."""
    size = -(-len(scenario.rows) // _STORY_BATCHES)
    batches = [scenario.rows[start : start + size] for start in range(0, len(scenario.rows), size)]
    times = microseconds([row["departed_at"] for row in scenario.rows])
    watermarks = watermarks_of(times, "0s", [len(batch) for batch in batches])
    story = streams.story_of(scenario.folder, scenario.schema, batches, watermarks)
    kept = scenario.folder / "story.jsonl"
    streams.play(_story_job(scenario), story, lambda found: None, streams.none, _keeper(kept))
    return answers_of(json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines())


def _story_job(scenario: Scenario) -> Job:
    # The range of times ends soon after the events, since a story takes longer the further a watermark can jump.
    times = {"time_range": ["2013-01-01T00:00:00Z", "2013-01-04T00:00:00Z"]}
    spec = scenario.spec("story", str(scenario.folder / "events.avro"), {}, **times)
    one_poll = ["--set", "model.poll=10m", "--set", "windows.shards=1"]
    return prepare(parse_run_options(["--job", str(spec), *one_poll], "tests")).job


def _keeper(path: Path) -> Callable[[Iterable[pa.RecordBatch]], None]:
    """Writes the receipts as JSON lines: the runner of a story works on copies, whose results only reach the test
    through a file."""

    def keep(found: Iterable[pa.RecordBatch]) -> None:
        with path.open("w", encoding="utf-8") as lines:
            for batch in found:
                for row in batch.select(["score_id", "score", "version", "role", "features"]).to_pylist():
                    lines.write(json.dumps(row | {"features": dict(row["features"])}) + "\n")

    return keep


def on_flink_streaming(scenario: Scenario, cluster: FlinkCluster, broker: KafkaBroker) -> Streamed:
    """The events as JSON on a topic of two partitions that a job on Flink follows, with two subtasks for each step, and
    their labels on another, which come after the events; half way through a task manager is killed. It encrypts what it
    writes to a topic and to files, and the answers are those that the keys open in these."""
    server, keys, audit = f"kafka://{broker.bootstrap}", scenario.folder / "keys-of-stream", scenario.folder / "stream"
    sinks: dict[str, str | list[str]] = {"audit": [f"{server}/audit", str(audit)], "dead_letters": f"{server}/dead"}
    sinks["quality"] = f"{server}/quality"
    labelled = with_labels(_private(scenario, keys), f"{server}/labels?idle_after=3s")
    spec = labelled.spec("flink-streaming", f"{server}/flights?idle_after=3s", sinks, format="json")
    with service.submitted(cluster, ["--job", str(spec)], scenario.folder) as job:
        last, sent, receipts = scenario.releases[-1], 0, KeptRecords(broker, "audit.receipts")
        job.wait_until(lambda: bool(service.told(broker, "refused", last)), _SECONDS, "the last release refused")
        # A stream does not wait for a version to load (docs/runners.md): here its first events, which belong to the
        # first release, have all versions loaded before the others arrive.
        while not all(service.told(broker, "loaded", version) for version in {*scenario.releases} - {last}):
            assert sent < _FIRST_EVENTS, "the versions were not loaded"
            _answered(job, broker, receipts, scenario.rows[sent : sent + _FEW])
            sent += _FEW
        _in_halves(job, cluster, broker, receipts, scenario, sent)
        quality = KeptRecords(broker, "quality")
        _measured(job, broker, scenario, quality)
        assert cluster.rest(f"/jobs/{cluster.live_jobs()[0]}/checkpoints")["counts"]["restored"] > 0
        wanted = {one["score_id"] for one in receipts()}
        job.wait_until(lambda: wanted <= set(_ids(audit)), _SECONDS, "all receipts in files")
    letters, rows, told = service.records(broker, "dead"), {row["id"] for row in scenario.rows}, receipts()
    assert {one["subject"][:3] for one in told} == {"h1:"}
    assert {value for one in told for name, value in one["features"].items() if name} == {None}
    opened = (one.receipt for one in _opened(audit, keys))
    return Streamed(answers_of(one for one in opened if one["event_id"] in rows), quality(), letters)


def _ids(audit: Path) -> list[str]:
    """The `score_id` of each receipt in files, which need not be there yet."""
    return [each for rows in Audit(str(audit)).columns(["score_id"]) for each in rows.column(0).to_pylist()]


def _in_halves(
    job: service.Job, cluster: FlinkCluster, broker: KafkaBroker, receipts: KeptRecords, scenario: Scenario, sent: int
) -> None:
    """Sends all but the first `sent` events in two halves, between which a task manager is killed, each after the
    labels that are known when it begins; then the labels that are left, and what comes two days later."""
    rows, (last_event, last_label) = scenario.rows, the_end(scenario)
    labels, half = [*labels_of(scenario), last_label], (sent + len(rows)) // 2
    labels = _labels_until(broker, labels, rows[sent - 1]["departed_at"])
    _answered(job, broker, receipts, rows[sent:half])
    labels = _labels_until(broker, labels, rows[half - 1]["departed_at"])
    cluster.kill_busy_task_manager()
    cluster.add_task_manager()
    _answered(job, broker, receipts, rows[half:])
    _labels_until(broker, labels, last_label["known"])
    service.produce(broker, [last_event])


def _labels_until(broker: KafkaBroker, labels: list[dict[str, Any]], time: datetime) -> list[dict[str, Any]]:
    """Sends the labels, which are in order of time, that were known by a time; returns the others."""
    due = [label for label in labels if label["known"] <= time]
    service.produce_values(broker, [(one["of"], encoded(one)) for one in due], "labels")
    return labels[len(due) :]


def _measured(job: service.Job, broker: KafkaBroker, scenario: Scenario, quality: KeptRecords) -> None:
    """Waits until each window has its last pane, and each label beyond the horizon its letter."""
    wanted, late, letters = set(measured_on_direct(scenario)), letters_on_direct(scenario), KeptRecords(broker, "dead")

    def missing() -> list[Any]:
        return sorted(wanted - whole_keys(quality()), key=str)

    try:
        job.wait_until(lambda: not missing(), _SECONDS, "the last pane of each window")
    except AssertionError as failure:
        left = missing()
        raise AssertionError(f"{failure}\nmissing are {len(left)} of {len(wanted)}, from {left[:3]} on") from None
    job.wait_until(lambda: {one["event_id"] for one in letters()} >= {*late}, _SECONDS, "the dead letters of labels")


def _answered(job: service.Job, broker: KafkaBroker, receipts: KeptRecords, rows: list[dict[str, Any]]) -> None:
    """Sends events, and waits until each has an answer."""
    wanted = {row["id"] for row in rows}

    def complete() -> bool:
        answered = {one["event_id"] for one in receipts() if one["role"] != "shadow"}
        return answered >= wanted

    service.produce(broker, rows)
    job.wait_until(complete, _SECONDS, "all events answered")
