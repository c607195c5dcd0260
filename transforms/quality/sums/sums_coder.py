"""How sums of quality are added and encoded in Beam: a CombineFn, and coders that write the format's version first."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import apache_beam as beam
import msgspec
import numpy as np
from apache_beam.coders import Coder, registry

from schemas.expectations import wants
from transforms.flow.coders import decode_kept, encode_kept
from transforms.quality.sums.error_sums import ErrorSums, added_errors
from transforms.quality.sums.exact_sums import ExactSums, Ints
from transforms.quality.sums.fair_sums import FairSums, WithFairness, added_with_fairness
from transforms.quality.sums.group_sums import GroupSums, added_sums
from transforms.quality.sums.joint_tables import JointTable
from transforms.quality.sums.pair_sums import PairSums, added_pairs
from transforms.quality.sums.score_tables import ScoreTable

FORMAT_VERSION = 1
_PAIRS, _ERRORS, _FAIRNESS = "pairs", "errors", "fairness"
AnySums: TypeAlias = GroupSums | PairSums | ErrorSums | WithFairness
"""Sums of one version's answers, without or with fairness, of two versions' answers to the same events, or of one
version's errors in order of time; never mixed under one key."""
_Array: TypeAlias = tuple[tuple[int, ...], bytes]
_Sums: TypeAlias = tuple[int, _Array]
_Encoded: TypeAlias = tuple[
    int, tuple[tuple[int, str], ...], _Array, _Sums, _Array, _Sums, _Array, _Sums,
    tuple[_Array, _Array, _Array, _Array, _Array]
]  # fmt: skip
_EncodedPairs: TypeAlias = tuple[
    str, int, tuple[tuple[int, str], ...], _Array, _Array, _Array, _Sums, _Sums,
    tuple[_Array, _Array, _Array, _Array, _Array], tuple[_Array, _Array, _Array, _Array, _Array]
]  # fmt: skip
_EncodedErrors: TypeAlias = tuple[str, int, _Array, _Array, _Array, _Sums]
_EncodedFairness: TypeAlias = tuple[
    str, int, tuple[tuple[int, str, str], ...], _Array, _Array, _Array, _Sums, _Sums, int, bytes
]  # fmt: skip


def encode_sums(sums: AnySums) -> bytes:
    """The sums as MessagePack, arrays as little-endian int64; the format's version first, before that of others
    than one version's answers a word."""
    if isinstance(sums, WithFairness):
        return _encoded_fairness(sums.fairness, _encoded_group(sums.whole))
    if isinstance(sums, ErrorSums):
        fields = (_array_of(sums.starts), _array_of(sums.events), _array_of(sums.in_part))
        return msgspec.msgpack.encode((_ERRORS, FORMAT_VERSION, *fields, _sums_of(sums.errors)))
    if isinstance(sums, PairSums):
        arrays = (_array_of(sums.cells), _array_of(sums.in_cell), _array_of(sums.decided))
        kept = (*arrays, _sums_of(sums.sums), _sums_of(sums.squares))
        tables = (tuple(map(_array_of, sums.differences)), tuple(map(_array_of, sums.joint)))
        return msgspec.msgpack.encode((_PAIRS, FORMAT_VERSION, sums.groups, *kept, *tables))
    return _encoded_group(sums)


def _encoded_fairness(sums: FairSums, whole: bytes) -> bytes:
    fields = (*map(_array_of, sums[1:4]), *map(_sums_of, sums[4:6]), sums.limit)
    return msgspec.msgpack.encode((_FAIRNESS, FORMAT_VERSION, sums.groups, *fields, whole))


def _encoded_group(sums: GroupSums) -> bytes:
    fields = [_sums_of(each) if isinstance(each, ExactSums) else _array_of(each) for each in sums[1:7]]
    return msgspec.msgpack.encode((FORMAT_VERSION, sums.groups, *fields, tuple(map(_array_of, sums.table))))


def decode_sums(encoded: bytes) -> AnySums:
    """The inverse of `encode_sums`.

    Raises:
        ValueError: the bytes are corrupt or of another format version.
    """
    found = msgspec.msgpack.decode(encoded)
    word = found[0] if found and isinstance(found[0], str) else ""
    version = (found[1:] if word else found or [None])[0]
    if version != FORMAT_VERSION:
        raise ValueError(f"sums of quality of format {version} cannot be read; {wants(f'format {FORMAT_VERSION}')}")
    if word == _ERRORS:
        _, _, starts, events, in_part, errors = msgspec.convert(found, _EncodedErrors)
        return ErrorSums(_read(starts), _read(events), _read(in_part), _read_sums(errors))
    if word == _FAIRNESS:
        return _decoded_fairness(msgspec.convert(found, _EncodedFairness))
    if word:
        return _decoded_pairs(msgspec.convert(found, _EncodedPairs))
    _, groups, counts, sums, in_span, losses, in_bin, in_bins, table = msgspec.convert(found, _Encoded)
    return GroupSums(groups, _read(counts), _read_sums(sums), _read(in_span), _read_sums(losses), _read(in_bin),
                     _read_sums(in_bins), ScoreTable(*map(_read, table)))  # fmt: skip


