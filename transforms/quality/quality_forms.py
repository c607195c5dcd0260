"""How the state of quality is encoded: batches as Arrow's own streams, and panes as sums with their number."""

import pyarrow as pa

from transforms.flow.coders import batch_of, stream_of
from transforms.flow.state import Plain
from transforms.quality.sums.group_sums import GroupSums
from transforms.quality.sums.sums_coder import decode_sums, encode_sums

ANSWERS_VERSION = LABELS_VERSION = PANES_VERSION = WINDOWS_VERSION = 1


class BatchForm:
    """A batch as an Arrow stream, its schema with the text that says who answered."""

    def encode(self, value: pa.RecordBatch) -> bytes:
        encoded: bytes = stream_of(value).to_pybytes()
        return encoded

    def decode(self, encoded: bytes) -> pa.RecordBatch:
        """Raises `ValueError` for bytes that are no such stream."""
        try:
            return batch_of(encoded)
        except (pa.ArrowInvalid, OSError, StopIteration) as error:
            raise ValueError(str(error)) from None


class PaneForm:
    """The number of a pane and the sums of one shard in it."""

    _plain = Plain(tuple[int, bytes])

    def encode(self, value: tuple[int, GroupSums]) -> bytes:
        return self._plain.encode((value[0], encode_sums(value[1])))

    def decode(self, encoded: bytes) -> tuple[int, GroupSums]:
        pane, sums = self._plain.decode(encoded)
        return pane, decode_sums(sums)
