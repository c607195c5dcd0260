"""Background threads: work that hangs keeps a thread of its own, and delays no other work."""

import threading
import time

import pytest

from models.daemons import DaemonThreads, OutOfTime, within


@pytest.mark.parametrize("most", [1, 2])
def test_slow_work_loses_its_turn_and_still_has_its_result(most: int) -> None:
    threads, gate = DaemonThreads[str](most, "test", turn_s=0.05), threading.Event()
    hanging = [threads.submit(lambda: str(gate.wait(60))) for _ in range(3)]
    assert threads.submit(lambda: "done").result(timeout=20) == "done"
    assert not any(each.done() for each in hanging)
    gate.set()
    assert [each.result(timeout=20) for each in hanging] == ["True"] * 3


def test_without_a_turn_work_waits_for_what_is_before_it() -> None:
    threads, gate = DaemonThreads[str](1, "test"), threading.Event()
    first, second = threads.submit(lambda: str(gate.wait(60))), threads.submit(lambda: "second")
    assert not second.done()
    gate.set()
    assert (first.result(timeout=20), second.result(timeout=20)) == ("True", "second")


def test_slow_work_is_abandoned_and_errors_are_raised() -> None:
    gate, began = threading.Event(), time.monotonic()
    with pytest.raises(OutOfTime, match=r"not done in time; allowed: at most 0\.05 s"):
        within(0.05, lambda: gate.wait(60), "test")
    assert time.monotonic() - began < 20
    gate.set()
    with pytest.raises(SystemExit):
        within(20, lambda: exit(3), "test")
