"""Where a record came from, in words for its dead letter: line, row or record of a file; offset and key in a topic."""

from collections import defaultdict
from itertools import accumulate

from schemas.formats.raw import RawBlock, RecordOrigin
from schemas.records import DeadLetter

LINE, RECORD = "line", "record"
_PARTS = ("row group ", "record batch ")  # of a file in columns, which a source may name
_SHOWN = 200


class RecordLocations:
    """Finds the records of a block by their bytes; equal records are distinguished by their order."""

    def __init__(self, block: RawBlock) -> None:
        self._block = block
        self._origins: dict[bytes, list[RecordOrigin]] | None = None
        self._numbers: dict[bytes, list[int]] | None = None

    def of(self, payload: bytes, headers: tuple[tuple[str, bytes | None], ...] = ()) -> str:
        """The location of the next record with these bytes, and these headers where there are any; of the block where
        it has neither records of a topic nor lines that are counted."""
        found = self._known().get(payload)
        if not found:
            return self._counted(payload)
        alike = (index for index, origin in enumerate(found) if headers and origin.headers == headers)
        origin = found.pop(next(alike, 0))
        source = f"{self._block.source.rpartition('@')[0]}@{origin.offset}"
        key = "" if origin.key is None else f" with key {_shown(origin.key)}"
        shown = ", ".join(f"{name}={_shown(value)}" for name, value in origin.headers)
        return f"{source}{key}{f' and headers {shown}' if shown else ''}"

    def numbered(self, unit: str, number: int) -> str:
        """The location of the line or row of this number; of a record of this number in the block."""
        path, _, where = self._block.source.rpartition("@")
        if unit == RECORD:
            return f"{self._block.source} {unit} {number}"
        within = f" {where}," if where.startswith(_PARTS) else ""
        return f"{path or self._block.source}{within} {unit} {number}"

    def _counted(self, payload: bytes) -> str:
        """The location of the next line, or object, with these bytes by its number in the file."""
        block = self._block
        if not block.first:
            return block.source
        unit = RECORD if block.records else LINE
        if self._numbers is None:  # built at the first use
            self._numbers = defaultdict(list)
            for number, value in enumerate(block.records or block.data.split(b"\n"), block.first):
                self._numbers[value].append(number)
        found = self._numbers.get(payload)
        number = found.pop(0) if found else block.first
        return f"{block.source.rpartition('@')[0] or block.source} {unit} {number}"

    def stated(self, letter: DeadLetter, unit: str = "", number: int | None = None) -> DeadLetter:
        """The letter with the location of its record before the error; in a file that counts none, of its block."""
        if number is not None:
            return letter._replace(detail=f"{self.numbered(unit, number)}: {letter.detail}")
        return letter._replace(detail=f"{self.of(letter.payload)}: {letter.detail}")

    def _known(self) -> dict[bytes, list[RecordOrigin]]:
        """Built at the first use: blocks without a dead letter do not pay for it."""
        if self._origins is None:
            self._origins = defaultdict(list)
            for value, origin in zip(_values(self._block), self._block.origins, strict=False):
                self._origins[value].append(origin)
        return self._origins


def _values(block: RawBlock) -> list[bytes]:
    """The original bytes of each record, in order."""
    if not block.records and not block.parts:
        return [block.prefix + block.data]
    ends = accumulate(size for _, size in block.parts)
    parts = [block.data[end - size : end] for end, (_, size) in zip(ends, block.parts, strict=True)]
    return [block.prefix + value for value in block.records or parts]


def _shown(value: bytes | None) -> str:
    return f"{value!r:.{_SHOWN}}"
