"""Bundles that never answer: refused as `timed_out`, they hold up neither other releases nor the end of the process."""

import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from models.admission.admission import Admission
from models.admission.watcher import PolledReleases, Progress, Watcher
from models.store.store import ModelStore
from tests.models.loading.endless import looping_bundle
from tests.models.loading.gated import MODEL, SECOND, START, GatedScorer, new_store, publish, spec_of
from tests.models.loading.test_watcher import COLUMNS, admitted, refused, release

pytestmark = pytest.mark.usefixtures("gated")


def watch(store: ModelStore, timeout_s: float, patience_s: float | None = None) -> Watcher:
    return Watcher(replace(spec_of(store), admission_timeout_us=int(timeout_s * SECOND)), COLUMNS, patience_s)


def endless(store: ModelStore, folder: Path, *versions: str) -> None:
    """Publish and release models whose golden records are never scored."""
    for version in versions:
        store.publish(folder / version, {**looping_bundle(folder / version, None), "version": version})
        release(store, version)


class Polling:
    """Polls until a release is decided."""

    def __init__(self, looking: Watcher) -> None:
        self._looking, self.progress = looking, Progress()
        self.admitted: list[int] = []
        self.refused: list[tuple[int | None, str]] = []

    def until(self, sequence: int) -> PolledReleases:
        while True:
            polled = self._looking.poll(self.progress, START)
            self.progress = polled.progress
            self.admitted += admitted(polled)
            self.refused += refused(polled)
            if sequence in (*self.admitted, *(refusal[0] for refusal in self.refused)):
                return polled


def test_loop_that_ends_is_admitted(tmp_path: Path) -> None:
    store = new_store()
    store.publish(tmp_path / "v1", looping_bundle(tmp_path / "v1", 1))
    assert Admission(store, COLUMNS).check_version("v1").detail == ""


@pytest.mark.parametrize("timeout_s", [0.001, 3.0], ids=["given up before it is loaded", "given up while it answers"])
def test_bundle_that_never_answers_is_refused_in_time_and_its_loop_ended(tmp_path: Path, timeout_s: float) -> None:
    store = new_store()
    store.publish(tmp_path / "v0", {**looping_bundle(tmp_path / "v0", 1), "version": "v0"})
    assert Admission(store, COLUMNS).check_version("v0").admitted  # so that loading does not import its library
    endless(store, tmp_path, "v1")
    verdict = Admission(store, COLUMNS, timeout_s=timeout_s).check_version("v1")
    assert (verdict.admitted, verdict.reason, verdict.final) == (False, "timed_out", True)
    assert verdict.detail == f"its proofs took longer than {timeout_s:g} s; expected: within model.admission_timeout"
    for thread in threading.enumerate():
        if thread.name == "prove-v1":
            thread.join(20)
            assert not thread.is_alive()


def test_bundle_that_never_loads_is_refused_in_time(tmp_path: Path) -> None:
    store = new_store()
    GatedScorer.gates["v1"] = threading.Event()
    publish(store, tmp_path, "v1")
    assert Admission(store, COLUMNS, timeout_s=0.2).check_version("v1").reason == "timed_out"


def test_two_bundles_that_never_answer_block_no_later_release(tmp_path: Path) -> None:
    store = new_store()
    endless(store, tmp_path, "v1", "v2")
    publish(store, tmp_path / "good", "v3")
    release(store, "v3")
    polling = Polling(watch(store, 1.0, patience_s=0.05))
    polling.until(3)
    assert polling.admitted == [3]
    polling.until(1)
    polling.until(2)
    assert sorted(polling.refused) == [(1, "timed_out"), (2, "timed_out")]


def test_rollback_to_what_is_admitted_does_not_wait_for_what_hangs(tmp_path: Path) -> None:
    store = new_store()
    publish(store, tmp_path / "good", "v1")
    release(store, "v1")
    polling = Polling(watch(store, 3600.0, patience_s=0.05))
    polling.until(1)
    for version in ("v2", "v3"):
        GatedScorer.gates[version] = threading.Event()
        publish(store, tmp_path / "good", version)
        release(store, version)
    release(store, "v1")
    polling.until(4)
    assert (polling.admitted, polling.refused) == ([1, 4], [])
    assert [entry.sequence for entry in polling.progress.pending] == [2, 3]


def test_bounded_run_ends_with_a_verdict_on_each(tmp_path: Path) -> None:
    store = new_store()
    endless(store, tmp_path, "v1", "v2")
    publish(store, tmp_path / "good", "v3")
    release(store, "v3", shadows=["v1"])
    polled = watch(store, 0.5).poll(Progress(), START)
    assert refused(polled) == [(1, "timed_out"), (2, "timed_out"), (3, "timed_out")]


PROGRAM = """
import sys
from models.admission.admission import Admission
from models.store.store import ModelStore
print(Admission(ModelStore(sys.argv[1], sys.argv[2]), timeout_s=0.5).check_version("v1").reason)
"""


def test_hanging_work_does_not_keep_the_process_from_ending(tmp_path: Path) -> None:
    endless(ModelStore(str(tmp_path / "store"), MODEL), tmp_path, "v1")
    command = [sys.executable, "-c", PROGRAM, str(tmp_path / "store"), MODEL]
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "timed_out\n", "")
    assert time.monotonic() - began < 30
