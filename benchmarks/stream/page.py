"""The page of what was measured."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from benchmarks.stream.figures import Recovery
from benchmarks.table import machine, markdown


class Measured(NamedTuple):
    """One phase of one job. `lag`: events waiting, every ten seconds. `cores`: processor seconds a second by part."""

    subject: str
    phase: str
    rate: int
    seconds: float
    missing: int
    answered_per_s: float
    latency_ms: list[float]
    lag: list[int]
    behind_s: float
    cores: dict[str, float]
    recovery: Recovery | None


def table(found: Sequence[Measured]) -> str:
    """All phases, one a line."""
    header = [
        "job, phase", "events/s", "for s", "answered/s", "unanswered", "p50 ms", "p95 ms", "p99 ms", "max ms",
        "lag, quarters", "sender behind s", "cores: Flink, Python, Kafka",
    ]  # fmt: skip
    return markdown(header, [_row(one) for one in found])


def _row(one: Measured) -> list[str]:
    return [
        f"{one.subject}: {one.phase}",
        f"{one.rate:,}",
        f"{one.seconds:.0f}",
        f"{one.answered_per_s:,.0f}",
        str(one.missing),
        *(f"{value:,.0f}" for value in one.latency_ms),
        " → ".join(f"{count:,}" for count in quarters(one.lag)),
        f"{one.behind_s:.2f}",
        # The processor time of a killed process cannot be read any more.
        "" if one.recovery else ", ".join(f"{one.cores[name]:.2f}" for name in ("Flink", "Python workers", "Kafka")),
    ]


def quarters(lag: Sequence[int]) -> list[int]:
    """The median lag of each quarter of a phase."""
    return [int(np.median(part)) for part in np.array_split(np.asarray(lag), 4) if len(part)]


def page(found: Sequence[Measured]) -> str:
    """The whole page."""
    lines = [
        f"- {one.subject}, {one.rate:,} events/s: first answer {one.recovery.silent_s:.1f} s after the kill, "
        f"latencies as before {one.recovery.caught_up_s:.1f} s after it"
        for one in found
        if one.recovery is not None
    ]
    parts = [
        "# The service, measured",
        "Written by `python -m benchmarks.stream`.",
        machine(),
        table(found),
        "## `kill -9` of the busy task manager",
        "\n".join(lines) or "Not measured.",
        METHOD,
    ]
    return "\n\n".join(parts) + "\n"


METHOD = """\
## What is measured

Everything runs on this machine: the broker, Flink's job manager and two task managers, the Python workers, an S3 server
with the model, and the process that sends. Events are flights in JSON, sent at a steady pace to a topic of two
partitions, with the time of sending as their event time. **this job** is the embedded job: decoding, twelve windowed
features of three keys, a linear model, a score and a receipt for each event in topics of their own;
`max_out_of_orderness` 250 ms, `allowed_lateness` 1 m, checkpoints every ten seconds, bundles of 50 ms, one subtask and
one shard, its steps spread over two Python processes (`--sdk_worker_parallelism=2`). **identity** has the same reader
and sink with a shuffle between them and writes each record unchanged: it shows what the platform costs.

All times are the broker's (`message.timestamp.type=LogAppendTime`): an event's latency is the time from its append to
that of its score. Percentiles are over all answered events of a phase; *lag* is how many of them had no score yet,
every ten seconds, as the median of each quarter. *sender behind* is how far the sender itself ever fell behind its
pace. Cores are processor seconds per second of the phase; those of the sender, the job manager and the S3 server are
not included. All phases run one after the other on the same job.
"""
