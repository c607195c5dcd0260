"""Checkpoints (C2SP tlog-checkpoint): what the tree of all sealed segments is, after each of them.

Beyond the three lines of the format a checkpoint has two of its own: `segment <folder> <hash of its statement as a
leaf>`, which is the leaf that it adds, and `previous <sha256 of the checkpoint before>` (all zeros in the first).
"""

import base64
import binascii
import re
from hashlib import sha256
from typing import NamedTuple

from audit.files.merkle import HASH_BYTES
from audit.files.notes import PrivateKey, SignedNote, UnusableNote, parse_note, unsigned

NONE_BEFORE = "0" * 64
FOLDER = re.compile(r"\d{8}-[0-9a-z]{26}")
MAX_BYTES = 64 * 1024
_LINES = 5
_SIZE = re.compile(r"[1-9][0-9]{0,7}")
_SEGMENT = re.compile(r"segment (\d{8}-[0-9a-z]{26}) ([0-9a-f]{64})")
_PREVIOUS = re.compile(r"previous ([0-9a-f]{64})")
_EXPECTED = "origin, number of segments, root, `segment` and `previous`, each on a line"


class Checkpoint(NamedTuple):
    """`size`: the number of segments; `root`: over their statements; `folder` and `leaf`: of the last one; `previous`:
    sha256 (hex) of the bytes of the checkpoint before."""

    origin: str
    size: int
    root: bytes
    folder: str
    leaf: bytes
    previous: str

    def text(self) -> str:
        """What is signed."""
        root = base64.b64encode(self.root).decode()
        added = f"segment {self.folder} {self.leaf.hex()}"
        return f"{self.origin}\n{self.size}\n{root}\n{added}\nprevious {self.previous}\n"

    def note(self, key: PrivateKey | None) -> bytes:
        """The checkpoint as it is stored, signed where there is a key."""
        return (unsigned(self.text()) if key is None else key.sign(self.text())).encode()


class StoredCheckpoint(NamedTuple):
    """A checkpoint, its bytes as they are stored, and the note of these."""

    said: Checkpoint
    stored: bytes
    note: SignedNote

    @property
    def digest(self) -> str:
        """What the next checkpoint names it by."""
        return sha256(self.stored).hexdigest()


def origin_of(job: str) -> str:
    """The origin of a job's checkpoints, and the name of its key: without what neither may have.

    >>> origin_of("flights"), origin_of("my job+1")
    ('halflife/flights', 'halflife/my-job-1')
    """
    return "halflife/" + re.sub(r"[\s+]|[^\x20-\x7e]", "-", job)


def parse_checkpoint(data: bytes) -> StoredCheckpoint:
    """A checkpoint whose signatures nobody has checked yet.

    Raises:
        UnusableNote: it is none.
    """
    note = parse_note(data)
    lines = note.text.split("\n")[:-1]
    if len(lines) != _LINES:
        raise UnusableNote(f"a checkpoint has {len(lines)} lines; expected: {_EXPECTED}")
    segment, previous = _SEGMENT.fullmatch(lines[3]), _PREVIOUS.fullmatch(lines[4])
    try:
        root = base64.b64decode(lines[2], validate=True)
    except (ValueError, binascii.Error):
        root = b""
    if not (lines[0] and _SIZE.fullmatch(lines[1]) and len(root) == HASH_BYTES and segment and previous):
        raise UnusableNote(f"a checkpoint has a line that is not allowed; expected: {_EXPECTED}")
    leaf = bytes.fromhex(segment[2])
    said = Checkpoint(lines[0], int(lines[1]), root, segment[1], leaf, previous[1])
    return StoredCheckpoint(said, data, note)
