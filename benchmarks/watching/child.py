"""One run of the flights job in a process of its own: `python -m benchmarks.watching.child WAY SUMMARY ARGUMENT…`.

Writes beside the summary, as JSON, the CPU seconds of the process from the start of the graph to its end, and the job's
steady seconds.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.runners.runner import PipelineResult

import pipeline.dag
import pipeline.run
from pipeline.endpoints.sources import EventSource

NOTHING = "nothing"


class _Unmeasured(beam.PTransform[Any, Any]):
    """In place of MeasureDrift: no record."""

    def __init__(self, *_: Any) -> None:
        super().__init__()

    def expand(self, scored: Any) -> Any:
        return scored.pipeline | "NoRecords" >> beam.Create([])


def main(way: str, summary: str, *arguments: str) -> int:
    """Runs the job; returns its exit code."""
    if way == NOTHING:
        vars(pipeline.dag)["MeasureDrift"] = _Unmeasured  # the job has no way to leave it out
    used, run_to_end = list[float](), pipeline.run.run_to_end

    def timed(graph: beam.Pipeline, source: EventSource, live: bool = True) -> PipelineResult:
        began = time.process_time()
        result = run_to_end(graph, source, live)
        used.append(time.process_time() - began)
        return result

    vars(pipeline.run)["run_to_end"] = timed
    code = pipeline.run.run([*arguments, "--summary", summary])
    found = json.loads(Path(summary).read_text()) if code == 0 else {}
    told = {"cpu_s": sum(used), "steady_s": found.get("timing", {}).get("steady_seconds")}
    told["records"] = found.get("quality", {}).get("records")
    Path(summary).with_suffix(".measured").write_text(json.dumps(told))
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
