"""What the first bytes of an input show of its format."""

import re
import struct
from collections.abc import Mapping

from apache_beam.io.tfrecordio import _TFRecordUtil

from pipeline.endpoints.files.json_files import OTHER_FORMATS

HEAD_BYTES = 4096
_TFRECORD_HEAD = 12
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_OURS: Mapping[bytes, str] = {
    b"Obj\x01": "avro",
    b"PAR1": "parquet",
    b"PARE": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",  # a stream's first message
}
_NOT_JSON_EITHER: Mapping[bytes, str] = {b"ORC": "ORC", b"\x89HDF": "HDF5", b"SQLite format 3": "SQLite"}
_READ = "csv, parquet, json, avro, tfexample or arrow (convert it first)"
_SEPARATORS = b",;\t|"
_JSON = re.compile(rb"""\{\s*(["}]|\Z)|\[\s*[\[{"\d\]tfn-]|\[\s*\Z""")


def other_format(head: bytes, format_name: str) -> str:
    """What the input is instead of `format_name`, and the next step; empty where its bytes do not show it."""
    if unread := _unread(head):
        return unread
    found = recognised(head)
    if found and found != format_name:
        return f"it begins as {found} does; next: --set events.format={found}"
    if not found and format_name != "csv" and is_table(head):
        return "it looks like CSV; next: --set events.format=csv"
    return ""


def _unread(head: bytes) -> str:
    for magic, name in {**OTHER_FORMATS, **_NOT_JSON_EITHER}.items():
        if head.startswith(magic) and magic not in _OURS:
            return name if "name it" in name else f"{name} is not read yet; expected: {_READ}"
    return ""


def recognised(head: bytes) -> str:
    """The format that the bytes show beyond doubt; empty: none (CSV and most texts have no such mark)."""
    for magic, name in _OURS.items():
        if head.startswith(magic):
            return name
    if _JSON.match(head.removeprefix(_BYTE_ORDER_MARK).lstrip()):
        return "json"
    if len(head) < _TFRECORD_HEAD:
        return ""
    _, checksum = struct.unpack("<QI", head[:_TFRECORD_HEAD])
    return "tfexample" if _TFRecordUtil._masked_crc32c(head[:8]) == checksum else ""


def is_table(head: bytes) -> bool:
    """Whether the first two lines are text with equally many separators."""
    start = head.removeprefix(_BYTE_ORDER_MARK).lstrip()
    first, _, rest = start.partition(b"\n")
    second = rest.partition(b"\n")[0]
    try:
        text = first.decode().strip()
    except UnicodeDecodeError:
        return False
    counts = [(first.count(each), second.count(each)) for each in (bytes([code]) for code in _SEPARATORS)]
    return text.replace("\t", " ").isprintable() and any(one and one == two for one, two in counts)
