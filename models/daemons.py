"""A few background threads that never keep a process from ending: work in them may hang for good."""

import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Generic, TypeVar

T = TypeVar("T")


class DaemonThreads(Generic[T]):
    """Runs what is submitted, in order, in at most `most` threads, which start when they are first needed.

    `concurrent.futures` waits for its threads when the interpreter ends, and a model that never finishes loading
    would hold it up.
    """

    def __init__(self, most: int, name: str) -> None:
        self._most, self._name = most, name
        self._work: queue.SimpleQueue[tuple[Future[T], Callable[[], T]]] = queue.SimpleQueue()
        self._started = 0

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Queue `work`; the future gets its result or its exception."""
        future: Future[T] = Future()
        self._work.put((future, work))
        if self._started < self._most:
            self._started += 1
            threading.Thread(target=self._run, name=f"{self._name}-{self._started}", daemon=True).start()
        return future

    def _run(self) -> None:
        while True:
            future, work = self._work.get()
            try:
                future.set_result(work())
            except Exception as error:  # handed to whoever asks for the result
                future.set_exception(error)
            del future, work  # a result must not live until the next piece of work
