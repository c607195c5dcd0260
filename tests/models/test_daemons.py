"""What a background thread provides for the work in it."""

import resource
from collections.abc import Callable

from models.daemons import DaemonThreads, with_room, within

CALLS = 400


def _nothing() -> None:
    """Its frame may be the first beyond a piece of the stack."""


def _faults(depth: int) -> int:
    """How often this thread had to map a page during the calls of a loop at this depth."""
    if depth:
        return _faults(depth - 1)
    before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
    for _ in range(CALLS):
        _nothing()
    return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before


def _worst() -> int:
    return max(_faults(depth) for depth in range(200))


def test_deep_loop_maps_memory_once() -> None:
    assert within(60, _worst, "deep") < CALLS // 4


def test_every_thread_of_ours_has_room() -> None:
    threads: DaemonThreads[int] = DaemonThreads(1, "deep")
    assert threads.submit(_worst).result(60) < CALLS // 4


def test_errors_of_the_work_pass_through_with_room() -> None:
    def fails() -> None:
        raise ValueError("of the work")

    raised: list[str] = []
    works: list[Callable[[], None]] = [fails]
    try:
        with_room(works[0])
    except ValueError as error:
        raised.append(str(error))
    assert raised == ["of the work"]
