"""Decodes the first records of the input as the job will decode them, and reports the results."""

from collections import Counter
from collections.abc import Iterator
from itertools import chain, islice

from pipeline.endpoints.files.other_formats import other_format
from pipeline.endpoints.files.source import form_of, read_file
from pipeline.endpoints.sample import head_of
from pipeline.endpoints.sources import EventSource, Files, Messages
from runners.findings import Finding, fail, ok, unchecked, warn
from schemas.formats.raw import RawBlock
from schemas.job import EventsSpec
from schemas.records import DeadLetter
from schemas.times import now_us
from transforms.decoding.decode_raw import decode_raw
from transforms.decoding.deriving import chosen

_ENOUGH_RECORDS = 1_000
_BLOCKS = 100
_FILES = 5
_ERRORS = 3
_DETAIL = 300
_FITTING = "events.format, columns, event_id, event_time or time_unit that fit the input"


def check_decoding(source: EventSource, spec: EventsSpec) -> Finding:
    """How many records of a sample are events of the job, and the first error of each kind. `spec`: the job's events.

    Raises:
        OSError: a file cannot be read.
    """
    check = "events"
    if isinstance(source, Messages):
        return unchecked(check, "none was decoded: whoever looks at messages takes them")
    passed = 0
    events, errors, examples, head = 0, Counter[str](), dict[str, str](), b""
    for block, needed in sampled_blocks(source, spec):
        head = head or head_of(block)
        if not needed and events + errors.total() >= _ENOUGH_RECORDS:
            break
        decoded = decode_raw(block, spec, now_us())
        events += 0 if decoded.events is None else decoded.events.num_rows
        if spec.where is not None and decoded.events is not None:
            passed += chosen(decoded.events, spec.where).num_rows
        errors.update(letter.error for letter in decoded.letters)
        for letter in decoded.letters:
            examples.setdefault(letter.error, described(letter, block, spec.privacy is not None))
    read = events + errors.total()
    if not read:
        return unchecked(check, "no record is there to decode")
    pass_where = "" if spec.where is None else f"; events.where is true for {passed:,} of {events:,}"
    if not errors and spec.where is not None and not passed:
        found = f"{read:,} records of a sample decode, all of it{pass_where}"
        return warn(check, found, "a condition that some events fulfil")
    if not errors:
        return ok(check, f"{read:,} records of a sample decode, all of it{pass_where}")
    said = "; ".join(f"{n:,} {error}, such as {examples[error]}" for error, n in errors.most_common(_ERRORS))
    found = f"{events:,} of {read:,} records of a sample decode{pass_where}; {said}"
    if not events:
        return fail(check, found, other_format(head, spec.format) or _FITTING)
    return warn(check, found, "what cannot be decoded becomes dead letters")


def described(letter: DeadLetter, block: RawBlock, hidden: bool) -> str:
    """What is wrong with a record of a block, preceded by its file or partition unless it names that; `hidden`: without
    its values."""
    detail = "a value that privacy hides" if hidden else letter.detail
    location = block.source.rpartition("@")[0] or block.source
    return (detail if location in detail else f"{location}: {detail}")[:_DETAIL]


def sampled_blocks(source: EventSource, spec: EventsSpec) -> Iterator[tuple[RawBlock, bool]]:
    """Blocks, and whether each is decoded in any case: the first blocks of some files, including the first and the last
    file."""
    if isinstance(source, Files):
        form = form_of(spec)
        last = len(source.paths) - 1
        for index in sorted({round(number * last / (_FILES - 1)) for number in range(_FILES)}):
            for block in islice(read_file(source.paths[index], source.format, form, sample=True), 1):
                yield block, True
        files = (read_file(path, source.format, form, sample=True) for path in source.paths)
        rest: Iterator[RawBlock] = chain.from_iterable(files)
    else:
        rest = source.sample()
    for block in islice(rest, int(isinstance(source, Files)), _BLOCKS):
        yield block, False