def _decoded_pairs(found: _EncodedPairs) -> PairSums:
    _, _, groups, cells, in_cell, decided, sums, squares, differences, joint = found
    tables = ScoreTable(*map(_read, differences)), JointTable(*map(_read, joint))
    return PairSums(
        groups, _read(cells), _read(in_cell), _read(decided), _read_sums(sums), _read_sums(squares), *tables
    )


def _decoded_fairness(found: _EncodedFairness) -> WithFairness:
    _, _, groups, cells, in_cell, in_bin, in_bins, squares, limit, encoded = found
    arrays, whole = (_read(cells), _read(in_cell), _read(in_bin)), decode_sums(encoded)
    if not isinstance(whole, GroupSums):
        raise ValueError("sums of fairness without those of quality")
    return WithFairness(whole, FairSums(groups, *arrays, _read_sums(in_bins), _read_sums(squares), limit))


def added_any(parts: Sequence[AnySums]) -> AnySums:
    """Several sums of one kind and key as one; at least one."""
    of_errors = [part for part in parts if isinstance(part, ErrorSums)]
    if of_errors:
        return added_errors(of_errors)
    of_pairs = [part for part in parts if isinstance(part, PairSums)]
    if of_pairs:
        return added_pairs(of_pairs)
    of_fairness = [part for part in parts if isinstance(part, WithFairness)]
    if of_fairness:
        return added_with_fairness(of_fairness)
    return added_sums([part for part in parts if isinstance(part, GroupSums)])


def _array_of(array: Ints) -> _Array:
    return array.shape, array.astype("<i8", copy=False).tobytes()


def _sums_of(sums: ExactSums) -> _Sums:
    return sums.low, _array_of(sums.digits)


def _read(array: _Array) -> Ints:
    shape, data = array
    return np.frombuffer(data, "<i8").reshape(shape)


def _read_sums(sums: _Sums) -> ExactSums:
    return ExactSums(sums[0], _read(sums[1]))


class QualitySums:
    """The type hint in Beam of `AnySums`, whose coder tells the two apart; of no value."""


class QualitySumsCoder(Coder):
    """`AnySums` as `encode_sums` writes them; kept in memory where batches are. Not deterministic: never a key."""

    def encode(self, value: AnySums) -> bytes:
        return encode_kept(value, encode_sums)

    def decode(self, encoded: bytes) -> AnySums:
        return decode_kept(encoded, decode_sums)

    def estimate_size(self, value: AnySums) -> int:
        """An estimate for the runner's size metrics, which would otherwise encode all sums a second time."""
        return _size_of(value)

    def is_deterministic(self) -> bool:
        return False

    def to_type_hint(self) -> type:
        return QualitySums

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other)

    def __hash__(self) -> int:
        return hash(type(self))


class _PartsCoder(Coder):
    """The accumulator: a list, of at most one sum where it is written as bytes."""

    def encode(self, value: Any) -> bytes:
        return encode_kept(value, _encoded_parts)

    def decode(self, encoded: bytes) -> Any:
        return decode_kept(encoded, _decoded_parts)

    def estimate_size(self, value: Any) -> int:
        return sum(map(_size_of, value))

    def is_deterministic(self) -> bool:
        return False


def _size_of(sums: Any) -> int:
    """How many bytes the arrays of sums have."""
    if isinstance(sums, np.ndarray):
        return sums.nbytes
    return sum(map(_size_of, sums)) if isinstance(sums, tuple) else 0


def _encoded_parts(parts: list[AnySums]) -> bytes:
    return encode_sums(added_any(parts)) if parts else b""


def _decoded_parts(encoded: bytes) -> list[AnySums]:
    return [decode_sums(encoded)] if encoded else []


registry.register_coder(QualitySums, QualitySumsCoder)


class SumsFn(beam.CombineFn):
    """Adds `AnySums` of one key: associative and commutative, exact."""

    def create_accumulator(self) -> list[AnySums]:
        return []

    def add_input(self, accumulator: list[AnySums], element: AnySums) -> list[AnySums]:
        return [*accumulator, element] if len(accumulator) < 8 else [added_any([*accumulator, element])]

    def merge_accumulators(self, accumulators: Iterable[list[AnySums]]) -> list[AnySums]:
        return [sums for accumulator in accumulators for sums in accumulator]

    def extract_output(self, accumulator: list[AnySums]) -> AnySums:
        return added_any(accumulator)

    def get_accumulator_coder(self) -> Coder:
        return _PartsCoder()
