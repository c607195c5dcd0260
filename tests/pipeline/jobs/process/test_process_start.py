"""The seconds that a run reports are those that have passed since its process began."""

import json
import subprocess
import sys
import time

import pytest

from tests.pipeline.jobs.flows import Flow, json_lines, trips


@pytest.mark.parametrize("program", [["pipeline.cli", "run"], ["pipeline"]])
@pytest.mark.parametrize("shell", [False, True])
def test_a_run_counts_from_the_start_of_its_process(flow: Flow, program: list[str], shell: bool) -> None:
    flow.feed(json_lines(trips(5)))
    job, summary = flow.write_spec(flow.spec()), flow.root / "s.json"
    words = [sys.executable, "-m", *program, "--job", str(job), "--summary", str(summary)]
    began = time.time()
    subprocess.run(["sh", "-c", 'exec "$@"', "sh", *words] if shell else words, check=True, capture_output=True)
    passed = summary.stat().st_mtime - began
    assert passed - json.loads(summary.read_text())["seconds"] == pytest.approx(0, abs=1.5)


@pytest.mark.parametrize(("most", "counted"), [("30", True), ("0.5", False)])
def test_a_process_that_was_another_program_before_does_not_report_its_age(most: str, counted: bool) -> None:
    asked = f"import time, pipeline.process.process_start as p; print(time.time() - p.process_started({most}))"
    words = ["sh", "-c", 'sleep 1; exec "$@"', "sh", sys.executable, "-c", asked]
    age = float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    assert (age >= 1) == counted
