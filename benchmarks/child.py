"""Entry of the processes that are measured or prepare: `python -m benchmarks.child TASK ARGUMENT…`.

The ways are imported here and not run as `__main__`, since Beam pickles the functions of `__main__` by value.
"""

import json
import sys
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from benchmarks.workload import Workload


def main(task: str, *arguments: str) -> None:
    """Runs one task: `prepare DATA WORK MONTHS…`, `compare FILE`, `warm`, or `WAY FILE` (a workload)."""
    if task == "prepare":
        from benchmarks.prepare import prepare

        data, work, *spans = arguments
        prepare(Path(data), Path(work), [int(months) for months in spans])
    elif task == "compare":
        from benchmarks.compare import compare_all

        compare_all(Path(arguments[0]))
    elif task == "warm":
        import_module("benchmarks.peers.bare_loop")
        import_module("benchmarks.peers.runinference_way")
    else:
        _run_way(task, Workload.read(Path(arguments[0])))


def _run_way(name: str, workload: Workload) -> None:
    if name == "bare":
        from benchmarks.peers.bare_loop import run
    elif name == "runinference":
        from benchmarks.peers.runinference_way import run
    else:
        from benchmarks.peers.runinference_way import run_expert as run
    Path(workload.marks).write_text(json.dumps(asdict(run(workload))))


if __name__ == "__main__":
    main(*sys.argv[1:])
