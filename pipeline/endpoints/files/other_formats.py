"""The format of files: what their first bytes show of it, and what a spec leaves to be guessed; each guess is told."""

import re
import struct
from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.csv_files import AS_IT_IS, FileForm
from pipeline.endpoints.files.formats import EventFile
from pipeline.endpoints.files.inflaters import BY_SUFFIX, compression_of
from pipeline.endpoints.files.json_files import OTHER_FORMATS
from pipeline.endpoints.reading.stored import open_stored
from pipeline.spec.job import csv_spec
from schemas.formats.csv_dialect import with_guesses
from schemas.formats.tf_examples import masked_crc32c
from schemas.job import CsvSpec
from schemas.validation import Absent, SpecError

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
FORMATS = ("csv", "parquet", "json", "avro", "tfexample", "arrow")
_SHOWN_BY_ITSELF = ("csv", "parquet", "arrow")
_DIALECT_BYTES = 256 * 1024
_FILES = 20
_ENDINGS: Mapping[str, str] = {
    **dict.fromkeys((".csv", ".tsv", ".tab", ".psv"), "csv"),
    **dict.fromkeys((".parquet", ".parq", ".pq"), "parquet"),
    **dict.fromkeys((".json", ".jsonl", ".ndjson"), "json"),
    ".avro": "avro",
    **dict.fromkeys((".tfrecord", ".tfrecords"), "tfexample"),
    **dict.fromkeys((".arrow", ".arrows", ".feather", ".ipc"), "arrow"),
}


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
    return "tfexample" if masked_crc32c(head[:8]) == checksum else ""


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

def fill_in(events: dict[str, Any], paths: Sequence[str], say: Callable[[str], None]) -> FileForm:
    """States in a valid spec's `events` what it leaves open, in one line for `say`, and returns how files are read.

    Raises:
        SpecError: the format is not stated, and nothing shows it.
        NoInput: the files are in another format than is stated.
        OSError: a file cannot be read.
    """
    stated = events.get("format")
    if stated not in (None, *_SHOWN_BY_ITSELF):
        return AS_IT_IS
    path, head = _first(paths)
    said = []
    if stated is None:
        events["format"] = _guessed(path, head)
        said.append(f"events.format: {events['format']}, guessed from {path}")
    else:
        _check(stated, path, head)
    form = AS_IT_IS
    if events["format"] == "csv":
        form = FileForm(_csv(events, head))
        guessed = {name: value for name, value in _written(form.csv).items() if name not in events.get("csv", {})}
        told = [f"{name} {guessed[name]!r}" for name in ("delimiter", "decimal", "encoding") if name in guessed]
        if told:
            said.append(f"events.csv: {', '.join(told)}" + ("" if stated is None else f", guessed from {path}"))
        events["csv"] = {**events.get("csv", {}), **guessed}
    if said:
        say("; ".join(said))
    return form


def _csv(events: Mapping[str, Any], head: bytes) -> CsvSpec:
    return with_guesses(head, csv_spec(events.get("csv", {})))


def _written(form: CsvSpec) -> dict[str, Any]:
    """What may be guessed, as a spec states it."""
    return {"delimiter": form.delimiter, "decimal": form.decimal, "encoding": form.encoding}


def _first(paths: Sequence[str]) -> tuple[str, bytes]:
    """The first file with something in it, and how its content begins; the first file where all are empty."""
    for path in islice(paths, _FILES):
        with open_stored(path) as stream:
            head = EventFile(stream, compression_of(path), sample=True).read(_DIALECT_BYTES)
        if head.strip():
            return path, head
    return paths[0], b""


def _guessed(path: str, head: bytes) -> str:
    """By marks in the content, then by the name, then by the look of the text."""
    shown = recognised(head[:HEAD_BYTES])
    if shown:
        return shown
    name = path.lower()
    name = next((name.removesuffix(each) for each in BY_SUFFIX if name.endswith(each)), name)
    by_name = next((found for ending, found in _ENDINGS.items() if name.endswith(ending)), "")
    text = head.decode("utf-16", "replace").encode() if head.startswith((b"\xff\xfe", b"\xfe\xff")) else head
    if by_name in ("csv", "json") or (by_name and not head) or not (head or by_name):
        return by_name or "json"  # an empty input is read as any format
    if is_table(text):
        return "csv"
    why = other_format(head[:HEAD_BYTES], "") or f"neither its name nor its content shows what {path} is"
    raise SpecError("events.format", Absent("not given"), f"{', '.join(FORMATS[:-1])} or {FORMATS[-1]} ({why})")


def _check(stated: str, path: str, head: bytes) -> None:
    """Raises `NoInput` where the file shows that it is in another format."""
    if not head:
        return
    found = recognised(head[:HEAD_BYTES])
    is_other = found not in ("", stated) or (stated != "csv" and not found)
    if is_other:
        advice = other_format(head[:HEAD_BYTES], stated) or f"nothing in it is {stated}"
        raise NoInput(f"events.format: {path} is not {stated}; {advice}")
