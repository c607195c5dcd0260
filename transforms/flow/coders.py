"""How batches travel between workers: Arrow's own stream format, registered for `pa.RecordBatch` on import.

Where all workers are threads of this process a batch, or what else a coder encodes by `encode_kept`, may also stay in
memory while only its number travels: see `batches_kept`.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any, TypeVar

import pyarrow as pa
from apache_beam import coders

# No Arrow stream begins like this: they begin with four bytes 0xFF; nor do sums and counts, which are arrays of
# MessagePack, whose first byte is above 0x8F.
_REFERENCE = b"halflife:kept:"
_Value = TypeVar("_Value")


class _Kept:
    """Values by number; `uses` says how many jobs of this process still run with them."""

    def __init__(self) -> None:
        self.uses = 0
        self._values: dict[bytes, Any] = {}
        self._numbers = count()

    def add(self, value: Any) -> bytes:
        reference = _REFERENCE + str(next(self._numbers)).encode()
        self._values[reference] = value
        return reference

    def get(self, reference: bytes) -> Any:
        if reference not in self._values:
            raise ValueError(f"{reference.decode()}: the value was kept by another process, or its job has ended")
        return self._values[reference]

    def clear(self) -> None:
        self._values.clear()


_kept = _Kept()


@contextmanager
def batches_kept() -> Iterator[None]:
    """Until the end of the block batches, and sums of what is measured, are encoded as references into this process's
    memory.

    For a bounded job whose workers all share the process: runners copy each batch seven times from one stage to the
    next, which took a third of such a job's time. All that passed between stages so lives until the block ends.
    """
    _kept.uses += 1
    try:
        yield
    finally:
        _kept.uses -= 1
        if not _kept.uses:
            _kept.clear()


def encode_kept(value: _Value, encode: Callable[[_Value], bytes]) -> bytes:
    """The value as `encode` writes it, within `batches_kept` a reference to it: nothing may change it from then on."""
    return _kept.add(value) if _kept.uses else encode(value)


def decode_kept(encoded: bytes, decode: Callable[[bytes], _Value]) -> _Value:
    """The inverse of `encode_kept`. Raises `ValueError` for a reference that this process does not hold."""
    if encoded.startswith(_REFERENCE):
        held: _Value = _kept.get(encoded)
        return held
    return decode(encoded)


def encode_batch(batch: pa.RecordBatch) -> bytes:
    """The batch as an Arrow IPC stream, schema included; within `batches_kept` a reference to it."""
    return encode_kept(batch, _bytes_of)


def decode_batch(encoded: bytes) -> pa.RecordBatch:
    """The inverse of `encode_batch`. Raises `ValueError` for a reference that this process does not hold."""
    return decode_kept(encoded, batch_of)


def _bytes_of(batch: pa.RecordBatch) -> bytes:
    encoded: bytes = stream_of(batch).to_pybytes()
    return encoded


def stream_of(batch: pa.RecordBatch) -> pa.Buffer:
    """The batch as an Arrow IPC stream, schema included."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue()


def batch_of(stream: bytes) -> pa.RecordBatch:
    """The inverse of `stream_of`."""
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_next_batch()


class ArrowBatchCoder(coders.Coder):
    """Encodes one `pa.RecordBatch`, schema included, as an Arrow IPC stream. Not deterministic: never a key."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        return encode_batch(value)

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        return decode_batch(encoded)

    def estimate_size(self, value: pa.RecordBatch) -> int:
        """An estimate for the runner's size metrics, which would otherwise encode every batch a second time."""
        return int(value.nbytes)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        kind: type = pa.RecordBatch
        return kind

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


coders.registry.register_coder(pa.RecordBatch, ArrowBatchCoder)
