"""A run that is asked to end leaves nothing behind; what a killed one left, the next one removes."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from models import scratch
from tests.pipeline.jobs.flows import Flow, json_lines, trips

ENOUGH = 300_000  # tens of seconds of work, of which a test sees the first
PATIENCE = 120.0


def waited(found: Callable[[], object], process: subprocess.Popen[str]) -> None:
    """Returns once `found` holds while the process runs."""
    deadline = time.monotonic() + PATIENCE
    while not found():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.02)


class Started:
    """`python -m pipeline` over a long input, with a temporary folder of its own."""

    def __init__(self, flow: Flow) -> None:
        self.flow, self.temporary = flow, flow.root / "tmp"
        self.temporary.mkdir(exist_ok=True)

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pipeline", "--job", str(self.flow.root / "job.yaml"), *words]
        environment = os.environ | {"TMPDIR": str(self.temporary)}
        piped = subprocess.PIPE
        return subprocess.Popen(command, env=environment, stdout=piped, stderr=piped, text=True)

    def partials(self) -> list[Path]:
        return [path for name in ("scores", "audit") for path in (self.flow.root / name).rglob(".*.partial")]

    def unfinished(self) -> list[Path]:
        """What is in the temporary folder, and the hidden files in the sinks."""
        return [*self.temporary.iterdir(), *self.partials()]

    def writes(self) -> bool:
        return any(path.stat().st_size for path in self.partials() if path.exists()) and self.has_a_model()

    def has_a_model(self) -> bool:
        return any(self.temporary.glob("halflife-of-*/model-*"))


@pytest.fixture(scope="module")
def long_input(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "trips.json"
    path.write_bytes(json_lines(trips(ENOUGH)))
    return path


@pytest.fixture
def started(flow: Flow, long_input: Path) -> Started:
    (flow.root / "in.0").hardlink_to(long_input)
    flow.write_spec(flow.spec())
    return Started(flow)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_ended_leaves_nothing(started: Started, number: signal.Signals, code: int) -> None:
    process = started.start()
    waited(started.has_a_model, process)
    process.send_signal(number)
    _, said = process.communicate(timeout=PATIENCE)
    assert process.returncode == code
    assert len(said.strip().splitlines()) == 1, said
    assert number.name in said
    assert started.unfinished() == []


def test_a_run_that_is_ended_while_it_imports_says_one_line(started: Started) -> None:
    process = started.start()
    waited(lambda: b"apache_beam" in Path(f"/proc/{process.pid}/maps").read_bytes(), process)
    process.terminate()
    _, said = process.communicate(timeout=PATIENCE)
    assert (process.returncode, len(said.strip().splitlines())) == (143, 1), said
    assert "SIGTERM" in said


def test_remains_of_a_killed_run_are_removed_by_the_next(started: Started) -> None:
    process = started.start()
    waited(started.writes, process)
    process.kill()
    process.communicate()
    assert len(started.unfinished()) >= 2
    (started.flow.root / "in.0").unlink()  # not its content, which is that of other tests too
    started.flow.feed(json_lines(trips(10)))
    after = started.start()
    _, said = after.communicate(timeout=PATIENCE)
    assert (after.returncode, said) == (0, "")
    assert started.unfinished() == []


def test_files_of_a_live_run_are_left_alone(started: Started) -> None:
    process = started.start()
    waited(started.writes, process)
    process.send_signal(signal.SIGSTOP)  # it is alive and cannot finish in the meantime
    held = started.unfinished()
    other = started.start("--set", "job=other", "--set", f"events.uri={started.flow.root}/none*")
    other.communicate(timeout=PATIENCE)
    assert held
    assert [path for path in held if not path.exists()] == []
    process.kill()
    process.communicate()


def test_unfinished_files_of_another_machine_are_reported(flow: Flow) -> None:
    flow.feed(json_lines(trips(3)))
    (flow.root / "scores").mkdir()
    left = flow.root / "scores" / ".scores-01.avro.0123456789abcdef.halflife-of-1-abc.partial"
    left.write_bytes(b"half")
    outcome = flow.run(flow.spec())
    assert outcome.code == 0
    assert outcome.err.count("\n") == 1
    assert f"sinks.scores: 1 unfinished files of other machines in {flow.root / 'scores'}" in outcome.err.replace(
        "file://", ""
    )
    assert left.read_bytes() == b"half"


def test_a_folder_without_its_process_is_abandoned_and_ours_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "halflife-of-1-dead" / "model-x").mkdir(parents=True)
    mine = scratch._made()
    assert not scratch.lives("halflife-of-1-dead")
    assert scratch.lives(mine.name)
    assert [path.name for path in tmp_path.iterdir()] == [mine.name]
