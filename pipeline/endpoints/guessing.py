"""What a spec leaves to be guessed of its files: their format, and how CSV is written. Each guess is told."""

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

from apache_beam.io.filesystem import CompressionTypes
from apache_beam.io.filesystems import FileSystems

from pipeline.endpoints.errors import NoInput
from pipeline.endpoints.files.csv_files import AS_IT_IS, FileForm
from pipeline.endpoints.files.formats import EventFile
from pipeline.endpoints.files.inflaters import BY_SUFFIX, compression_of
from pipeline.endpoints.files.other_formats import HEAD_BYTES, is_table, other_format, recognised
from pipeline.spec.job import csv_spec
from schemas.formats.csv_dialect import with_guesses
from schemas.job import CsvSpec
from schemas.validation import Absent, SpecError

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
        with FileSystems.open(path, compression_type=CompressionTypes.UNCOMPRESSED) as stream:
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
