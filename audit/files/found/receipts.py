"""A receipt that was found, and where it lies."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from audit.files.formats import RECEIPT, is_encrypted, plain_rows
from audit.files.reading import ReadStretch

if TYPE_CHECKING:
    from audit.files.found.receipt_keys import ReceiptKeys

_HASHED = ["event_id", "subject"]


class FoundReceipt(NamedTuple):
    """A receipt with every field of today's record (times as microseconds since 1970), the key of the file it lies
    in, the number of the sealed segment (None: not sealed) and its index in the file; `datum`: as it is stored.

    `locked`: why the features cannot be read (`erased: …`, `unreadable: …`), empty where they can; `stored`: the names
    of the event and the subject as they are stored, None where these are those of `receipt`."""

    receipt: Mapping[str, Any]
    file: str
    segment: int | None
    row: int
    datum: bytes
    locked: str = ""
    stored: Mapping[str, str | None] | None = None

    def named(self, field: str) -> str | None:
        """`event_id`, `subject` or another field as it is stored, for what is logged."""
        own = self.receipt[field] if self.stored is None else self.stored.get(field, self.receipt[field])
        return None if own is None else str(own)


def found_receipts(
    rows: ReadStretch,
    key: str,
    segment: int | None,
    keys: "ReceiptKeys | None",
    indexes: Sequence[int] | None = None,
) -> list[FoundReceipt]:
    """Each row as a receipt; `indexes`: of each among those from `first` on, where not all are there."""
    chosen = range(rows.columns.num_rows) if indexes is None else indexes
    at, datums = [rows.first + index for index in chosen], rows.datums.to_pylist()
    if not is_encrypted(rows.columns):
        found = zip(plain_rows(rows.columns, RECEIPT), at, datums, strict=True)
        return [FoundReceipt(receipt, key, segment, row, datum) for receipt, row, datum in found]
    from audit.files.found.receipt_keys import shown_receipts  # few audits are encrypted: most do without its libraries

    shown, names = shown_receipts(rows.columns, keys), rows.columns.select(_HASHED).to_pylist()
    together = zip(shown.rows, at, datums, shown.locked, names, strict=True)
    return [FoundReceipt(receipt, key, segment, *others) for receipt, *others in together]
