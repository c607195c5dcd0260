"""Profiles as JSON in a bundle. Their content is untrusted: everything is checked before it is used."""

import math
from itertools import pairwise
from typing import ClassVar, Literal

import msgspec

from models.errors import BundleRefused, one_line
from models.profiles.columns import CategoricalColumn, Column, Count, Name, NumericColumn
from models.profiles.measuring import STATISTICS
from models.profiles.reference import Profile
from models.profiles.segments import MOST_SEGMENTS
from models.profiles.usual import KINDS, TrainingWindows
from schemas.validation import Absent, Located

MAX_PROFILE_BYTES = 32 * 1024 * 1024
_MAX_COLUMNS = 4096


class InvalidProfile(Located, BundleRefused):
    """A profile that is not JSON, or has a value that is not allowed: `path`, `value`, `allowed`."""

    reason: ClassVar[str] = "will_not_load"


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    format: Literal[1, 2]
    columns: tuple[Column, ...]
    windows: tuple[TrainingWindows, ...] = ()
    segments: dict[Name, tuple[Count, ...]] = {}


def serialise_profile(profile: Profile) -> bytes:
    """The profile as UTF-8 JSON `{"format": 2, "columns": [...], "windows": [...], "segments": {...}}`, or of format 1
    where neither windows nor segments of the training data are known; equal profiles give equal bytes."""
    known: Literal[1, 2] = 2 if profile.windows or profile.segments else 1
    return msgspec.json.encode(_Document(known, profile.columns, profile.windows, dict(profile.segments)))


def parse_profile(raw: bytes) -> Profile:
    """The profile in `raw`.

    Raises:
        InvalidProfile: it is too large, no JSON, of an unknown format, or its counts or edges contradict each
            other.
    """
    if len(raw) > MAX_PROFILE_BYTES:
        raise InvalidProfile("profile", Absent(f"{len(raw)} bytes"), f"at most {MAX_PROFILE_BYTES} bytes")
    try:
        document = msgspec.json.decode(raw, type=_Document)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidProfile("profile", Absent(one_line(error)), "a profile as JSON, format 1 or 2") from error
    names = [column.name for column in document.columns]
    if len(names) > _MAX_COLUMNS:
        raise InvalidProfile("profile.columns", len(names), f"at most {_MAX_COLUMNS} columns")
    if not names:
        raise InvalidProfile("profile.columns", names, "one column or more")
    if any(left >= right for left, right in pairwise(names)):
        raise InvalidProfile("profile.columns", names, "each column once, sorted by name")
    for index, column in enumerate(document.columns):
        _check(column, f"profile.columns[{index}]")
    for index, windows in enumerate(document.windows):
        _check_windows(windows, set(names), f"profile.windows[{index}]")
    lengths = [windows.length for windows in document.windows]
    if len(set(lengths)) < len(lengths) or (lengths and document.format < 2):
        raise InvalidProfile("profile.windows", lengths, "each length once, in format 2")
    found = Profile(document.columns, document.windows, segments=document.segments)
    _check_segments(found, document.format)
    return found


def _check_segments(profile: Profile, number: int) -> None:
    if profile.segments and number < 2:
        raise InvalidProfile("profile.segments", len(profile.segments), "none in format 1")
    if len(profile.segments) > MOST_SEGMENTS:
        raise InvalidProfile("profile.segments", len(profile.segments), f"at most {MOST_SEGMENTS} segments")
    for name, counts in profile.segments.items():
        if len(counts) != len(profile.reference):
            wanted = f"{len(profile.reference)} counts, one per cell of the columns"
            raise InvalidProfile(f"profile.segments.{name}", Absent(f"{len(counts)} counts"), wanted)


def _check_windows(windows: TrainingWindows, names: set[str], path: str) -> None:
    unknown = sorted((set(windows.usual) | set(windows.inflation)) - names)
    if unknown:
        raise InvalidProfile(f"{path}.usual", unknown[0], "columns of the profile")
    if not all(map(math.isfinite, windows.inflation.values())):
        raise InvalidProfile(f"{path}.inflation", windows.inflation, "finite numbers")
    if len(windows.tails) not in (0, KINDS[windows.by]):
        raise InvalidProfile(f"{path}.tails", len(windows.tails), f"none or {KINDS[windows.by]}")
    excesses = [side.excess for tail in windows.tails for side in tail.sides]
    if not all(map(math.isfinite, (*excesses, *(tail.above for tail in windows.tails)))):
        raise InvalidProfile(f"{path}.tails", windows.tails, "finite numbers")
    for column, statistics in windows.usual.items():
        for statistic, values in statistics.items():
            if statistic not in STATISTICS:
                raise InvalidProfile(f"{path}.usual.{column}", statistic, ", ".join(STATISTICS))
            if len(values) != KINDS[windows.by] or not all(map(math.isfinite, values)):
                wanted = f"{KINDS[windows.by]} finite numbers"
                raise InvalidProfile(f"{path}.usual.{column}.{statistic}", list(values), wanted)


def _check(column: Column, path: str) -> None:
    if sum(column.cells) != column.n:
        raise InvalidProfile(f"{path}.n", column.n, f"the sum of the counts, {sum(column.cells)}")
    if isinstance(column, NumericColumn):
        _check_numbers(column, path)
    else:
        _check_categories(column, path)


def _check_numbers(column: NumericColumn, path: str) -> None:
    if not all(map(math.isfinite, column.edges)) or any(left >= right for left, right in pairwise(column.edges)):
        raise InvalidProfile(f"{path}.edges", column.edges, "finite, strictly increasing numbers")
    if len(column.counts) != len(column.edges) + 1:
        raise InvalidProfile(f"{path}.counts", column.counts, f"{len(column.edges) + 1} counts, one per bin")
    moments = (column.min, column.mean, column.max)
    known = [value for value in moments if value is not None]
    if len(known) != (0 if column.n == column.nulls else len(moments)):
        raise InvalidProfile(f"{path}.mean", moments, "min, mean and max, all null where all values are null")
    if not all(math.isfinite(value) for value in known) or known != sorted(known):
        raise InvalidProfile(f"{path}.mean", moments, "finite numbers with min <= mean <= max")


def _check_categories(column: CategoricalColumn, path: str) -> None:
    if len(set(column.values)) != len(column.values):
        raise InvalidProfile(f"{path}.values", column.values, "each value once")
    if column.type == "boolean" and not set(column.values) <= {"false", "true"}:
        raise InvalidProfile(f"{path}.values", column.values, "false and true")
    if len(column.counts) != len(column.values):
        raise InvalidProfile(f"{path}.counts", column.counts, f"{len(column.values)} counts, one per value")
