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
    """Whose window it is, the number of a pane, and the sums of one shard in it."""

    _plain = Plain(tuple[str, int, bytes])

    def encode(self, value: tuple[str, int, GroupSums]) -> bytes:
        return self._plain.encode((value[0], value[1], encode_sums(value[2])))

    def decode(self, encoded: bytes) -> tuple[str, int, GroupSums]:
        key, pane, sums = self._plain.decode(encoded)
        return key, pane, decode_sums(sums)
