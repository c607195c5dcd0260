"""Background threads that never keep a process from ending: work in them may hang for ever."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

from schemas.errors import HalflifeError

T = TypeVar("T")

END_S = 1.0
"""How long work that is told to end may take for it."""


class OutOfTime(HalflifeError):
    """Work that took longer than allowed; it continues in its thread, but nothing waits for it any more."""


class DaemonThreads(Generic[T]):
    """Runs what is submitted, in order, in at most `most` threads, which start when they are first needed.

    `concurrent.futures` waits for its threads when the interpreter ends, and a model that never finishes loading
    would hold it up.

    Args:
        most: how many threads.
        name: what they are called.
        turn_s: seconds after which unfinished work continues in a thread of its own and the next work starts; None lets
            all work take the time that it needs.
    """

    def __init__(self, most: int, name: str, turn_s: float | None = None) -> None:
        self._most, self._name, self._turn_s = most, name, turn_s
        self._work: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]] = queue.SimpleQueue()
        self._started = 0
        self._lock = threading.Lock()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Queue `work`; the future gets its result or its exception."""
        future: Future[T] = Future()
        self._work.put((future, work))
        with self._lock:
            if self._started < self._most:
                self._started += 1
                threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            future, work = self._work.get()
            if self._turn_s is None:
                _fulfil(future, work)
            else:
                _started(future, work, f"{self._name}-turn").join(self._turn_s)
            del future, work  # a result must not live until the next piece of work


def within(seconds: float, work: Callable[[], T], name: str, give_up: Callable[[], object] | None = None) -> T:
    """The result of `work`, which is done in a thread of its own.

    Work that takes longer is told to end by `give_up`, if there is one, and gets `END_S` more for that: a process that
    ends while native code still runs is aborted by the destructors of its library.

    Raises:
        OutOfTime: it took longer than `seconds`.
        BaseException: what `work` raised.
    """
    future: Future[T] = Future()
    thread = _started(future, work, name)
    thread.join(seconds)
    if not future.done():
        if give_up is not None:
            give_up()
            thread.join(END_S)
        raise OutOfTime(f"not done in time; allowed: at most {seconds:g} s")
    return future.result()


def _started(future: Future[T], work: Callable[[], T], name: str) -> threading.Thread:
    thread = threading.Thread(target=_fulfil, args=(future, work), name=name, daemon=True)
    thread.start()
    return thread


def _fulfil(future: Future[T], work: Callable[[], T]) -> None:
    try:
        future.set_result(with_room(work))
    except BaseException as error:  # passed on to whoever asks for the result; SystemExit would only end this thread
        future.set_exception(error)


def with_room(work: Callable[[], T]) -> T:
    """The result of `work`, with one large chunk of the thread's frame stack for its frames.

    CPython keeps that stack in chunks of 16 KiB. A loop that calls a function just beyond the end of a chunk maps and
    unmaps memory for each call: loading one scikit-learn model did so 20,000 times. A frame that needs more than a
    chunk gets one of its own, rounded up to a power of two: the frames after it use the rest.
    """
    return work()


with_room.__code__ = with_room.__code__.replace(co_stacksize=(512 << 10) // 8)  # 512 KiB of slots; none is touched
