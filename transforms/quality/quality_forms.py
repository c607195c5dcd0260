"""How the state of quality is encoded: batches as Arrow's own streams, and panes as sums with their number."""

import pyarrow as pa

from transforms.flow.coders import batch_of, stream_of
from transforms.flow.state import Plain
from transforms.quality.answers import is_answers
from transforms.quality.sums.sums_coder import AnySums, decode_sums, encode_sums

ANSWERS_VERSION = 2  # the first had no latencies
PANES_VERSION = 2  # the first had no pairs
LABELS_VERSION = WINDOWS_VERSION = LET_GO_VERSION = 1


class BatchForm:
    """A batch of answers, or of labels, as an Arrow stream; that of answers has in its schema who answered."""

    _plain = Plain(bytes)

    def __init__(self, *, answers: bool) -> None:
        self._answers = answers

    def encode(self, value: pa.RecordBatch) -> bytes:
        return self._plain.encode(stream_of(value).to_pybytes())

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Raises `ValueError` for bytes that are no such stream, whole."""
        try:
            batch = batch_of(self._plain.decode(encoded))
        except (pa.ArrowInvalid, OSError, StopIteration) as error:
            raise ValueError(str(error)) from None
        if is_answers(batch) != self._answers:
            raise ValueError("a batch of the other input")
        return batch


class PaneForm:
    """Whose window it is, the number of a pane, and the sums of one shard in it."""

    _plain = Plain(tuple[str, int, bytes])

    def encode(self, value: tuple[str, int, AnySums]) -> bytes:
        return self._plain.encode((value[0], value[1], encode_sums(value[2])))

    def decode(self, encoded: bytes) -> tuple[str, int, AnySums]:
        key, pane, sums = self._plain.decode(encoded)
        return key, pane, decode_sums(sums)
