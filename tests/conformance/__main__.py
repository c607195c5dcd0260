"""`python -m tests.conformance`: the scenario on every runner; writes docs/runners.md. 1 when answers differ."""

import importlib.metadata
import platform
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from examples.flights import service
from runners.flink.local import parts
from runners.flink.local.broker import KafkaBroker
from runners.flink.local.cluster import FlinkCluster
from tests.conformance import runs
from tests.conformance.scenario import ROOT, SCENARIO, Answer, Scenario, unfold

PAGE = ROOT / "docs" / "runners.md"
_TEXT = """# Runners

One scenario (`{scenario}`: {events} flights, thirty windowed features, seven releases, among them shadows, canaries,
one that is back-dated and one that is refused) runs on each runner. The sets of (`score_id`, score, version, role,
digest of the features as the scorer read them) are compared. Written by `python -m tests.conformance`; `make test`
checks the same (`tests/flink/test_conformance.py`).

{date}, {versions}.

| runner | input | answers | missing | others | seconds |
|---|---|---|---|---|---|
{rows}

Missing and others are relative to DirectRunner. Seconds include start-up, on two cores; they do not compare
speed.

## What differs besides the answers
- **Duplicates.** On Flink, what was written since the last checkpoint is written again after a failure: readers keep
  one record for each `score_id`. Bounded runs on DirectRunner write once or fail.
- **Lateness.** Bounded input has a perfect watermark: nothing is late. Streams mark late events (`late` in scores and
  receipts), and features of late events see what has arrived.
- **Repeated ids.** Of events with equal ids, bounded input scores the one with the smallest (time, bytes), a
  stream the first to arrive.
- **The timeline** is a side input in bounded jobs and keyed state in unbounded ones
  ([why](decisions/timeline-in-state.md)); the releases are the same.
- **Loads.** Bounded jobs wait for a version to load; in a stream the nearest loaded release answers in the meantime,
  and the receipt names it ([model loading](decisions/model-loading.md)).
- **TestStream** runs on Beam's `BundleBasedDirectRunner`, which keeps no watermark holds for timers and polls the
  store once.
- **Dataflow** was translated offline only (`runners/dataflow/README.md`).
"""


class Run(NamedTuple):
    """A runner, its input, and its results."""

    runner: str
    source: str
    answers: set[Answer]
    seconds: float


def main() -> int:
    """Runs all of it in a temporary folder below `out`."""
    (ROOT / "out").mkdir(exist_ok=True)
    with TemporaryDirectory(prefix="conformance-", dir=ROOT / "out") as folder:
        scenario = unfold(Path(folder).absolute())
        done, events = _all(scenario), len(scenario.rows)
    reference = done[0].answers
    PAGE.write_text(_page(done, events), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
    return 0 if all(run.answers == reference for run in done) else 1


def _all(scenario: Scenario) -> list[Run]:
    folder = scenario.folder
    done = [
        _timed("DirectRunner", "an Avro file", lambda: runs.on_direct(scenario)),
        _timed("TestStream", "a perfect watermark", lambda: runs.in_a_story(scenario)),
    ]
    with FlinkCluster(folder / "flink") as cluster, KafkaBroker(folder / "kafka") as broker:
        service.create_topics(broker)
        done.append(_timed("Flink, bounded", "an Avro file", lambda: runs.on_flink_bounded(scenario, cluster.master)))
        following = _timed(
            "Flink, streaming", "a Kafka topic", lambda: runs.on_flink_streaming(scenario, cluster, broker).answers
        )
        done.append(following)
    return done


def _timed(runner: str, source: str, work: Callable[[], set[Answer]]) -> Run:
    print(f"{runner}: {source}", file=sys.stderr, flush=True)
    started = time.monotonic()
    return Run(runner, source, work(), time.monotonic() - started)


def _page(done: list[Run], events: int) -> str:
    reference = done[0].answers
    rows = [
        f"| {run.runner} | {run.source} | {len(run.answers):,} | {len(reference - run.answers):,} "
        f"| {len(run.answers - reference):,} | {run.seconds:.0f} |"
        for run in done
    ]
    versions = ", ".join(
        [f"Python {platform.python_version()}"]
        + [f"{name} {importlib.metadata.version(name)}" for name in ("apache-beam", "pyarrow", "numpy")]
        + [f"Flink {parts.FLINK_VERSION} with Beam's runner {parts.BEAM_RUNNER_VERSION}, Kafka {parts.KAFKA_VERSION}"]
    )
    return _TEXT.format(
        scenario=SCENARIO.relative_to(ROOT),
        events=events,
        date=time.strftime("%Y-%m-%d"),
        versions=versions,
        rows="\n".join(rows),
    )


if __name__ == "__main__":
    sys.exit(main())
