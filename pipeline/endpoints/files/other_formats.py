"""What the first bytes of an input show of its format, for inputs of which nothing can be read in the spec's format."""

import struct
from collections.abc import Mapping

from apache_beam.io.tfrecordio import _TFRecordUtil

from pipeline.endpoints.files.json_files import OTHER_FORMATS

HEAD_BYTES = 4096
_AVRO = b"Obj\x01"
_TFRECORD_HEAD = 12
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_NOT_JSON_EITHER: Mapping[bytes, str] = {b"ORC": "ORC", b"\x89HDF": "HDF5", b"SQLite format 3": "SQLite"}
_READ = "Avro, JSON lines or TFRecord (convert it first)"
_SEPARATORS = b",;\t|"


def other_format(head: bytes, format_name: str) -> str:
    """What the input is instead of `format_name`, and the next step; empty where its bytes do not show it."""
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    if unread := _unread(head):
        return unread
    found = _of_ours(head, start)
    if found == format_name:
        return ""
    if found:
        return f"it begins as {found} does; next: --set events.format={found}"
    return f"it looks like CSV, which is not read; expected: {_READ}" if _is_table(start) else ""


def _unread(head: bytes) -> str:
    for magic, name in {**OTHER_FORMATS, **_NOT_JSON_EITHER}.items():
        if head.startswith(magic) and magic != _AVRO:
            return name if "name it" in name else f"{name} is not read yet; expected: {_READ}"
    return ""


def _of_ours(head: bytes, start: bytes) -> str:
    if head.startswith(_AVRO):
        return "avro"
    if start.startswith((b"{", b"[")):
        return "json"
    if len(head) < _TFRECORD_HEAD:
        return ""
    _, checksum = struct.unpack("<QI", head[:_TFRECORD_HEAD])
    return "tfexample" if _TFRecordUtil._masked_crc32c(head[:8]) == checksum else ""


def _is_table(start: bytes) -> bool:
    """Whether the first two lines are text with equally many separators."""
    first, _, rest = start.partition(b"\n")
    second = rest.partition(b"\n")[0]
    try:
        text = first.decode().strip()
    except UnicodeDecodeError:
        return False
    counts = [(first.count(each), second.count(each)) for each in (bytes([code]) for code in _SEPARATORS)]
    return text.replace("\t", " ").isprintable() and any(one and one == two for one, two in counts)
