"""Checks that a model that nothing selects any more is freed: the object, and the memory of its library."""

import gc
import resource
import sys
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from models.memory import resident_bytes
from models.serving.cache import ModelCache, ModelHandle
from models.testing.expectations import expect
from models.testing.subject import Subject, publish

_LOADS = 12
_WARM_UP = 4
# Per load after warming up. Allocators retain some memory; a library that keeps each model retains more.
_GROWTH_BYTES = 2 * 1024 * 1024


def check_unloading_frees_memory(subject: Subject, scratch: Path) -> None:
    """After repeated loading and releasing no scorer stays alive, and memory does not grow."""
    manifest, url = subject.manifest, publish(subject, scratch)
    handle = ModelHandle(url, manifest.model, manifest.version, manifest.digest, subject.allow_pickle)
    batch = subject.batch(8)
    sizes: list[int] = []
    with _search_of_new_objects():
        for number in range(_LOADS):
            cache = ModelCache()
            loaded = handle.load(cache)
            loaded.score(batch)
            scorer = weakref.ref(loaded.scorer)
            del loaded
            freed = cache.retain([])
            gc.collect()  # a model, or a part of its client, may be a reference cycle: garbage, not a leak
            expect([one.version for one in freed] == [manifest.version], f"load {number + 1} was not let go")
            expect(scorer() is None, f"the scorer of load {number + 1} is still alive after it was let go")
            sizes.append(_resident_bytes())
            if number == 0:
                gc.freeze()  # the library, which this load imported
    growth = (sizes[-1] - sizes[_WARM_UP - 1]) // (_LOADS - _WARM_UP)
    expect(growth <= _GROWTH_BYTES, f"each load leaves {growth} bytes; allowed: at most {_GROWTH_BYTES}")


@contextmanager
def _search_of_new_objects() -> Iterator[None]:
    """The garbage collector passes over what is there already: in a large process each search takes half a second."""
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _resident_bytes() -> int:
    """Memory of this process in bytes; its peak where the system does not say what it is at the moment."""
    now = resident_bytes()
    if now is not None:
        return now
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
