"""Readers of topics of one worker process, reused from bundle to bundle: connecting takes longer than reading."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from pipeline.endpoints.kafka.address import KafkaAddress
from pipeline.endpoints.kafka.readers import TopicReader

_idle_readers: dict[KafkaAddress, list[TopicReader]] = {}
_lock = threading.Lock()


@contextmanager
def shared_reader(address: KafkaAddress, position: Mapping[int, int]) -> Iterator[TopicReader]:
    """A reader at this position that nothing else in the process uses.

    Where the position is empty the reader stays at its own.
    """
    with _lock:
        free = _idle_readers.setdefault(address, [])
        chosen = next((reader for reader in free if reader.position == position), free[-1] if free else None)
        if chosen is not None:
            free.remove(chosen)
    reader = TopicReader(address) if chosen is None else chosen
    try:
        if position:
            reader.seek(position)
        yield reader
    except BaseException:
        reader.close()
        raise
    with _lock:
        _idle_readers.setdefault(address, []).append(reader)


def commit(address: KafkaAddress, position: Mapping[int, int]) -> None:
    """Commits offsets to the group of the address, once the bundle that read them is safe in a checkpoint."""
    with shared_reader(address, {}) as reader:
        reader.commit(position)
